"""Runs that are no run of their configuration: a digit mistyped, another unit, a broken evaluation.

A row is judged by what all the others say of it. The law is fitted without it, and so are the variances of
configurations and seeds, since a wrong row bends the one and inflates the other; with z its distance from
what is then predicted, of variance v, it is wrong with probability

    p = a N(z; 0, s^2) / (a N(z; 0, s^2) + (1 - a) N(z; 0, v)),

averaged over the variances, a the share of wrong rows and s their spread. This works with few rows, where
robust deviations do not. The plainest forms judge, and both must agree: one with more terms bends to a row,
and one with too few takes the end of a curve for an error.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from planner.laws.observations import Floats
from planner.laws.one_form import Fitted
from planner.laws.uncertainty.bootstrap import refits
from planner.laws.uncertainty.deviations import Scatter, covariance_of, deviations_of
from planner.laws.uncertainty.intervals import free_parameters
from planner.laws.uncertainty.known_noise import prior_deviations

JUDGES = ("log-linear", "additive")
WRONG_SHARE, WRONG_SPREAD = 0.02, 1.5
"""Share of wrong rows and the deviation of their ln error (assumption: one in fifty; a digit is 2.3)."""
JUDGED = 3
"""Rows, the farthest first, that are thought away one at a time."""
SUSPECT = 0.5
"""Probability from which a row is left out of the law."""
REFIT_STEPS = 50


def suspicion(judges: Sequence[Fitted]) -> Floats:
    """Probability that each row is wrong, shape (n,): the least that a judge gives it."""
    return np.asarray(np.min([_judged(fitted) for fitted in judges], axis=0))


def _judged(fitted: Fitted) -> Floats:
    n = len(fitted.rows)
    out = np.zeros(n)
    if n < fitted.form.n_parameters + 2:
        return out
    far = np.argsort(-np.abs(fitted.estimate.residual) * np.sqrt(fitted.rows.weight))[:JUDGED]
    weights = np.array([np.arange(n) != row for row in far], dtype=np.float64)
    theta, _ = refits(fitted.estimate, fitted.rows, weights, n_steps=REFIT_STEPS)
    for row, point in zip(far.tolist(), theta, strict=True):
        out[row] = _wrong(fitted, int(row), point)
    return out


def _wrong(fitted: Fitted, row: int, theta: Floats) -> float:
    """Probability that one row is wrong, by a fit to the others."""
    at = fitted.form.at(fitted.rows.z)
    free = free_parameters(fitted.estimate)
    everything = Scatter(
        residual=fitted.rows.y - at.log_mean(theta[None])[0],
        jacobian=at.linearise(theta[None]).jacobian[0].T[:, free],
        own=fitted.noise_own,
        group=fitted.group,
    )
    others = everything.without(row)
    nodes = deviations_of(others).nodes()
    alike = np.flatnonzero(fitted.group == fitted.group[row])
    alike = alike[alike != row]
    gradient, z = everything.jacobian[row], everything.residual[row]
    right = 0.0
    for tau2, omega2, share in zip(nodes.tau2, nodes.omega2, nodes.weight, strict=True):
        covariance = covariance_of(others, prior_deviations(fitted.form)[free], tau2, omega2)
        precision = 1.0 / (everything.own[alike] + omega2)
        total = float(precision.sum())
        weight = tau2 * total / (1.0 + tau2 * total)
        mean = weight * float(precision @ everything.residual[alike]) / max(total, 1e-300)
        law = float(gradient @ covariance @ gradient)
        variance = (1 - weight) ** 2 * law + tau2 * (1 - weight) + everything.own[row] + omega2
        right += float(share) * _normal(float(z - mean), float(variance))
    wrong = WRONG_SHARE * _normal(float(z), WRONG_SPREAD**2)
    return wrong / (wrong + (1 - WRONG_SHARE) * right)


def _normal(z: float, variance: float) -> float:
    return float(np.exp(-0.5 * z * z / variance) / np.sqrt(variance))
