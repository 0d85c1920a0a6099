"""Which configurations to measure on a device, so that the stage model is determined with few of them.

A greedy D-optimal design: each next point adds most to the determinant of the stages' information, whose
rows are the shares of the columns in a stage's time as a data sheet would have them. Points that take
longer than their part of the time allowed are left out. Deterministic: the same candidates give the same
points.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from planner.costs.latency.model import LatencyModel
from planner.costs.latency.stages import COLUMNS, GROUPS, columns_of, regressors
from planner.costs.latency.transfer import DataSheet, datasheet_model
from planner.costs.windows import Floats, Windows
from planner.errors import InputError

CALIBRATION_POINTS = 12
"""Most points that a probe takes by default."""
CORE = DataSheet(name="one core", kind="cpu", peak_flops=1e11, bandwidth=1e10)
"""A CPU core (assumption), for the shares and the times before anything is measured."""
RIDGE = 0.01
"""Information before the first point, so that the determinant exists."""


def calibration_points(
    candidates: Sequence[Windows],
    n: int = CALIBRATION_POINTS,
    *,
    seconds: float | None = None,
    samples: int = 1,
    base: LatencyModel | None = None,
) -> list[int]:
    """Indices of at most n candidates to measure, the most telling first.

    Args:
        candidates: configurations that could be measured, one window each.
        n: most points.
        seconds: time allowed for all samples of all points, predicted by `base`; None: no limit.
        samples: runs of each point, warm-ups included.
        base: expectation of the device; a single CPU core's data sheet by default.

    Raises:
        InputError: n is not positive, or not one candidate fits the time.
    """
    if n < 1:
        raise InputError(f"calibration needs at least 1 point, got {n!r}")
    model = base or datasheet_model(CORE)
    x = regressors(candidates)
    cost = sum((f.cost for f in model.stages.values()), np.zeros(len(COLUMNS)))
    spent = (x * cost).sum(axis=1) * samples / 1e3
    left = seconds if seconds is not None else float(spent.sum()) + 1.0
    chosen = _greedy([_shares(x, cost, group) for group in GROUPS], spent, n, left)
    if not chosen:
        raise InputError(
            f"no configuration can be measured in {seconds:g} s; the shortest needs {spent.min():.3g} s, "
            "so allow more time or fewer samples"
        )
    return chosen


def _greedy(shares: Sequence[Floats], spent: Floats, n: int, left: float) -> list[int]:
    """The points, each the one that adds most to the determinants and fits the time that is left."""
    inverses = [np.eye(s.shape[1]) / RIDGE for s in shares]
    chosen: list[int] = []
    while len(chosen) < min(n, len(spent)):
        gain = sum(
            np.log1p(np.einsum("mi,ij,mj->m", s, m, s))
            for s, m in zip(shares, inverses, strict=True)
        )
        # A point may take a fair part of what is left, so that the others find room too.
        allowed = spent <= max(left, 0.0) * 3.0 / (n - len(chosen) + 2)
        gain = np.where(allowed, gain, -1.0)
        gain[chosen] = -1.0
        best = int(np.argmax(gain))
        if gain[best] < 0:
            break
        chosen.append(best)
        left -= float(spent[best])
        inverses = [_updated(m, s[best]) for s, m in zip(shares, inverses, strict=True)]
    return chosen


def _shares(x: Floats, cost: Floats, group: str) -> Floats:
    """Share of each column in the stage's time, shape (m, columns); 0 where the stage does not run."""
    own = x[:, columns_of(group)] * np.maximum(cost[columns_of(group)], 1e-12)
    return np.asarray(own / np.maximum(own.sum(axis=1, keepdims=True), 1e-300))


def _updated(inverse: Floats, row: Floats) -> Floats:
    """(M + row' row)^-1 from M^-1 by Sherman and Morrison."""
    v = inverse @ row
    return np.asarray(inverse - np.outer(v, v) / (1.0 + float(row @ v)))
