"""Best values of axes by a fitted law: where its valleys lie at given values of the other axes, with intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from planner.errors import FitError
from planner.laws.forms.base import Form
from planner.laws.observations import Floats
from planner.laws.parts import Member
from planner.laws.result import LawFit
from planner.words.student import t_quantile


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BestValues:
    """The best values of one axis at m points, each with its interval, in the axis's unit, shape (m,)."""

    axis: str
    value: Floats
    low: Floats
    high: Floats


def best_axes(fit: LawFit) -> tuple[str, ...]:
    """Axes with a best value inside by the heaviest form that has any, in the table's order."""
    member = _member(fit)
    if member is None:
        return ()
    named = {spec.axis for spec in member.form().parameters if spec.kind == "place"}
    return tuple(axis for axis in fit.axes if axis in named)


def best_values(fit: LawFit, x: ArrayLike, level: float = 0.9) -> tuple[BestValues, ...]:
    """Where each axis is best at points x (m, k), columns in the order of the law's axes.

    Values of the axes that are best somewhere are not looked at: all are at their best together. The
    interval is Student's, of ln best by the delta method, given the form.

    Raises:
        FitError: no form of the fit has a best value inside.
    """
    member = _member(fit)
    if member is None:
        raise FitError(
            f"no form of this fit has a best value inside an axis ({', '.join(f.law for f in fit.forms)}); "
            "fit it with --law optimum:AXIS"
        )
    form = member.form()
    logs = np.log(np.array(x, dtype=np.float64, ndmin=2)[:, [fit.axes.index(a) for a in form.axes]])
    z = {a: logs[:, i] - np.log(member.scales[i]) for i, a in enumerate(form.axes)}
    theta, covariance = np.array(member.theta), np.array(member.covariance)
    slopes: dict[str, Floats] = {}
    for axis in _inner_first(form):
        z[axis], slopes[axis] = _place(form, axis, theta, z, slopes)
    reach = t_quantile(0.5 + 0.5 * level, member.dof)
    found = []
    for axis in best_axes(fit):
        off = reach * np.sqrt(np.maximum((slopes[axis] @ covariance * slopes[axis]).sum(1), 0.0))
        centre = z[axis] + np.log(member.scales[form.axes.index(axis)])
        low, value, high = (np.exp(np.clip(centre + s * off, -700.0, 700.0)) for s in (-1, 0, 1))
        found.append(BestValues(axis=axis, value=value, low=low, high=high))
    return tuple(found)


def _inner_first(form: Form) -> list[str]:
    """Axes with a best value, each after those that it depends on."""
    return [str(form.parameters[i].axis) for i in reversed(form.indices("place"))]


def _place(
    form: Form, axis: str, theta: Floats, z: dict[str, Floats], slopes: dict[str, Floats]
) -> tuple[Floats, Floats]:
    """Ln best/s of one axis at each point, (m,), and its gradient in theta, (m, p).

    (place + sum_k drift_k z_k) / root, where z_k of another axis with a best value is at its own.
    """
    mine = {(s.kind, s.by): i for i, s in enumerate(form.parameters) if s.axis == axis}
    root = float(theta[mine["curvature", None]])
    n = len(next(iter(z.values())))
    centre, gradient = np.full(n, theta[mine["place", None]]), np.zeros((n, len(theta)))
    gradient[:, mine["place", None]] = 1.0
    for (kind, by), i in mine.items():
        if kind != "drift" or by is None:
            continue
        centre = centre + theta[i] * z[by]
        gradient[:, i] = z[by]
        if by in slopes:
            gradient += theta[i] * slopes[by]
    gradient[:, mine["curvature", None]] -= centre / root
    return centre / root, gradient / root


def _member(fit: LawFit) -> Member | None:
    """The heaviest member with a place, the leading form's first."""
    having = [m for m in fit.members if m.form().indices("place")]
    leading = [m for m in having if m.law == fit.law]
    return max(leading or having, key=lambda m: m.weight, default=None)
