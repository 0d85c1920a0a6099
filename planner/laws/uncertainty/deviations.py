"""How far configurations lie from the law, and training runs from their configuration, with what is unsure.

With tau^2 the variance of a configuration's own deviation and omega^2 that of a training run (seed),
configuration c of the runs r in c has the mean residual

    rbar_c = sum_r r / v_r  *  q_c,   v_r = own_r + omega^2,   1 / q_c = sum_r 1 / v_r,

with variance V_c = tau^2 + q_c about the law. The pair is not estimated but weighed on a grid, by the
restricted likelihood of all residuals (Patterson and Thompson 1971) and a prior: few configurations leave
tau^2 = 0 likely and a large one possible, and an interval must allow for both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.laws.observations import Floats
from planner.laws.uncertainty.paired_noise import restricted, row_covariance

TAUS = np.concatenate([[0.002], np.geomspace(0.008, 1.5, 16)])
"""Deviations of configurations from the law that are weighed, in ln error (assumption: .2 to 150 %)."""
OMEGAS = np.geomspace(0.004, 0.4, 13)
"""Deviations of training runs that are weighed, in ln error."""
TAU_SCALE = 0.1
"""Median of the half-Cauchy prior of tau (assumption: configurations of speech models lie a tenth off)."""
OMEGA_MEDIAN, OMEGA_SPREAD = 0.04, 0.8
"""Log-normal prior of omega (assumption: seeds of one fine-tune differ by 2 to 10 % of the error)."""
N_NODES = 9
"""Pairs that a fit keeps, each as likely as the others."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Deviations:
    """Pairs of variances with their weights, and how likely they make the residuals.

    Attributes:
        tau2, omega2, weight: shape (k,); the weights sum to 1.
        log_evidence: ln of the restricted likelihood, averaged over the prior.
    """

    tau2: Floats
    omega2: Floats
    weight: Floats
    log_evidence: float

    def mean(self) -> tuple[float, float]:
        """Expected tau^2 and omega^2, robustly: squares of the expected deviations."""
        tau = float(self.weight @ np.sqrt(self.tau2))
        return tau**2, float(self.weight @ np.sqrt(self.omega2)) ** 2

    def nodes(self, k: int = N_NODES) -> Deviations:
        """At most k equally likely pairs that stand for all of them, in the order of tau^2."""
        order = np.lexsort((self.omega2, self.tau2))
        edges = np.cumsum(self.weight[order])
        at = np.searchsorted(edges / edges[-1], (np.arange(k) + 0.5) / k)
        chosen, counts = np.unique(order[np.minimum(at, len(order) - 1)], return_counts=True)
        chosen_order = np.lexsort((self.omega2[chosen], self.tau2[chosen]))
        chosen, counts = chosen[chosen_order], counts[chosen_order]
        return Deviations(
            tau2=self.tau2[chosen],
            omega2=self.omega2[chosen],
            weight=counts / counts.sum(),
            log_evidence=self.log_evidence,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scatter:
    """Residuals of one fitted form with what is known of their noise.

    Attributes:
        residual: ln error less law, shape (n,); jacobian: d ln f / d theta, shape (n, p).
        own: known variance of each, shape (n,); group: label of each row's configuration, 0 to m - 1.
        pairs: correlation of the rows' own noise, shape (n, n); None: independent.
    """

    residual: Floats
    jacobian: Floats
    own: Floats
    group: NDArray[np.int64]
    pairs: Floats | None = None

    def without(self, row: int) -> Scatter:
        """All rows but one."""
        keep = np.arange(len(self.residual)) != row
        _, group = np.unique(self.group[keep], return_inverse=True)
        return Scatter(
            residual=self.residual[keep],
            jacobian=self.jacobian[keep],
            own=self.own[keep],
            group=group.reshape(-1).astype(np.int64),
            pairs=None if self.pairs is None else self.pairs[keep][:, keep],
        )


def configurations_of(group: NDArray[np.int64] | None, n: int) -> NDArray[np.int64]:
    """Label of each row's configuration, 0 to m - 1: the group, or every row by itself."""
    if group is None:
        return np.arange(n)
    return np.unique(group, return_inverse=True)[1].reshape(-1).astype(np.int64)


def row_weights(own: Floats, group: NDArray[np.int64], tau2: float, omega2: float) -> Floats:
    """Weights of rows, shape (n,), by which least squares over runs is that over configurations."""
    precision = 1.0 / (own + omega2)
    of_group = np.bincount(group, precision)
    return np.asarray(precision / (1.0 + tau2 * of_group)[group])


def deviations_of(s: Scatter) -> Deviations:
    """The weights of all pairs of the grid, given the residuals."""
    tau2 = TAUS**2
    first = np.unique(s.group, return_index=True)[1]
    scores = np.array([_restricted(s, first, tau2, float(o**2)) for o in OMEGAS])
    prior = -np.log1p((TAUS / TAU_SCALE) ** 2)[None, :] + np.log(_steps(TAUS))[None, :]
    z = (np.log(OMEGAS) - np.log(OMEGA_MEDIAN)) / OMEGA_SPREAD
    prior = prior - 0.5 * z[:, None] ** 2
    total = scores + prior
    raw = np.exp(total - total.max())
    evidence = float(total.max() + np.log(raw.sum()) - np.log(np.exp(prior).sum()))
    o, t = np.meshgrid(OMEGAS**2, tau2, indexing="ij")
    return Deviations(
        tau2=t.ravel(), omega2=o.ravel(), weight=(raw / raw.sum()).ravel(), log_evidence=evidence
    )


def _steps(values: Floats) -> Floats:
    """Width of each value's share of the axis."""
    edges = np.concatenate([[0.0], 0.5 * (values[1:] + values[:-1]), [values[-1]]])
    return np.diff(edges)


def _restricted(s: Scatter, first: NDArray[np.intp], tau2: Floats, omega2: float) -> Floats:
    """Ln restricted likelihood at each tau^2 for one omega^2, shape (t,), up to a constant.

    `first` is a row of each configuration, shape (m,).
    """
    if s.pairs is not None:
        noise = row_covariance(s.own, s.pairs, s.group, 0.0, omega2)
        alike = (s.group[:, None] == s.group[None, :]).astype(np.float64)
        return restricted(s.residual, s.jacobian, noise, alike, tau2)
    precision = 1.0 / (s.own + omega2)
    of_group = np.bincount(s.group, precision)
    mean = np.bincount(s.group, s.residual * precision) / of_group
    within = s.residual - mean[s.group]
    inside = -0.5 * float((within**2 * precision).sum() - np.log(precision).sum())
    inside -= 0.5 * float(np.log(of_group).sum())
    jacobian = s.jacobian[first]
    weight = 1.0 / (tau2[:, None] + 1.0 / of_group[None, :])
    information = (jacobian.T[None] * weight[:, None, :]) @ jacobian
    ridge = 1e-10 * np.einsum("tii->ti", information).max(axis=1, initial=1e-300)
    information = information + ridge[:, None, None] * np.eye(jacobian.shape[1])
    right = (weight * mean) @ jacobian
    fitted = np.linalg.solve(information, right[:, :, None])[:, :, 0]
    square = (weight * mean**2).sum(1) - (right * fitted).sum(1)
    log_det = np.linalg.slogdet(information)[1] if jacobian.shape[1] else 0.0
    return np.asarray(inside + 0.5 * np.log(weight).sum(1) - 0.5 * log_det - 0.5 * square)


def covariance_of(s: Scatter, prior_sd: Floats, tau2: float, omega2: float) -> Floats:
    """Covariance of the parameters for one pair of variances, shape (p, p).

    `prior_sd` are deviations of the parameters before anything was run: what no run tells of is then
    unsure, but not without bound.
    """
    if s.pairs is None:
        weight = row_weights(s.own, s.group, tau2, omega2)
        information = (s.jacobian * weight[:, None]).T @ s.jacobian
    else:
        v = row_covariance(s.own, s.pairs, s.group, tau2, omega2)
        information = s.jacobian.T @ np.linalg.solve(v, s.jacobian)
    scaled = information * prior_sd[:, None] * prior_sd[None, :] + np.eye(len(prior_sd))
    return np.asarray(np.linalg.inv(scaled) * prior_sd[:, None] * prior_sd[None, :])
