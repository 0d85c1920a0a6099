"""Parameters as they are reported: natural units, intervals, and whether the data identify them.

Floors and exponents have profile intervals with Student's quantile; amplitudes and slopes, whose
likelihood is nearly a parabola, have Student-t intervals, in logarithms where they are positive.
Profiling only where the interval is wide covers less than either way alone, since the estimate that
falls far from the truth also decides which way is taken: with 12 to 27 runs 85 to 90 % against 88 to
92 % (notebooks/LOG.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from planner.laws.forms.base import Form, ParameterSpec
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
NO_FLOOR = -20.0
"""Ln floor over the smallest error, from which down it is 0 to nine digits."""
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
    scales: Floats,
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
        scales: of the form's axes, in which places are reported.
    """
    reach = t_quantile(0.5 + 0.5 * level, spread.dof)
    values, errors = _natural(fitted, spread)
    profiled = _profiled(fitted, rows, errors, reach, rise * spread.stretch)
    words = _Words(metric=metric, link=link, nothing=float(rows.y.min()) + NO_FLOOR)
    made = []
    for i, (spec, error) in enumerate(zip(fitted.form.parameters, errors, strict=True)):
        unit = _unit_of(fitted.form, spec, scales)
        if i in fitted.form.fixed:
            made.append(_held(spec, float(values[i]), unit, words))
            continue
        ends = profiled.get(i) or _ends(fitted, i, float(values[i]), reach * error)
        ends = _within(ends, fitted.form, i)
        made.append(
            _told(spec, float(values[i]), error, spec.name in fitted.at_bound, ends, unit, words)
        )
    return tuple(made)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    """What parameters are told in; `nothing` is ln of a floor that is 0."""

    metric: str
    link: Link
    nothing: float


def _natural(fitted: Estimate, spread: Uncertainty) -> tuple[Floats, list[float]]:
    """Parameters as they are reported, logarithms as such, and their standard errors."""
    form, covariance, values = fitted.form, spread.covariance, fitted.theta
    if form.derived:
        slopes = form.natural_slopes(fitted.theta)
        covariance = slopes @ covariance @ slopes.T
        values = form.natural(fitted.theta[None])[0]
    errors = [math.sqrt(max(float(v), 0.0)) for v in np.diag(covariance)]
    boxed = {i for i, *_ in form.box}
    for i in form.indices("floor"):
        if form.parameters[i].name in fitted.at_bound and i not in boxed:
            errors[i] = math.inf
    return values, errors


def _ends(fitted: Estimate, i: int, theta: float, half: float) -> Profile:
    """Student's interval; none where the parameter lies on its bound."""
    pressed = fitted.form.parameters[i].name in fitted.at_bound
    return Profile(low=None, high=None) if pressed else Profile(low=theta - half, high=theta + half)


def _told(
    spec: ParameterSpec, theta: float, error: float, pressed: bool, ends: Profile, unit: float, words: _Words,
) -> Parameter:  # fmt: skip
    if spec.kind in ("scale", "place"):
        return _scale(spec, theta, error, pressed, ends, unit)
    if spec.is_log:
        return _positive(spec, theta, error, pressed, ends, words)
    return _exponent(spec, theta, error, pressed, ends)


def _profiled(
    fitted: Estimate, rows: Rows, errors: list[float], reach: float, rise: Floats
) -> dict[int, Profile]:
    """Profile intervals by position; a floor has one also where it is pressed to 0."""
    asked = []
    for i in fitted.form.indices(*PROFILED):
        spec = fitted.form.parameters[i]
        if i in fitted.form.fixed or (spec.name in fitted.at_bound and spec.kind != "floor"):
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


def _unit_of(form: Form, spec: ParameterSpec, scales: Floats) -> float:
    return float(scales[form.axes.index(spec.axis)]) if spec.axis in form.axes else 1.0


def _held(spec: ParameterSpec, theta: float, scale: float, words: _Words) -> Parameter:
    """A parameter that the user fixed; a floor of 0 is as deep as floors go."""
    if spec.kind in ("scale", "place"):
        value, unit = scale * math.exp(theta), spec.axis or "1"
    elif spec.is_log:
        value = math.exp(theta) - (words.link.offset if spec.kind == "floor" else 0.0)
        unit = _unit(spec, words.metric, words.link)
        value = 0.0 if spec.kind == "floor" and theta < words.nothing else value
    else:
        value, unit = theta, "1"
    return Parameter(
        name=spec.name, value=value, low=value, high=value, std_error=None, unit=unit,
        kind=spec.kind, axis=spec.axis, flags=("fixed",),
    )  # fmt: skip


def _within(ends: Profile, form: Form, i: int) -> Profile:
    """An interval that ends where the user's bounds do."""
    own = next(((low, high) for place, low, high in form.box if place == i), None)
    if own is None:
        return ends
    low, high = (
        [e for e in pair if e is not None and math.isfinite(e)]
        for pair in zip((ends.low, ends.high), own, strict=True)
    )
    return Profile(low=max(low, default=None), high=min(high, default=None))


def _positive(
    spec: ParameterSpec, theta: float, error: float, pressed: bool, ends: Profile, words: _Words
) -> Parameter:
    """A floor or amplitude; a floor that is pressed to the usual bound is 0."""
    floor = spec.kind == "floor"
    low, high = ends.low, ends.high
    if low is not None and theta - low > UNBOUNDED:
        low = None
    if high is not None and not floor and high - theta > UNBOUNDED:
        high = None
    value = 0.0 if floor and pressed and theta < words.nothing else math.exp(theta)
    offset = words.link.offset if floor else 0.0
    lowest = None if not floor or words.link.name == "signed" else 0.0
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
        unit=_unit(spec, words.metric, words.link),
        kind=spec.kind,
        axis=spec.axis,
        flags=flags,
    )


def _unit(spec: ParameterSpec, metric: str, link: Link) -> str:
    if spec.kind == "natural-amplitude":
        return "as in the formula"
    return f"odds of {metric}" if link.name == "odds" else metric


def _scale(
    spec: ParameterSpec, theta: float, error: float, pressed: bool, ends: Profile, unit: float
) -> Parameter:
    """A formula's scale, or the best value of an axis, in the unit of its axis."""
    vague = error > NOT_IDENTIFIED and not pressed
    bounded = [
        None if end is None or abs(end - theta) > UNBOUNDED else unit * math.exp(end)
        for end in (ends.low, ends.high)
    ]
    return Parameter(
        name=spec.name,
        value=unit * math.exp(theta),
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
