"""The Pareto frontier: the lowest expected error at each cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from planner.plan.candidates import CandidateTable


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontierPoint:
    """One candidate on the frontier.

    `kind` is `measured` (it was run), `predicted` (inside the data) or `extrapolated` (outside).
    """

    index: int
    cost: float
    error: float
    low: float
    high: float
    kind: str


def kind_of(table: CandidateTable, index: int) -> str:
    """Whether a candidate was measured, is predicted inside the data, or lies outside it."""
    if table.run_ids[index]:
        return "measured"
    return "predicted" if table.distance[index] <= 0 else "extrapolated"


def pareto(table: CandidateTable, cost: str) -> tuple[FrontierPoint, ...]:
    """Candidates that no other beats in both expected error and `cost`, by rising cost.

    Along the frontier the error falls strictly; the configurations themselves may jump about.
    """
    values = table.costs[cost].value
    labels = [c.label for c in table.configs]
    order = sorted(range(len(table)), key=lambda j: (values[j], table.error[j], labels[j]))
    points, lowest = [], np.inf
    for j in order:
        if table.error[j] < lowest:
            lowest = float(table.error[j])
            points.append(
                FrontierPoint(
                    index=j,
                    cost=float(values[j]),
                    error=float(table.error[j]),
                    low=float(table.error_low[j]),
                    high=float(table.error_high[j]),
                    kind=kind_of(table, j),
                )
            )
    return tuple(points)


def points_json(
    table: CandidateTable, points: Iterable[FrontierPoint], cost: str
) -> list[dict[str, Any]]:
    """The frontier as plain rows; the cost stands under its own key."""
    return [
        {
            **table.configs[p.index].to_json(),
            cost: p.cost,
            "error": p.error,
            "low": p.low,
            "high": p.high,
            "kind": p.kind,
            "run_ids": list(table.run_ids[p.index]),
        }
        for p in points
    ]
