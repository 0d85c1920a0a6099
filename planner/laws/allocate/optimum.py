"""The best point that a budget buys, for many parameter vectors of a law at once.

A grid over all axes but the last (which the budget fixes), refined between the outermost optima of all vectors until
a parabola through the best cell and its neighbours is exact to 1e-5 of an axis.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.laws.allocate.cost import Cost
from planner.laws.forms.base import Evaluator, Form
from planner.laws.observations import Floats

POINTS = {1: 65, 2: 33}
"""Grid points on each free axis, by the number of free axes."""
MOST_PASSES = 6
FINEST = 0.004
"""Step of the grid, in logarithms, at which a parabola is exact enough: its error is a sixth of the step's square
times the ratio of third and second derivative, below 1e-5."""
REACH = 7.0
"""How far outside the data optima are looked for on either side, in logarithms: a factor of 1,100."""
DEAR = 1e6
"""Ln error of a place that cannot be bought."""
CHUNK = 4_000_000
"""Values of the law that are held at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaled:
    """A form with the scales of its axes and their places among the axes of the cost."""

    form: Form
    scales: tuple[float, ...]
    columns: tuple[int, ...]

    def rows(self, logs: Floats) -> Evaluator:
        """The form at points ln x (m, k)."""
        return self.form.at(logs[:, list(self.columns)] - np.log(self.scales))

    def log_mean(self, theta: Floats, logs: Floats) -> Floats:
        """Ln f for theta (b, p) at points ln x (m, k), shape (b, m)."""
        return self.rows(logs).log_mean(theta)


def optima(law: Scaled, theta: Floats, cost: Cost, log_budgets: Floats, domain: Floats) -> Floats:
    """Ln x of the least error that each budget buys, shape (b, budgets, k); NaN where none is inside the search.

    Args:
        law: the form.
        theta: working parameters, shape (b, p).
        cost: of a row.
        log_budgets: shape (m,).
        domain: ln of the smallest and largest value of each axis in the data, shape (k, 2).
    """
    return np.stack([_at(law, theta, cost, float(b), domain) for b in log_budgets], axis=1)


def _at(law: Scaled, theta: Floats, cost: Cost, log_budget: float, domain: Floats) -> Floats:
    n_free = len(cost.axes) - 1
    low, high = _box(cost, log_budget, domain)
    points = POINTS[n_free]
    inside = np.zeros(len(theta), dtype=bool)
    best = np.full((len(theta), n_free), np.nan)
    for _ in range(MOST_PASSES):
        grids = [np.linspace(a, b, points) for a, b in zip(low, high, strict=True)]
        best, inside = _best(law, theta, cost, log_budget, grids)
        step = np.array([g[1] - g[0] for g in grids])
        if not inside.any() or (step <= FINEST).all():
            break
        found = best[inside]
        tighter = found.min(0) - 2.0 * step, found.max(0) + 2.0 * step
        if ((tighter[1] - tighter[0]) > 0.7 * (high - low)).all():
            break
        low, high = np.maximum(tighter[0], low), np.minimum(tighter[1], high)
    logs = np.full((len(theta), n_free + 1), np.nan)
    if inside.any():
        logs[inside] = cost.completed(best[inside], np.full(int(inside.sum()), log_budget))
    return logs


def _box(cost: Cost, log_budget: float, domain: Floats) -> tuple[Floats, Floats]:
    """Ends of the search on the free axes: the data's, and beyond by as much as the budget is."""
    centre = domain.mean(axis=1)
    at, slope = cost.log_cost(centre[None])
    shift = (log_budget - float(at[0])) / np.maximum(slope[0][:-1], 0.25)
    low = np.minimum(domain[:-1, 0], domain[:-1, 0] + shift) - REACH
    return low, np.maximum(domain[:-1, 1], domain[:-1, 1] + shift) + REACH


def _best(
    law: Scaled, theta: Floats, cost: Cost, log_budget: float, grids: list[Floats]
) -> tuple[Floats, NDArray[np.bool_]]:
    """Vertex of the parabola about the best cell of each vector, and whether that cell is no edge."""
    mesh = np.stack([g.ravel() for g in np.meshgrid(*grids, indexing="ij")], axis=-1)
    logs = cost.completed(mesh, np.full(len(mesh), log_budget))
    # Where the other axes alone cost more than the budget there is nothing to buy.
    within = np.isfinite(logs[:, -1])
    logs[~within, -1] = 0.0
    shape = np.array([len(g) for g in grids])
    evaluator, size = law.rows(logs), max(CHUNK // len(mesh), 1)
    found = [
        _vertices(
            np.where(within, evaluator.log_mean(theta[begin : begin + size]), DEAR), shape, grids
        )
        for begin in range(0, len(theta), size)
    ]
    best, inside = (np.concatenate(part) for part in zip(*found, strict=True))
    return best, inside


def _vertices(
    values: Floats, shape: np.ndarray, grids: list[Floats]
) -> tuple[Floats, NDArray[np.bool_]]:
    """Minimum of the quadratic through the neighbours of each row's best cell, shape (b, free axes).

    The cell itself where it is not convex; NaN, and False, where the cell lies on an edge.
    """
    k, rows = len(grids), np.arange(len(values))
    place = np.stack(np.unravel_index(np.argmin(values, axis=1), shape), axis=1)
    inside: NDArray[np.bool_] = np.all((place > 0) & (place < shape - 1), axis=1)
    centre = np.clip(place, 1, shape - 2)

    def near(*steps: int) -> Floats:
        index = np.ravel_multi_index(tuple((centre + np.array(steps)).T), tuple(shape))
        found: Floats = values[rows, index]
        return found

    unit = np.eye(k, dtype=int)
    middle = near(*[0] * k)
    gradient, hessian = np.empty((len(values), k)), np.empty((len(values), k, k))
    for i in range(k):
        up, down = near(*unit[i]), near(*-unit[i])
        gradient[:, i] = 0.5 * (up - down)
        hessian[:, i, i] = up + down - 2.0 * middle
    for i, j in itertools.combinations(range(k), 2):
        both, other = unit[i] + unit[j], unit[i] - unit[j]
        mixed = 0.25 * (near(*both) + near(*-both) - near(*other) - near(*-other))
        hessian[:, i, j] = hessian[:, j, i] = mixed
    convex: NDArray[np.bool_] = np.all(np.linalg.eigvalsh(hessian) > 0, axis=1)
    hessian[~convex] = np.eye(k)
    step = -np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
    step = np.where(convex[:, None], np.clip(step, -1.0, 1.0), 0.0)
    here = np.stack([g[centre[:, i]] for i, g in enumerate(grids)], axis=1)
    best = here + step * np.array([g[1] - g[0] for g in grids])
    return np.where(inside[:, None], best, np.nan), inside
