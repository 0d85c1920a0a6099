"""Approach 2: rows of nearly one cost make a slice, a parabola in ln x its minimum, a line through minima the exponent.

Hoffmann et al. 2022, arXiv 2203.15556, section 3.2. The parabola is biased where the curve is no parabola, which is
everywhere: off its centre, on wide slices, and where the exponents differ (arXiv 2603.22339). The bias on the very
places of a table is what the same procedure makes of a law's own values there, without noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.laws.observations import Floats

SLICE_WIDTH = 1.2
"""Ratio of the largest to the smallest cost in a slice (assumption: budgets are commonly met within 10 %)."""
LEAST_ROWS = 5
"""Rows of a slice at distinct places: a parabola has three parameters."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Slices:
    """Rows of nearly one cost.

    Attributes:
        rows: row numbers of each slice.
        log_cost: mean ln cost of each slice, ascending, shape (s,).
    """

    rows: tuple[NDArray[np.intp], ...]
    log_cost: Floats


def slices_of(log_cost: Floats, log_x: Floats, width: float = SLICE_WIDTH) -> Slices:
    """The densest windows of that width, one after another, while they hold enough rows at distinct places.

    Args:
        log_cost: ln cost of each row, shape (n,).
        log_x: ln of the axis of the parabola, shape (n,).
        width: ratio of largest to smallest cost in a slice.
    """
    order = np.argsort(log_cost, kind="stable")
    free = np.ones(len(order), dtype=bool)
    found = []
    while True:
        left = order[free]
        ends = np.searchsorted(log_cost[left], log_cost[left] + np.log(width), side="right")
        counts = ends - np.arange(len(left))
        if len(left) == 0 or counts.max() < LEAST_ROWS:
            break
        begin = int(np.argmax(counts))
        rows = left[begin : ends[begin]]
        free[np.isin(order, rows)] = False
        if len(np.unique(np.round(log_x[rows], 6))) >= LEAST_ROWS:
            found.append(rows)
    found.sort(key=lambda rows: float(log_cost[rows].mean()))
    means = np.array([log_cost[rows].mean() for rows in found])
    return Slices(rows=tuple(found), log_cost=means)


def minima(slices: Slices, log_x: Floats, error: Floats, weight: Floats) -> Floats:
    """Ln x at the minimum of each slice's parabola, shape (b, s); NaN where it opens down or ends outside.

    Args:
        slices: of the table.
        log_x: ln of the axis, shape (n,).
        error: of each row, shape (n,).
        weight: of the rows in each replicate, shape (b, n).
    """
    out = np.full((len(weight), len(slices.rows)), np.nan)
    for s, rows in enumerate(slices.rows):
        centre = log_x[rows].mean()
        z = log_x[rows] - centre
        powers = np.stack([z**p for p in range(5)])
        moments = weight[:, rows] @ powers.T
        right = (weight[:, rows] * error[rows]) @ powers[:3].T
        gram = moments[:, np.add.outer(np.arange(3), np.arange(3))]
        distinct = (weight[:, rows] > 0).sum(1) >= 3
        gram[~distinct] = np.eye(3)
        with np.errstate(all="ignore"):
            _, slope, bend = (np.linalg.pinv(gram) @ right[:, :, None])[:, :, 0].T
            place = -slope / (2.0 * bend)
        inside = distinct & (bend > 0) & (place >= z.min()) & (place <= z.max())
        out[inside, s] = place[inside] + centre
    return out


def frontier(log_cost: Floats, error: Floats, weight: Floats) -> NDArray[np.bool_]:
    """Approach 1: rows that no row of at most their cost beats, in each replicate, shape (b, n)."""
    order = np.lexsort((error, log_cost))
    drawn = weight[:, order] > 0
    values = np.where(drawn, error[order], np.inf)
    before = np.concatenate(
        [np.full((len(weight), 1), np.inf), np.minimum.accumulate(values, axis=1)[:, :-1]], axis=1
    )
    best = np.zeros(weight.shape, dtype=bool)
    best[:, order] = values < before
    return best


def slope_of(x: Floats, y: Floats, use: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Least-squares slope and value at x = 0 of y on x over the places in use, shape (b,) each; NaN below two.

    Args:
        x: shape (m,) or (b, m).
        y: shape (b, m); what is not in use may be NaN.
        use: shape (b, m).
    """
    n = use.sum(1)
    x = np.where(use, x, 0.0)
    y = np.where(use, y, 0.0)
    with np.errstate(all="ignore"):
        mean_x, mean_y = x.sum(1) / n, y.sum(1) / n
        dx = np.where(use, x - mean_x[:, None], 0.0)
        slope = (dx * np.where(use, y - mean_y[:, None], 0.0)).sum(1) / (dx**2).sum(1)
        slope = np.where((n >= 2) & ((dx**2).sum(1) > 1e-12), slope, np.nan)
    return slope, mean_y - slope * mean_x
