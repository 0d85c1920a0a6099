"""Profile intervals, where the Wald interval's ellipse is not the likelihood's shape.

A parameter is held at a value and all others refitted; values whose objective stays within
t^2 v / 2 of the smallest are in the interval (Venzon & Moolgavkar 1988), with t Student's quantile
and v the variance of a residual at weight 1. The profile is followed from the estimate outwards, each
point predicted along the tangent of the last and corrected by Newton: the valley is narrow and bent,
and a cold start at a distant value would end on its wall. For a floor near 0 the interval is one-sided.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from planner.laws.forms.base import Form
from planner.laws.observations import Floats
from planner.laws.solver.damped_newton import LocalModel, Problem, descend, local_model
from planner.laws.solver.estimate import Rows, problem_of
from planner.laws.solver.losses import Loss

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
CURVE_STEP = 0.12
"""Wanted rise of the root from one point of a drawn curve to the next, as a share of the largest."""
CURVE_POINTS = 30
"""Most points of a drawn curve on one side."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The interval of one working parameter; None where the objective never rises to the threshold."""

    low: float | None
    high: float | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ProfiledParameter:
    """One interval that is wanted: the parameter, the first step's scale, and the rise at its ends.

    `half_width` is that of the Wald interval, `threshold` the rise of the objective.
    """

    index: int
    half_width: float
    threshold: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Valley:
    """What is profiled: the problem, its loss and the objective at the estimate."""

    problem: Problem
    loss: Loss
    objective: float

    def ends(self, index: int) -> tuple[float, float]:
        """Least and largest value of a parameter that a profile looks at."""
        problem = self.problem
        floor = problem.form.parameters[index].kind == "floor"
        bottom = float(problem.y.min()) - FLOOR_DEPTH if floor else float(problem.lower[0, index])
        return bottom, float(problem.upper[0, index])

    def held(
        self, index: list[int], start: list[Floats], value: list[float]
    ) -> tuple[Floats, Floats]:
        """Optima with one parameter held in each, shape (b, p), and the roots of their rises."""
        problem, rows = self.problem, np.arange(len(index))
        lower = np.repeat(problem.lower, len(index), axis=0)
        upper = np.repeat(problem.upper, len(index), axis=0)
        lower[rows, index] = upper[rows, index] = value
        fixed = dataclasses.replace(problem, lower=lower, upper=upper)
        inside = np.clip(np.array(start), lower, upper)
        end = descend(fixed, self.loss, inside, n_steps=NEWTON_STEPS, tolerance=1e-8)
        return end.theta, np.sqrt(np.maximum(end.objective - self.objective, 0.0))

    def tangents(self, index: list[int], theta: list[Floats]) -> list[Floats]:
        """Directions d theta / d theta[index] of the profiles at constrained optima."""
        model = local_model(self.problem, self.loss, np.array(theta))
        return [_tangent(model, row, i) for row, i in enumerate(index)]


@dataclasses.dataclass(slots=True, kw_only=True, eq=False)
class _Walker:
    """One way outwards: where it stands, the root of the rise there, and what it found."""

    index: int
    is_log: bool
    wanted: float
    theta: Floats
    step: float
    end: float
    root: float = 0.0
    tangent: Floats | None = None
    beyond: float | None = None
    found: float | None = None
    done: bool = False

    @property
    def place(self) -> float:
        """The parameter's value here."""
        return float(self.theta[self.index])

    def arrive(self, theta: Floats, root: float) -> None:
        """Take the optimum at the next value: an end, a point beyond it, or a step on the way."""
        if abs(root - self.wanted) <= CLOSE_ENOUGH * self.wanted:
            rise = max(root - self.root, 1e-300)
            self.found = self.place + self.step * (self.wanted - self.root) / rise
            self.done = True
            return
        missing = self.wanted - self.root
        if root > self.wanted:
            self.beyond = self.place + self.step
            self.step *= float(np.clip(missing / (root - self.root), 0.1, 0.9))
            return
        gain = max(root - self.root, 1e-300)
        self.step *= float(np.clip((self.wanted - root) / gain, 0.1, LARGEST_STRETCH))
        if self.is_log:
            self.step = float(np.clip(self.step, -LARGEST_LOG_STEP, LARGEST_LOG_STEP))
        self.theta, self.root, self.tangent = theta, root, None


def profiles(
    form: Form,
    rows: Rows,
    loss: Loss,
    theta: Floats,
    objective: float,
    asked: Sequence[ProfiledParameter],
) -> list[Profile]:
    """Profile intervals of several parameters, all ways outwards in one batch.

    Args:
        form: the form.
        rows: its table.
        loss: the loss with its threshold.
        theta: the estimate, shape (p,).
        objective: its objective.
        asked: the intervals wanted.
    """
    valley = _valley(form, rows, loss, theta, objective)
    ways = [walker for one in asked for walker in _walkers(valley, theta, one)]
    for _ in range(MOST_POINTS):
        active = [walker for walker in ways if not walker.done]
        if not active:
            break
        _advance(valley, active)
    return [_interval(low, high) for low, high in zip(ways[::2], ways[1::2], strict=True)]


