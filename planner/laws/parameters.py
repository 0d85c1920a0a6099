"""Parameters as they are reported: natural units, intervals, and whether the data identify them.

Student-t intervals about the estimate, in logarithms where a parameter is positive; where those are
wide the likelihood is no parabola and the interval is profiled.
"""

from __future__ import annotations

import math

from planner.laws.estimate import Estimate, Rows
from planner.laws.forms import ParameterSpec
from planner.laws.link import Link
from planner.laws.observations import Floats
from planner.laws.profile import Profile, profile
from planner.laws.result import Parameter
from planner.laws.student import t_quantile

NOT_IDENTIFIED = 1.0
"""A positive parameter whose logarithm has a larger standard error is not identified: its 90 %
interval spans a factor of more than 25. A floor is not where its interval reaches 0."""
UNBOUNDED = 13.8
"""Half-width of a log interval beyond which no bound is given: a factor of a million."""
PROFILED_FLOOR, PROFILED_EXPONENT = 0.1, 0.3
"""Relative standard errors above which an interval is profiled (assumption: below, the likelihood is
near enough to a parabola in the logarithm)."""


def parameters_of(
    fitted: Estimate,
    rows: Rows,
    covariance: Floats,
    dof: float,
    rise: float,
    level: float,
    metric: str,
    link: Link,
) -> tuple[Parameter, ...]:
    """Parameters in natural units with their intervals.

    Args:
        fitted: the estimate.
        rows: its table.
        covariance: of the working parameters, shape (p, p).
        dof: degrees of freedom of the t quantile.
        rise: the objective's dispersion, for profiles.
        level: probability of the intervals.
        metric: name of the error, the unit of floor and amplitudes.
        link: of the error; under `signed` floors are reported without its offset.
    """
    reach = t_quantile(0.5 + 0.5 * level, dof)
    made = []
    for i, spec in enumerate(fitted.form.parameters):
        error = math.sqrt(max(float(covariance[i, i]), 0.0))
        pressed = spec.name in fitted.at_bound
        if pressed and spec.kind == "floor":
            error = math.inf
        relative = error if spec.is_log else error / max(abs(float(fitted.theta[i])), 1e-300)
        if pressed and spec.kind != "floor":
            ends = Profile(low=None, high=None)
        elif _profiled(spec, relative):
            half = 2.0 if spec.is_log else float(fitted.theta[i])
            ends = profile(
                fitted.form,
                rows,
                fitted.loss,
                fitted.theta,
                fitted.objective,
                i,
                half_width=min(reach * error, half),
                threshold=0.5 * rise * reach**2,
            )
        else:
            ends = _wald(spec, float(fitted.theta[i]), reach * error)
        theta = float(fitted.theta[i])
        if spec.is_log:
            made.append(_positive(spec, theta, error, pressed, ends, metric, link))
        else:
            made.append(_exponent(spec, theta, error, pressed, ends))
    return tuple(made)


def _profiled(spec: ParameterSpec, relative: float) -> bool:
    limits = {"floor": PROFILED_FLOOR, "exponent": PROFILED_EXPONENT}
    return relative > limits.get(spec.kind, math.inf)


def _wald(spec: ParameterSpec, theta: float, half: float) -> Profile:
    """Symmetric interval of the working parameter, of its logarithm for an exponent."""
    if spec.kind == "exponent":
        factor = math.exp(min(half / theta, UNBOUNDED))
        return Profile(low=theta / factor, high=theta * factor)
    return Profile(low=theta - half, high=theta + half)


def _positive(
    spec: ParameterSpec,
    theta: float,
    error: float,
    pressed: bool,
    ends: Profile,
    metric: str,
    link: Link,
) -> Parameter:
    """A floor or amplitude; a floor that is pressed to its bound is 0."""
    floor = spec.kind == "floor"
    low, high = ends.low, ends.high
    if low is not None and theta - low > UNBOUNDED:
        low = None
    if high is not None and not floor and high - theta > UNBOUNDED:
        high = None
    value = 0.0 if floor and pressed else math.exp(theta)
    offset = link.offset if floor else 0.0
    lowest = None if not floor or link.name == "signed" else 0.0
    vague = (floor and low is None) or (error > NOT_IDENTIFIED and not (pressed and not floor))
    flags = ("at-bound",) * pressed + ("not-identified",) * vague
    return Parameter(
        name=spec.name,
        value=value - offset,
        low=lowest if low is None else math.exp(low) - offset,
        high=None if high is None else math.exp(min(high, 700.0)) - offset,
        std_error=None if pressed else error,
        unit=f"odds of {metric}" if link.name == "odds" else metric,
        kind=spec.kind,
        axis=spec.axis,
        flags=flags,
    )


def _exponent(
    spec: ParameterSpec, theta: float, error: float, pressed: bool, ends: Profile
) -> Parameter:
    relative = error / max(abs(theta), 1e-300)
    vague = spec.kind == "exponent" and relative > NOT_IDENTIFIED and not pressed
    return Parameter(
        name=spec.name,
        value=theta,
        low=ends.low,
        high=ends.high,
        std_error=None if pressed else error,
        unit="1",
        kind=spec.kind,
        axis=spec.axis,
        flags=("at-bound",) * pressed + ("not-identified",) * vague,
    )
