"""What is known of a law before its rows are seen: parameters held, bounded, or believed to lie somewhere.

A name is that of a parameter as it is reported (`alpha_n`); `floor` is the floor whatever it is called, and `alpha`
every `alpha_AXIS`. Values are in the units in which parameters are reported.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from planner.errors import InputError, UnknownNameError
from planner.laws.forms.base import Form, ParameterSpec
from planner.laws.forms.controlled import Controlled
from planner.laws.forms.link import Link
from planner.laws.observations import Floats
from planner.words.table_text import figure

FIX, BOUNDS, PRIOR = "fix", "bounds", "prior"
_PLUS_MINUS = re.compile(r"\+/-|\+-|±")


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """One thing that is known of a parameter.

    Attributes:
        kind: `fix`, `bounds` or `prior`.
        name: of the parameter, or of several: `floor`, `alpha`.
        first: the value; the lower bound, or None; the mean.
        second: None; the upper bound, or None; the standard deviation. A prior of a positive parameter
            (floor, amplitude, scale, best value) is log-normal with the relative deviation.
    """

    kind: str
    name: str
    first: float | None
    second: float | None = None

    def said(self) -> str:
        """In words: `alpha_n fixed at 0.5`."""
        if self.kind == FIX:
            return f"{self.name} fixed at {self.first:g}"
        if self.kind == PRIOR:
            return f"{self.name} believed to be {self.first:g} ± {self.second:g}"
        low = "any" if self.first is None else f"{self.first:g}"
        high = "any" if self.second is None else f"{self.second:g}"
        return f"{self.name} within {low} to {high}"


def constraints(
    fix: Mapping[str, float] | Iterable[str] = (),
    bounds: Mapping[str, tuple[float | None, float | None]] | Iterable[str] = (),
    priors: Mapping[str, tuple[float, float]] | Iterable[str] = (),
) -> tuple[Constraint, ...]:
    """Constraints from values by name, or from texts: `alpha=0.5`, `floor=0:0.05`, `alpha=0.3±0.1`.

    >>> [c.said() for c in constraints(fix=["alpha=0.5"], priors={"E": (1.7, 0.2)})]
    ['alpha fixed at 0.5', 'E believed to be 1.7 ± 0.2']

    Raises:
        InputError: a text is none of these, bounds are crossed, or a deviation is not positive.
    """
    made = [Constraint(kind=FIX, name=n, first=v) for n, v in _pairs(fix, FIX).items()]
    made += [
        Constraint(kind=BOUNDS, name=n, first=ends[0], second=ends[1])
        for n, ends in _pairs(bounds, BOUNDS).items()
    ]
    made += [
        Constraint(kind=PRIOR, name=n, first=about[0], second=about[1])
        for n, about in _pairs(priors, PRIOR).items()
    ]
    for one in made:
        _check(one)
    return tuple(made)


def _pairs(given: Mapping[str, Any] | Iterable[str], kind: str) -> dict[str, Any]:
    if isinstance(given, Mapping):
        return dict(given)
    made: dict[str, Any] = {}
    for name, value in (_read(text, kind) for text in given):
        if name in made:
            raise InputError(f"--{kind} {name} is given twice; leave one of them out")
        made[name] = value
    return made


TOLD = ("curvature", "place", "drift", "skew")
"""Kinds of parameters that are told of a valley, and not estimated themselves."""
EXAMPLES = {FIX: "alpha_n=0.5", BOUNDS: "floor=0:0.05", PRIOR: "alpha_n=0.3±0.1"}


def _read(text: str, kind: str) -> tuple[str, object]:
    name, equals, rest = text.partition("=")
    name = name.strip()
    try:
        if not (equals and name):
            raise ValueError
        if kind == FIX:
            return name, figure(rest, name)
        parts = rest.split(":") if kind == BOUNDS else _PLUS_MINUS.split(rest)
        if len(parts) != 2:
            raise ValueError
        return name, tuple(figure(p, name) if p.strip() else None for p in parts)
    except ValueError:
        raise InputError(f"--{kind} reads {EXAMPLES[kind]}, got {text!r}") from None


def _check(one: Constraint) -> None:
    values = [v for v in (one.first, one.second) if v is not None]
    if not all(isinstance(v, int | float) and math.isfinite(v) for v in values):
        raise InputError(f"--{one.kind} {one.name} needs finite numbers, got {values}")
    if one.kind == BOUNDS:
        if not values:
            raise InputError(f"--bounds {one.name} says neither a lower nor an upper bound")
        if len(values) == 2 and not values[0] < values[1]:
            raise InputError(
                f"--bounds {one.name} {values[0]:g}:{values[1]:g} holds no value; give the lower first, or --fix it"
            )
    if one.kind == PRIOR and (len(values) != 2 or values[1] <= 0):
        raise InputError(f"--prior {one.name} needs a mean and a deviation above 0")


def named(form: Form, name: str) -> list[int]:
    """Places in theta of the parameters that a name means.

    Raises:
        UnknownNameError: the form has none of that name.
    """
    specs = form.parameters
    exact = [i for i, spec in enumerate(specs) if spec.name == name]
    if exact:
        return exact
    several = form.indices("floor") if name == "floor" else []
    several += [
        i for i, spec in enumerate(specs) if spec.axis and spec.name == f"{name}_{spec.axis}"
    ]
    if not several:
        known = [spec.name for spec in specs]
        raise UnknownNameError("parameter", name, known, remedy=f"those are of law {form.law}")
    return several


def controlled(form: Form, known: tuple[Constraint, ...], scales: Floats, link: Link) -> Form:
    """The form with what is known of its parameters; itself where nothing is.

    Raises:
        InputError: a positive parameter cannot have the value, or two constraints leave none.
        UnknownNameError: the form has no parameter of a name.
    """
    if not known:
        return form
    box: dict[int, tuple[float, float]] = {}
    priors: list[tuple[int, float, float]] = []
    fixed: set[int] = set()
    for one in known:
        for i in named(form, one.name):
            spec, unit = form.parameters[i], _unit(form, i, scales)
            if form.derived and spec.kind in TOLD:
                raise InputError(
                    f"{spec.name} of law {form.law} follows from what is estimated and cannot be given "
                    "beforehand; give floor or exponents, or a --law of one's own"
                )
            if one.kind == PRIOR:
                priors.append((i, *_believed(spec, one, unit, link)))
                continue
            low = _working(spec, one.first, -math.inf, unit, link)
            high = low if one.kind == FIX else _working(spec, one.second, math.inf, unit, link)
            if one.kind == FIX:
                fixed.add(i)
                if low == -math.inf and spec.kind != "floor":
                    raise InputError(
                        f"{spec.name} is positive and cannot be fixed at {one.first:g}"
                    )
            elif high == -math.inf:
                raise InputError(f"{spec.name} is positive and cannot be at most {one.second:g}")
            box[i] = _both(box[i], (low, high), spec, known) if i in box else (low, high)
    for i, *_ in priors:
        if i in fixed:
            raise InputError(
                f"{form.parameters[i].name} is fixed and believed to lie elsewhere; leave out --fix or --prior"
            )
    return Controlled(
        base=form, box=tuple((i, *ends) for i, ends in box.items()), priors=tuple(priors), fixed=frozenset(fixed)
    )  # fmt: skip


def _both(
    one: tuple[float, float], other: tuple[float, float], spec: ParameterSpec, known: tuple[Constraint, ...]
) -> tuple[float, float]:  # fmt: skip
    """What two constraints of one parameter leave."""
    low, high = max(one[0], other[0]), min(one[1], other[1])
    if low > high:
        said = "; ".join(c.said() for c in known if c.kind != PRIOR)
        raise InputError(f"{spec.name} is left no value by what is given: {said}")
    return low, high


def _unit(form: Form, i: int, scales: Floats) -> float:
    spec = form.parameters[i]
    return float(scales[form.axes.index(str(spec.axis))]) if spec.kind == "place" else 1.0


def _working(
    spec: ParameterSpec, value: float | None, default: float, unit: float, link: Link
) -> float:
    """The working parameter of a natural value; -inf for a positive one's 0."""
    if value is None:
        return default
    if not (spec.is_log or spec.kind in ("scale", "place")):
        return value
    moved = value + (link.offset if spec.kind == "floor" else 0.0)
    return math.log(moved / unit) if moved > 0 else -math.inf


def _believed(spec: ParameterSpec, one: Constraint, unit: float, link: Link) -> tuple[float, float]:
    assert one.first is not None
    assert one.second is not None
    mean = _working(spec, one.first, 0.0, unit, link)
    if mean == -math.inf:
        raise InputError(f"{spec.name} is positive and cannot be believed to be {one.first:g}")
    logs = spec.is_log or spec.kind in ("scale", "place")
    return mean, one.second / one.first if logs else one.second