def _valley(form: Form, rows: Rows, loss: Loss, theta: Floats, objective: float) -> _Valley:
    """The problem by points, where least squares allows it: the rise of the objective is the same."""
    points = rows if loss.delta is not None else rows.merged()[0]
    problem = problem_of(form, points)
    if len(points) < len(rows):
        objective = float(local_model(problem, loss, theta[None]).value[0])
    return _Valley(problem=problem, loss=loss, objective=objective)


def _walkers(valley: _Valley, theta: Floats, one: ProfiledParameter) -> list[_Walker]:
    """The ways down and up from the estimate."""
    bottom, top = valley.ends(one.index)
    # A floor of 0: the way up begins where it starts to count.
    start = theta.copy()
    start[one.index] = max(float(theta[one.index]), bottom)
    return [
        _Walker(
            index=one.index,
            is_log=valley.problem.form.parameters[one.index].is_log,
            wanted=float(np.sqrt(one.threshold)),
            theta=start,
            step=sign * FIRST_STEP * one.half_width,
            end=end,
        )
        for sign, end in ((-1.0, bottom), (1.0, top))
    ]


def _advance(valley: _Valley, active: list[_Walker]) -> None:
    """One point further on every way."""
    turned = [walker for walker in active if walker.tangent is None]
    if turned:
        found = valley.tangents([w.index for w in turned], [w.theta for w in turned])
        for walker, tangent in zip(turned, found, strict=True):
            walker.tangent = tangent
    for walker in active:
        if abs(walker.step) >= abs(walker.end - walker.place):
            walker.step = walker.end - walker.place
        # Nowhere to go: the objective never rises to the threshold.
        walker.done = walker.step == 0.0
    going = [walker for walker in active if not walker.done]
    if not going:
        return
    theta, roots = valley.held(
        [w.index for w in going],
        [w.theta + w.step * w.tangent for w in going if w.tangent is not None],
        [w.place + w.step for w in going],
    )
    for walker, there, root in zip(going, theta, roots.tolist(), strict=True):
        walker.arrive(there, root)


def _interval(down: _Walker, up: _Walker) -> Profile:
    def end(walker: _Walker) -> float | None:
        if walker.found is not None or walker.beyond is None:
            return walker.found
        # Kinks of a small Huber threshold can leave no point close enough: the end lies between.
        return 0.5 * (walker.place + walker.beyond)

    return Profile(low=end(down), high=end(up))


def curve(
    form: Form,
    rows: Rows,
    loss: Loss,
    theta: Floats,
    objective: float,
    asked: ProfiledParameter,
) -> tuple[Floats, Floats]:
    """The profile of one parameter on both sides of the estimate, as far as the rise asked for.

    Args:
        form: the form.
        rows: its table.
        loss: the loss with its threshold.
        theta: the estimate, shape (p,).
        objective: its objective.
        asked: the parameter, and the rise at which the curve ends, where it gets there.

    Returns:
        Values of the working parameter, ascending, and the rise of the objective at each.
    """
    valley = _valley(form, rows, loss, theta, objective)
    down, up = _walkers(valley, theta, asked)
    for walker in (down, up):
        walker.step *= 0.5 * CURVE_STEP / FIRST_STEP
    start = (down.place, 0.0)
    points = [*reversed(_trace(valley, down)), start, *_trace(valley, up)]
    values, roots = np.array(points).T
    return values, roots**2


def _trace(valley: _Valley, walker: _Walker) -> list[tuple[float, float]]:
    """Values of the parameter and roots of the rise on the way out, nearest first."""
    points: list[tuple[float, float]] = []
    i = walker.index
    while len(points) < CURVE_POINTS and walker.root < walker.wanted and walker.place != walker.end:
        step = float(np.clip(walker.step, -LARGEST_LOG_STEP, LARGEST_LOG_STEP))
        place = walker.place
        there = walker.end if abs(step) >= abs(walker.end - place) else place + step
        tangent = valley.tangents([i], [walker.theta])[0]
        theta, roots = valley.held([i], [walker.theta + (there - place) * tangent], [there])
        gain = max(float(roots[0]) - walker.root, 1e-300)
        walker.theta, walker.root = theta[0], float(roots[0])
        points.append((there, walker.root))
        wanted = CURVE_STEP * walker.wanted / gain
        walker.step = step * float(np.clip(wanted, 0.3, LARGEST_STRETCH))
    return points


def _tangent(model: LocalModel, row: int, index: int) -> Floats:
    """Direction d theta / d theta[index] of the profile at one of the model's optima."""
    hessian, scale = model.hessian[row], 1.0 / np.sqrt(model.diagonal[row])
    others = np.arange(len(hessian)) != index
    scaled = (hessian * scale[:, None] * scale[None, :])[others][:, others]
    right = (hessian[others, index]) * scale[others]
    direction = np.ones(len(hessian))
    direction[others] = -(np.linalg.pinv(scaled, rcond=1e-12) @ right) * scale[others]
    return np.asarray(direction)
