"""Rows whose own scoring noise is correlated: whitened for the law, and weighed as a whole.

With Z the configurations of the rows, S_own = R of the rows' own variances and their correlation,

    V = tau^2 Z Z^T + omega^2 I + D^(1/2) R D^(1/2),

is the covariance of the rows about the law; with R = I it is that of `deviations`, which needs no matrix.
The law minimises r^T V^-1 r: the rows are multiplied by V^(-1/2), and the optimiser stays what it is.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from planner.laws.forms.base import Evaluator, Linearisation
from planner.laws.observations import Floats
from planner.laws.solver.damped_newton import descend
from planner.laws.solver.estimate import Estimate, Rows, problem_of
from planner.laws.solver.losses import Loss

MOST_STEPS, ENOUGH = 300, 1e-9
"""Newton steps of the whitened law and the gain, relative to the objective, below which it has ended: it starts near
its end, but valleys of forms with many terms are flat, and nothing is certified by its last digits."""


def row_covariance(
    own: Floats, pairs: Floats, group: NDArray[np.int64], tau2: float, omega2: float
) -> Floats:
    """V of rows, shape (n, n)."""
    root = np.sqrt(own)
    out = pairs * root[:, None] * root[None, :]
    out[np.diag_indices(len(own))] += omega2
    return np.asarray(out + tau2 * (group[:, None] == group[None, :]))


def restricted(
    residual: Floats, jacobian: Floats, noise: Floats, alike: Floats, tau2: Floats
) -> Floats:
    """Ln restricted likelihood at each tau^2, shape (t,), up to a constant (Patterson and Thompson 1971).

    Args:
        residual: shape (n,); jacobian: shape (n, p).
        jacobian: of ln f, shape (n, p).
        noise: omega^2 I + R, shape (n, n); alike: Z Z^T, shape (n, n).
        alike: whether two rows are of one configuration.
        tau2: shape (t,).
    """
    covariance = noise[None] + tau2[:, None, None] * alike[None]
    inverse = np.linalg.inv(covariance)
    seen = inverse @ jacobian
    information = jacobian.T[None] @ seen
    p = jacobian.shape[1]
    ridge = 1e-10 * np.einsum("tii->ti", information).max(axis=1, initial=1e-300)
    information = information + ridge[:, None, None] * np.eye(p)
    right = np.einsum("tnp,n->tp", seen, residual)
    fitted = np.linalg.solve(information, right[:, :, None])[:, :, 0]
    square = np.einsum("n,tnm,m->t", residual, inverse, residual) - (right * fitted).sum(1)
    log_det = np.linalg.slogdet(covariance)[1]
    log_det = log_det + (np.linalg.slogdet(information)[1] if p else 0.0)
    return np.asarray(-0.5 * (log_det + square))


class _Whitened(Evaluator):
    """A form at rows that are multiplied by a matrix, shape (n, n)."""

    def __init__(self, inner: Evaluator, matrix: Floats) -> None:
        self.inner, self.matrix = inner, matrix

    def log_terms(self, theta: Floats) -> list[Floats]:
        """The log mean alone: its terms cannot be told apart once rows are mixed."""
        return [self.inner.log_mean(theta) @ self.matrix]

    def log_mean(self, theta: Floats) -> Floats:
        """Whitened ln f, shape (b, n)."""
        return np.asarray(self.inner.log_mean(theta) @ self.matrix)

    def linearise(self, theta: Floats) -> Linearisation:
        """Whitened, with exact second derivatives."""
        at = self.inner.linearise(theta)
        plain, second = at.jacobian, at.second
        mixed = plain @ self.matrix
        if second is None:
            return Linearisation(at.log_mean @ self.matrix, mixed, None)

        def whole(psi: Floats) -> Floats:
            """sum_n psi_n (d2 ln f_n + J_n J_n^T) of the mixed rows: their J J^T in place of the plain ones."""
            back = psi @ self.matrix
            outer = _weighted(mixed, psi) - _weighted(plain, back)
            return np.asarray(second(back) + outer)

        return Linearisation(at.log_mean @ self.matrix, mixed, whole)


def _weighted(jacobian: Floats, psi: Floats) -> Floats:
    """sum_n psi_n J_n J_n^T, shape (b, p, p)."""
    return np.asarray((jacobian * psi[:, None, :]) @ jacobian.transpose(0, 2, 1))


def whitened(fitted: Estimate, rows: Rows, covariance: Floats) -> Estimate:
    """The least-squares estimate under a covariance of the rows, from one that took them as independent.

    The rows are whitened by the symmetric root of V^-1, scaled to a mean weight of 1. A loss that cuts far
    rows off keeps the estimate that it has: once rows are mixed it would cut off others with them.
    """
    if fitted.loss.delta is not None:
        return fitted
    values, vectors = np.linalg.eigh(covariance)
    inverse = 1.0 / np.maximum(values, 1e-12 * values[-1])
    root = (vectors * np.sqrt(inverse * len(values) / inverse.sum())) @ vectors.T
    plain = problem_of(fitted.form, rows)
    problem = dataclasses.replace(
        plain, evaluator=_Whitened(plain.evaluator, root), y=rows.y @ root,
        weight=np.ones((1, len(rows))),
    )  # fmt: skip
    end = descend(
        problem, Loss(), fitted.theta[None], n_steps=MOST_STEPS, tolerance=ENOUGH, n_majorised=2
    )
    theta = end.theta[0]
    names = [spec.name for spec in fitted.form.parameters]
    free = (theta > plain.lower[0]) & (theta < plain.upper[0])
    return dataclasses.replace(
        fitted,
        theta=theta,
        objective=float(end.objective[0]),
        residual=plain.evaluator.log_mean(theta[None])[0] - rows.y,
        converged=bool(end.converged[0]),
        runner_up=None,
        at_bound=tuple(n for n, inside in zip(names, free, strict=True) if not inside),
    )
