"""Profile intervals, where the Wald interval's ellipse is not the likelihood's shape.

A parameter is held at a value and all others refitted; values whose objective stays within
t^2 v / 2 of the smallest are in the interval (Venzon & Moolgavkar 1988), with t Student's quantile
and v the variance of a residual at weight 1. For a floor near 0 the interval is one-sided.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from planner.laws.estimate import Rows, problem_of
from planner.laws.forms import Form
from planner.laws.losses import Loss
from planner.laws.newton import Problem, descend
from planner.laws.observations import Floats

STEPS = np.array([0.3, 0.6, 1.0, 1.4, 2.0, 3.0, 5.0, 9.0])
"""Values tried on each side, in half-widths of the Wald interval (or of one log unit if that is wide)."""
DESCENT_STEPS = 40


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The interval of one working parameter; None where the objective never rises to the threshold."""

    low: float | None
    high: float | None


def profile(
    form: Form,
    rows: Rows,
    loss: Loss,
    theta: Floats,
    objective: float,
    index: int,
    *,
    half_width: float,
    threshold: float,
) -> Profile:
    """Profile interval of theta[index].

    Args:
        form: the form.
        rows: its table.
        loss: the loss with its threshold.
        theta: the estimate, shape (p,).
        objective: its objective.
        index: the parameter.
        half_width: of the Wald interval, to set the values that are tried.
        threshold: rise of the objective at the ends of the interval.
    """
    problem = problem_of(form, rows)
    width = min(half_width, 2.0) if form.parameters[index].is_log else half_width
    sides = []
    for sign in (-1.0, 1.0):
        base = _base(problem, theta, index) if sign > 0 else float(theta[index])
        values = base + sign * width * STEPS
        sides.append(_crossing(problem, loss, theta, objective, index, base, values, threshold))
    return Profile(low=sides[0], high=sides[1])


def _base(problem: Problem, theta: Floats, index: int) -> float:
    """Where the way up begins: for a floor at 0, e^-7 of the smallest error and not its bound."""
    if problem.form.parameters[index].kind == "floor":
        return max(float(theta[index]), float(problem.y.min()) - 7.0)
    return float(theta[index])


def _crossing(
    problem: Problem,
    loss: Loss,
    theta: Floats,
    objective: float,
    index: int,
    base: float,
    values: Floats,
    threshold: float,
) -> float | None:
    """Where the signed root of the objective's rise meets that of the threshold, by interpolation."""
    inside = (values >= problem.lower[0, index]) & (values <= problem.upper[0, index])
    values = values[inside]
    if len(values) == 0:
        return None
    start = np.repeat(theta[None], len(values), axis=0)
    start[:, index] = values
    lower = np.repeat(problem.lower, len(values), axis=0)
    upper = np.repeat(problem.upper, len(values), axis=0)
    lower[:, index] = upper[:, index] = values
    held = dataclasses.replace(problem, lower=lower, upper=upper)
    ends = descend(held, loss, start, n_steps=DESCENT_STEPS, tolerance=1e-7)
    roots = np.sqrt(np.maximum(ends.objective - objective, 0.0))
    places = np.concatenate([[base], values])
    roots = np.concatenate([[0.0], np.maximum.accumulate(roots)])
    wanted = np.sqrt(threshold)
    if roots[-1] < wanted:
        return None
    after = int(np.argmax(roots >= wanted))
    rise = max(roots[after] - roots[after - 1], 1e-300)
    share = (wanted - roots[after - 1]) / rise
    return float(places[after - 1] + share * (places[after] - places[after - 1]))
