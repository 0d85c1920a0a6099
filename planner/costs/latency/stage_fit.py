"""How many costs a number of measurements supports, stage by stage.

With many configurations every column of a stage may have a cost; with few, only those that matter most,
and with one a single rate. Fewer columns come with a wider prior spread, so that little evidence never
gives a narrow interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from planner.costs.latency import nonnegative
from planner.costs.latency.nonnegative import NonNegativeFit
from planner.costs.latency.stages import COLUMNS, GROUPS, columns_of
from planner.costs.windows import Floats

READ_ONCE = ("decode.weights", "decode.vocabulary")
"""Columns of values that are read in each step: 2 FLOPs each."""

LADDERS: dict[str, tuple[tuple[int, float, tuple[str, ...]], ...]] = {
    "features": (
        (4, 0.10, ("features.launch", "features.frames")),
        (1, 0.30, ("features.frames",)),
    ),
    "encoder": (
        (9, 0.06, tuple(c for c in COLUMNS if c.startswith("encoder."))),
        (4, 0.12, ("encoder.launch", "encoder.flops", "encoder.layers")),
        (1, 0.40, ("encoder.flops",)),
    ),
    "decode": (
        (9, 0.06, tuple(c for c in COLUMNS if c.startswith("decode."))),
        (4, 0.12, ("decode.layer_steps", "decode.weights", "decode.vocabulary")),
        (1, 0.40, ("decode.layer_steps",)),
    ),
    "all": (
        (12, 0.08, COLUMNS),
        (6, 0.15, ("features.launch", "encoder.flops", "decode.layer_steps", "decode.weights")),
        (3, 0.30, ("encoder.flops", "decode.layer_steps")),
        (1, 0.50, ("encoder.flops", "encoder.attention", "decode.prefill", *READ_ONCE)),
    ),
}
"""For each stage, and for `all` of them where no stage was timed: from how many configurations, with
which prior spread (assumptions) and which columns. The last rung of `all` is one rate of FLOPs."""
PRIOR_DOF = 3.0
"""Weight of the prior spread, in observations (assumption)."""


def fit_stages(
    x: Floats, y: Floats, times: Sequence[Mapping[str, float]], labels: Sequence[object]
) -> dict[str, NonNegativeFit]:
    """Costs of each stage where every measurement timed the stages, else of all together.

    Args:
        x: quantities, shape (n, len(COLUMNS)).
        y: measured p50 in ms, shape (n,).
        times: ms of each stage, by name; empty where they were not told apart.
        labels: what each measurement is of; repeats are equal.
    """
    if not all(set(GROUPS) <= set(t) for t in times):
        return {"all": _rung("all", len(set(labels)), x, y)}
    found = {}
    for group in GROUPS:
        spent = np.array([t[group] for t in times])
        keep = x[:, columns_of(group)].any(axis=1) & (spent > 0)
        if keep.any():
            n = len({label for label, k in zip(labels, keep, strict=True) if k})
            found[group] = _rung(group, n, x[keep], spent[keep])
    return found


def _rung(group: str, n: int, x: Floats, y: Floats) -> NonNegativeFit:
    """The fit on the widest set of columns that n configurations support."""
    least, prior_sd, names = next(rung for rung in LADDERS[group] if n >= rung[0])
    columns = [COLUMNS.index(name) for name in names]
    if group == "all" and least == 1:
        return _one_rate(x, y, columns, prior_sd)
    return nonnegative.fit(x, y, columns, prior_sd, PRIOR_DOF)


def _one_rate(x: Floats, y: Floats, columns: list[int], prior_sd: float) -> NonNegativeFit:
    """One rate for the FLOPs of all stages."""
    weight = np.zeros(x.shape[1])
    weight[columns] = [2.0 if COLUMNS[i] in READ_ONCE else 1.0 for i in columns]
    one = nonnegative.fit((x @ weight)[:, None], y, [0], prior_sd, PRIOR_DOF)
    return NonNegativeFit(
        cost=weight * one.cost[0],
        sd=math.sqrt(1.0 + 1.0 / len(y)) * one.sd,  # the rate's own variance, once for all columns
        dof=one.dof,
        active=tuple(columns),
        inverse=np.zeros((len(columns), len(columns))),
    )
