"""Profile intervals, where the Wald interval's ellipse is not the likelihood's shape.

A parameter is held at a value and all others refitted; values whose objective stays within
t^2 v / 2 of the smallest are in the interval (Venzon & Moolgavkar 1988), with t Student's quantile
and v the variance of a residual at weight 1. The profile is followed from the estimate outwards, each
point predicted along the tangent of the last and corrected by Newton: the valley is narrow and bent,
and a cold start at a distant value would end on its wall. For a floor near 0 the interval is one-sided.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from planner.laws.estimate import Rows, problem_of
from planner.laws.forms import Form
from planner.laws.losses import Loss
from planner.laws.newton import LocalModel, Problem, descend, local_model
from planner.laws.observations import Floats

FIRST_STEP = 0.4
"""First step, in half-widths of the Wald interval."""
MOST_POINTS = 20
NEWTON_STEPS = 30
CLOSE_ENOUGH = 0.03
"""Distance of the root of the rise from the wanted one, as a share of it, that ends the search."""
LARGEST_STRETCH = 2.5
"""Largest ratio of one step outwards to the last."""
LARGEST_LOG_STEP = 1.0
"""Largest step of a logarithm: a floor counts in proportion to itself, not to its logarithm."""
FLOOR_DEPTH = 7.0
"""A floor below e^-7 of the smallest error is 0 for the profile."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The interval of one working parameter; None where the objective never rises to the threshold."""

    low: float | None
    high: float | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Search:
    problem: Problem
    loss: Loss
    objective: float
    index: int
    wanted: float


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
        half_width: of the Wald interval, which sets the first step.
        threshold: rise of the objective at the ends of the interval.
    """
    problem = problem_of(form, rows)
    search = _Search(
        problem=problem,
        loss=loss,
        objective=objective,
        index=index,
        wanted=float(np.sqrt(threshold)),
    )
    floor = form.parameters[index].kind == "floor"
    bottom = float(problem.y.min()) - FLOOR_DEPTH if floor else float(problem.lower[0, index])
    top = float(problem.upper[0, index])
    low = None if theta[index] <= bottom else _walk(search, theta, -half_width, bottom)
    start = theta
    if theta[index] < bottom:
        # A floor of 0: the way up begins where it starts to count.
        start = theta.copy()
        start[index] = bottom
    return Profile(low=low, high=_walk(search, start, half_width, top))


def _walk(search: _Search, theta: Floats, half_width: float, end: float) -> float | None:
    """Where the rise's root meets the wanted one on the way to `end`, or None."""
    place, root, step = float(theta[search.index]), 0.0, FIRST_STEP * half_width
    model = local_model(search.problem, search.loss, theta[None])
    beyond: float | None = None
    for _ in range(MOST_POINTS):
        if abs(step) >= abs(end - place):
            step = end - place
        if step == 0.0:
            return None
        there = place + step
        theta_there, value = _constrained(
            search, theta + step * _tangent(model, search.index), there
        )
        root_there = float(np.sqrt(max(value - search.objective, 0.0)))
        if abs(root_there - search.wanted) <= CLOSE_ENOUGH * search.wanted:
            rise = max(root_there - root, 1e-300)
            return place + step * (search.wanted - root) / rise
        if root_there > search.wanted:
            beyond = there
            step *= float(np.clip((search.wanted - root) / (root_there - root), 0.1, 0.9))
            continue
        gain = max(root_there - root, 1e-300)
        place, root, theta = there, root_there, theta_there
        model = local_model(search.problem, search.loss, theta[None])
        step *= float(np.clip((search.wanted - root) / gain, 0.1, LARGEST_STRETCH))
        if search.problem.form.parameters[search.index].is_log:
            step = float(np.clip(step, -LARGEST_LOG_STEP, LARGEST_LOG_STEP))
    # Kinks of a small Huber threshold can leave no point close enough: the end lies in between.
    return None if beyond is None else 0.5 * (place + beyond)


def _tangent(model: LocalModel, index: int) -> Floats:
    """Direction d theta / d theta[index] of the profile at a constrained optimum."""
    hessian, scale = model.hessian[0], 1.0 / np.sqrt(model.diagonal[0])
    others = np.arange(len(hessian)) != index
    scaled = (hessian * scale[:, None] * scale[None, :])[others][:, others]
    right = (hessian[others, index]) * scale[others]
    direction = np.ones(len(hessian))
    direction[others] = -(np.linalg.pinv(scaled, rcond=1e-12) @ right) * scale[others]
    return np.asarray(direction)


def _constrained(search: _Search, start: Floats, value: float) -> tuple[Floats, float]:
    """The optimum with the parameter held, and its objective."""
    problem, index = search.problem, search.index
    lower, upper = problem.lower.copy(), problem.upper.copy()
    lower[0, index] = upper[0, index] = value
    held = dataclasses.replace(problem, lower=lower, upper=upper)
    start = np.clip(start, lower[0], upper[0])[None]
    end = descend(held, search.loss, start, n_steps=NEWTON_STEPS, tolerance=1e-8)
    return end.theta[0], float(end.objective[0])
