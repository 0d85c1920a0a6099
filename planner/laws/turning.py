"""Axes with a best value inside: at both ends the error is higher beyond doubt.

The best value may stand still (`bent_axes`) or move with the other axes (`turning_axes`): then rows are
compared by their distance from the place where a quadratic form in all logarithms says that it lies.
"""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np

from planner.laws.forms.base import LEFT_OUT
from planner.laws.identify import Design
from planner.laws.observations import Floats, Observations
from planner.laws.solver.starts import quadratic

CERTAIN_TURN = 4.0
"""Standard errors by which both ends of an axis must exceed its best level."""
MOST_BINS = 8
"""Bins of the levels of an axis in the search for a best value inside."""


def bent_axes(table: Observations, design: Design) -> list[str]:
    """Power axes with a best value inside that stands still.

    Regression of the log error on bins of one axis's levels and parabolas in the other axes.
    """
    axes, z, y = _logs(table, design)
    return [axis for axis in design.power_axes if _turns(z, axes.index(axis), y)]


def turning_axes(table: Observations, design: Design) -> list[str]:
    """Power axes with a best value inside, standing still or moving as a power law of the other axes."""
    axes, z, y = _logs(table, design)
    found = []
    for axis in design.power_axes:
        column = axes.index(axis)
        moved = _from_its_place(z, column, y)
        if _turns(z, column, y) or (moved is not None and _turns(moved, column, y, products=True)):
            found.append(axis)
    return found


def _logs(table: Observations, design: Design) -> tuple[list[str], Floats, Floats]:
    axes = [axis for axis, role in design.roles.items() if role != LEFT_OUT]
    z = np.log(table.x[:, [table.axes.index(axis) for axis in axes]])
    return axes, z - z.mean(0), np.log(np.maximum(table.error, 1e-300))


def _from_its_place(z: Floats, column: int, y: Floats) -> Floats | None:
    """The axes with one replaced by its distance from where a quadratic form has its minimum."""
    k = z.shape[1]
    if len(y) <= 2 * (1 + k + k * (k + 1) // 2):
        return None
    linear, matrix = quadratic(z, y, np.ones(len(y)))
    curve = float(matrix[column, column])
    if curve <= 0:
        return None
    others = [i for i in range(k) if i != column]
    moved = z.copy()
    moved[:, column] += (z[:, others] @ matrix[others, column] + 0.5 * linear[column]) / curve
    return moved


def _turns(z: Floats, column: int, y: Floats, *, products: bool = False) -> bool:
    """Whether both ends of an axis err more than its best bin, beside parabolas in the other axes.

    With `products` those of the other axes join: where another axis' best value moves too, what is left of its
    valley lies in them, and as noise it hides this one.
    """
    levels = np.unique(z[:, column])
    edges = (
        levels if len(levels) <= MOST_BINS else np.quantile(levels, np.linspace(0, 1, MOST_BINS))
    )
    bins = np.digitize(z[:, column], edges[1:])
    dummies = np.eye(len(edges))[bins]
    dummies = dummies[:, dummies.any(0)]
    others = np.delete(z, column, axis=1)
    crossed = [others[:, i] * others[:, j] for i, j in combinations(range(others.shape[1]), 2)]
    features = np.column_stack([dummies, others, others**2, *(crossed if products else [])])
    n, p = features.shape
    if n <= p + 1:
        return False
    root = np.linalg.pinv(features, rcond=1e-10)
    solution = root @ y
    noise = float(((y - features @ solution) ** 2).sum()) / (n - p)
    covariance = noise * (root @ root.T)
    k = dummies.shape[1]
    best = int(np.argmin(solution[:k]))
    if best in (0, k - 1):
        return False
    return all(
        solution[end] - solution[best]
        > CERTAIN_TURN
        * math.sqrt(
            max(covariance[end, end] + covariance[best, best] - 2 * covariance[end, best], 0)
        )
        for end in (0, k - 1)
    )
