"""Parameters as they are reported: natural units, intervals, and whether the data identify them.

Floors and exponents have profile intervals with Student's quantile; amplitudes and slopes, whose
likelihood is nearly a parabola, have Student-t intervals, in logarithms where they are positive.
Profiling only where the interval is wide covers less than either way alone, since the estimate that
falls far from the truth also decides which way is taken: with 12 to 27 runs 85 to 90 % against 88 to
92 % (notebooks/LOG.md).
"""

from __future__ import annotations

import math

import numpy as np

from planner.laws.forms.base import ParameterSpec
from planner.laws.forms.link import Link
from planner.laws.observations import Floats
from planner.laws.parts import Parameter
from planner.laws.solver.estimate import Estimate, Rows
from planner.laws.uncertainty.intervals import Uncertainty
from planner.laws.uncertainty.profile import Profile, ProfiledParameter, profiles
from planner.words.student import t_quantile

NOT_IDENTIFIED = 1.0
"""A positive parameter whose logarithm has a larger standard error is not identified: its 90 %
interval spans a factor of more than 25. A floor is not where its interval reaches 0."""
UNBOUNDED = 13.8
"""Half-width of a log interval beyond which no bound is given: a factor of a million."""
PROFILED = ("floor", "exponent", "signed")
"""Kinds whose intervals are profiled."""
WIDEST_LOG_STEP = 2.0
"""Largest half-width, in logarithms, that sets a profile's first step."""


def parameters_of(
    fitted: Estimate,
    rows: Rows,
    spread: Uncertainty,
    rise: float,
    level: float,
    metric: str,
    link: Link,
) -> tuple[Parameter, ...]:
    """Parameters in natural units with their intervals.

    Args:
        fitted: the estimate.
        rows: its table.
        spread: covariance of the working parameters and its degrees of freedom.
        rise: the objective's dispersion, for profiles.
        level: probability of the intervals.
        metric: name of the error, the unit of floor and amplitudes.
        link: of the error; under `signed` floors are reported without its offset.
    """
    reach = t_quantile(0.5 + 0.5 * level, spread.dof)
    specs = fitted.form.parameters
    errors = [math.sqrt(max(float(v), 0.0)) for v in np.diag(spread.covariance)]
    for i in fitted.form.indices("floor"):
        if specs[i].name in fitted.at_bound:
            errors[i] = math.inf
    profiled = _profiled(fitted, rows, errors, reach, rise * spread.stretch)
    made = []
    for i, (spec, error) in enumerate(zip(specs, errors, strict=True)):
        theta, pressed = float(fitted.theta[i]), spec.name in fitted.at_bound
        if i in profiled:
            ends = profiled[i]
        elif pressed:
            ends = Profile(low=None, high=None)
        else:
            ends = _wald(theta, reach * error)
        if spec.kind == "scale":
            made.append(_scale(spec, theta, error, pressed, ends))
        elif spec.is_log:
            made.append(_positive(spec, theta, error, pressed, ends, metric, link))
        else:
            made.append(_exponent(spec, theta, error, pressed, ends))
    return tuple(made)


def _profiled(
    fitted: Estimate, rows: Rows, errors: list[float], reach: float, rise: Floats
) -> dict[int, Profile]:
    """Profile intervals by position; a floor has one also where it is pressed to 0."""
    asked = []
    for i in fitted.form.indices(*PROFILED):
        spec = fitted.form.parameters[i]
        if spec.name in fitted.at_bound and spec.kind != "floor":
            continue
        half = WIDEST_LOG_STEP if spec.is_log else abs(float(fitted.theta[i]))
        half = min(reach * errors[i], half)
        asked.append(
            ProfiledParameter(index=i, half_width=half, threshold=0.5 * float(rise[i]) * reach**2)
        )
    if not asked:
        return {}
    found = profiles(fitted.form, rows, fitted.loss, fitted.theta, fitted.objective, asked)
    return {one.index: ends for one, ends in zip(asked, found, strict=True)}


def _wald(theta: float, half: float) -> Profile:
    """Symmetric interval of the working parameter."""
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
    if spec.kind == "natural-amplitude":
        # In the formula's unit it moves with its exponent: a wide interval says nothing of the law.
        vague = False
    flags = ("at-bound",) * pressed + ("not-identified",) * vague
    return Parameter(
        name=spec.name,
        value=value - offset,
        low=lowest if low is None else math.exp(low) - offset,
        high=None if high is None else math.exp(min(high, 700.0)) - offset,
        std_error=None if pressed else error,
        unit=_unit(spec, metric, link),
        kind=spec.kind,
        axis=spec.axis,
        flags=flags,
    )


def _unit(spec: ParameterSpec, metric: str, link: Link) -> str:
    if spec.kind == "natural-amplitude":
        return "as in the formula"
    return f"odds of {metric}" if link.name == "odds" else metric


def _scale(
    spec: ParameterSpec, theta: float, error: float, pressed: bool, ends: Profile
) -> Parameter:
    """A formula's scale, in the unit of its axis."""
    vague = error > NOT_IDENTIFIED and not pressed
    bounded = [
        None if end is None or abs(end - theta) > UNBOUNDED else math.exp(end)
        for end in (ends.low, ends.high)
    ]
    return Parameter(
        name=spec.name,
        value=math.exp(theta),
        low=bounded[0],
        high=bounded[1],
        std_error=None if pressed else error,
        unit=spec.axis or "1",
        kind=spec.kind,
        axis=spec.axis,
        flags=("at-bound",) * pressed + ("not-identified",) * vague,
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
