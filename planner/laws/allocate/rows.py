"""An allocation as rows of plain values, for listings and frames."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from planner.laws.allocate.records import Allocation

Rows = list[dict[str, Any]]


def exponent_rows(found: Allocation) -> Rows:
    """A row for each approach and axis."""
    return [
        {"approach": a.number, "name": a.name, **dataclasses.asdict(e), "n_points": a.n_points}
        for a in found.approaches
        for e in a.exponents
    ]


def optimum_rows(found: Allocation) -> Rows:
    """A row for each approach, budget and axis."""
    return [
        {"approach": a.number, "name": a.name, "budget": o.budget, **dataclasses.asdict(p),
         "error": o.error, "error_low": o.error_low, "error_high": o.error_high, "beyond": o.beyond}
        for a in found.approaches
        for o in a.optima
        for p in o.places
    ]  # fmt: skip


def replicate_rows(found: Allocation) -> Rows:
    """A row for each replicate: the exponents of every approach; None where it has none."""
    made = found.replicates
    kinds = [
        *((f"bootstrap {i}", v) for i, v in enumerate(made.by_approach, 1)),
        ("draws 3", made.draws),
    ]
    return [
        {"replicate": i, "kind": kind, "approach": int(kind[-1]),
         **{axis: v if math.isfinite(v) else None for axis, v in zip(made.axes, row, strict=True)}}
        for kind, values in kinds
        for i, row in enumerate(values.tolist(), 1)
    ]  # fmt: skip
