"""Approaches 1, 2 and 3 on one table, each for many row weights at once: the table's own, and its resamples'."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.laws.allocate.cost import Cost
from planner.laws.allocate.optimum import Scaled, optima
from planner.laws.allocate.slices import Slices, frontier, minima, slices_of, slope_of
from planner.laws.observations import Floats

EXPONENT_BUDGETS = 3
"""Budgets over the table's costs that Approach 3's exponents are regressed on: a sum of two powers needs two."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lines:
    """Lines ln x_opt = level + exponent ln C, each shape (b, k); NaN where there is none.

    `n_points` is of the first replicate: rows of the frontier, or slices.
    """

    exponent: Floats
    level: Floats
    n_points: int

    def at(self, log_budgets: Floats) -> Floats:
        """Ln x_opt, shape (b, budgets, k)."""
        return self.level[:, None, :] + self.exponent[:, None, :] * log_budgets[None, :, None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CostedTable:
    """Rows as logarithms with their cost: x (n, k), cost (n,), error (n,)."""

    logs: Floats
    log_cost: Floats
    error: Floats
    cost: Cost

    @property
    def domain(self) -> Floats:
        """Ln of smallest and largest value of each axis, shape (k, 2)."""
        return np.stack([self.logs.min(0), self.logs.max(0)], axis=1)

    def budgets(self, n: int) -> Floats:
        """Ln of n budgets over the table's costs."""
        return np.linspace(self.log_cost.min(), self.log_cost.max(), n)


def by_frontier(table: CostedTable, weight: Floats) -> Lines:
    """Approach 1: the exponents of the rows that no cheaper row beats.

    Args:
        table: with costs.
        weight: of the rows in each replicate, shape (b, n).
    """
    best = frontier(table.log_cost, table.error, weight)
    x = np.broadcast_to(table.log_cost, best.shape)
    found = [slope_of(x, np.broadcast_to(column, best.shape), best) for column in table.logs.T]
    exponent, level = (np.stack(part, axis=1) for part in zip(*found, strict=True))
    return Lines(exponent=exponent, level=level, n_points=int(best[0].sum()))


def by_slices(table: CostedTable, weight: Floats, width: float) -> tuple[Lines, Slices, Floats]:
    """Approach 2: the exponents of the parabolas' minima; two axes.

    Returns:
        The lines, the slices, and ln of the first axis at each slice's minimum, shape (b, s).
    """
    slices = slices_of(table.log_cost, table.logs[:, 0], width)
    first = minima(slices, table.logs[:, 0], table.error, weight)
    nothing = np.full((len(weight), 2), np.nan)
    if first.shape[1] < 2:
        return Lines(exponent=nothing, level=nothing, n_points=first.shape[1]), slices, first
    use = np.isfinite(first)
    costs = np.broadcast_to(slices.log_cost, first.shape)
    places = table.cost.completed(np.where(use, first, 0.0)[..., None], costs)
    use = use & np.isfinite(places[..., -1])
    found = [slope_of(costs, places[..., i], use) for i in range(2)]
    exponent, level = (np.stack(part, axis=1) for part in zip(*found, strict=True))
    return Lines(exponent=exponent, level=level, n_points=int(use[0].sum())), slices, first


def by_law(law: Scaled, theta: Floats, table: CostedTable, places: Floats | None = None) -> Lines:
    """Approach 3: the exponents of the law's optima over the table's range of costs.

    Args:
        law: the form.
        theta: working parameters of each replicate, shape (b, p).
        table: with costs.
        places: the optima of `table.budgets(EXPONENT_BUDGETS)`, where they are known already.
    """
    budgets = table.budgets(EXPONENT_BUDGETS)
    if places is None:
        places = optima(law, theta, table.cost, budgets, table.domain)
    use: NDArray[np.bool_] = np.all(np.isfinite(places), axis=2)
    x = np.broadcast_to(budgets, use.shape)
    found = [slope_of(x, places[..., i], use) for i in range(places.shape[2])]
    exponent, level = (np.stack(part, axis=1) for part in zip(*found, strict=True))
    return Lines(exponent=exponent, level=level, n_points=len(table.error))
