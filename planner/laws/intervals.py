"""Intervals of parameters: Student t about the estimate, in logarithms where a parameter is positive.

Measured coverage of nominal 90 % at n = 16, 27 and 64 is .89 to .91 (notebooks/LOG.md); percentile
bootstraps of such small tables cover .79 to .90.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from planner.laws.dispersion import Dispersion, dispersion
from planner.laws.estimate import Estimate, Rows
from planner.laws.forms import ParameterSpec
from planner.laws.observations import Floats
from planner.laws.profile import Profile, profile
from planner.laws.result import Parameter
from planner.laws.student import t_quantile

NOT_IDENTIFIED = 1.0
"""A floor whose logarithm has a larger standard error is reported as not identified: its 90 %
interval then spans a factor of more than 25."""
UNBOUNDED = 13.8
"""Half-width of a log interval beyond which no bound is given: a factor of a million."""
PROFILED_FLOOR, PROFILED_EXPONENT = 0.2, 0.3
"""Relative standard errors above which an interval is profiled (assumption: below, the likelihood is
near enough to a parabola in the logarithm)."""


def jacobian_of(fitted: Estimate, rows: Rows) -> Floats:
    """Jacobian d ln f / d theta at the estimate, rows scaled by the root of their weights, shape (n, p)."""
    at = fitted.form.at(rows.z).linearise(fitted.theta[None])
    return np.asarray(at.jacobian[0].T * np.sqrt(rows.weight)[:, None])


def condition_number(jacobian: Floats) -> float:
    """Ratio of the singular values of the Jacobian with columns scaled to length 1."""
    length = np.linalg.norm(jacobian, axis=0)
    values = np.linalg.svd(jacobian / np.maximum(length, 1e-300), compute_uv=False)
    return float(min(values[0] / max(values[-1], 1e-300), 1e300))


def dispersion_of(fitted: Estimate, rows: Rows) -> Dispersion:
    """The noise of one fitted form, n - p degrees of freedom."""
    dof = len(rows) - fitted.form.n_parameters
    return dispersion(fitted.residual * np.sqrt(rows.weight), fitted.loss, dof)


def covariance_of(
    fitted: Estimate,
    jacobian: Floats,
    variance: float,
    dof: float,
    rows: Rows,
    group: NDArray[np.int64] | None,
) -> tuple[Floats, float]:
    """Covariance variance * (J^T W J)^-1 and its degrees of freedom.

    Parameters on their bounds have zeros. Where runs come in groups (seeds or checkpoints of one
    trial) residuals of a group are correlated: the middle of the sandwich is J^T Omega J with the
    between-group variance of the residuals, and groups, not runs, are counted.
    """
    p = fitted.form.n_parameters
    # A floor at its bound is 0; in the linear parameter E its Jacobian is not, so it stays free.
    free = [
        i
        for i, spec in enumerate(fitted.form.parameters)
        if spec.kind == "floor" or spec.name not in fitted.at_bound
    ]
    covariance = np.zeros((p, p))
    if not free:
        return covariance, dof
    length = np.maximum(np.linalg.norm(jacobian[:, free], axis=0), 1e-300)
    root = np.linalg.pinv(jacobian[:, free] / length, rcond=1e-14) / length[:, None]
    covariance[np.ix_(free, free)] = variance * (root @ root.T)
    if group is None or len(np.unique(group)) == len(group):
        return covariance, dof
    scaled = fitted.residual * np.sqrt(rows.weight)
    share, n_groups = within_correlation(scaled, group), len(np.unique(group))
    for label in np.unique(group):
        part = root[:, group == label].sum(1)
        each = root[:, group == label]
        covariance[np.ix_(free, free)] += variance * share * (np.outer(part, part) - each @ each.T)
    return covariance, float(max(min(n_groups - p, dof), 1))


def within_correlation(residual: Floats, group: NDArray[np.int64]) -> float:
    """Intraclass correlation of residuals, from the products of pairs of one group; in [0, 1]."""
    total = float(residual @ residual) / len(residual)
    products, pairs = 0.0, 0
    for label in np.unique(group):
        part = residual[group == label]
        products += float(part.sum() ** 2 - part @ part)
        pairs += len(part) * (len(part) - 1)
    if pairs == 0 or total == 0:
        return 0.0
    return float(np.clip(products / pairs / total, 0.0, 1.0))


def correlation_of(covariance: Floats) -> Floats:
    """Correlation matrix; 0 for parameters without variance, 1 on the diagonal."""
    deviation = np.sqrt(np.diag(covariance))
    safe = np.where(deviation > 0, deviation, 1.0)
    correlation = covariance / safe[:, None] / safe[None, :]
    np.fill_diagonal(correlation, 1.0)
    return np.asarray(np.clip(correlation, -1.0, 1.0))


def parameters_of(
    fitted: Estimate,
    rows: Rows,
    covariance: Floats,
    dof: float,
    rise: float,
    level: float,
    unit: str,
) -> tuple[Parameter, ...]:
    """Parameters in natural units: Student-t intervals, profiled where those are wide.

    Args:
        fitted: the estimate.
        rows: its table.
        covariance: of the working parameters, shape (p, p).
        dof: degrees of freedom of the t quantile.
        rise: the objective's dispersion, for profiles.
        level: probability of the intervals.
        unit: unit of the floor and the amplitudes.
    """
    reach = t_quantile(0.5 + 0.5 * level, dof)
    made = []
    for i, spec in enumerate(fitted.form.parameters):
        error = math.sqrt(max(float(covariance[i, i]), 0.0))
        if spec.kind == "floor" and spec.name in fitted.at_bound:
            error = math.inf
        relative = error if spec.is_log else error / max(abs(float(fitted.theta[i])), 1e-300)
        profiled = (spec.kind == "floor" and relative > PROFILED_FLOOR) or (
            spec.kind == "exponent" and relative > PROFILED_EXPONENT
        )
        if spec.name in fitted.at_bound and spec.kind != "floor":
            ends = Profile(low=None, high=None)
        elif profiled:
            half = min(reach * error, 2.0) if spec.is_log else min(reach * error, fitted.theta[i])
            ends = profile(
                fitted.form,
                rows,
                fitted.loss,
                fitted.theta,
                fitted.objective,
                i,
                half_width=float(half),
                threshold=0.5 * rise * reach**2,
            )
        else:
            ends = _wald(spec, float(fitted.theta[i]), reach * error)
        made.append(_parameter(spec, fitted, i, error, relative, ends, unit))
    return tuple(made)


def _wald(spec: ParameterSpec, theta: float, half: float) -> Profile:
    """Symmetric interval of the working parameter, of its logarithm for an exponent."""
    if spec.kind == "exponent":
        factor = math.exp(min(half / theta, UNBOUNDED))
        return Profile(low=theta / factor, high=theta * factor)
    return Profile(low=theta - half, high=theta + half)


def _parameter(
    spec: ParameterSpec,
    fitted: Estimate,
    i: int,
    error: float,
    relative: float,
    ends: Profile,
    unit: str,
) -> Parameter:
    theta = float(fitted.theta[i])
    value, low, high = theta, ends.low, ends.high
    flags: list[str] = []
    if spec.name in fitted.at_bound:
        flags.append("at-bound")
    if spec.is_log:
        value = math.exp(theta)
        low = None if low is None or theta - low > UNBOUNDED else math.exp(low)
        high = (
            None
            if high is None or (high - theta > UNBOUNDED and spec.kind != "floor")
            else math.exp(high)
        )
        if spec.kind == "floor":
            value = 0.0 if flags else value
            low = 0.0 if low is None else low
    not_identified = relative > NOT_IDENTIFIED or (spec.kind == "floor" and low == 0.0)
    if (
        not_identified
        and spec.kind in ("floor", "amplitude", "exponent")
        and not (flags and spec.kind != "floor")
    ):
        flags.append("not-identified")
    known = math.isfinite(error) and "at-bound" not in flags
    return Parameter(
        name=spec.name,
        value=value,
        low=low,
        high=high,
        std_error=error if known else None,
        unit=unit if spec.is_log else "1",
        kind=spec.kind,
        axis=spec.axis,
        flags=tuple(flags),
    )
