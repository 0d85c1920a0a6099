"""The use case of `frontier`: the lowest expected error at each cost, and the runs behind it."""

from __future__ import annotations

from typing import Any

from planner.errors import InputError
from planner.evidence.fit_report import warnings_of
from planner.plan.frontier import pareto, points_json
from planner.service.prepared import Prepared, prepared_of, why_unknown
from planner.words.asked import check
from planner.words.question import COSTS, FRONTIER, PlanQuery
from planner.words.records import to_json


def frontier(db: str | None, query: PlanQuery, x: str) -> dict[str, Any]:
    """The Pareto frontier of error and one cost.

    Args:
        db: URL of the database.
        query: the question; limits do not matter.
        x: the cost, as a question names it (`latency`).

    Raises:
        InputError: the cost is not known for these runs.
    """
    return frontier_from(prepared_of(db, query), x)


def frontier_from(prepared: Prepared, x: str) -> dict[str, Any]:
    """As `frontier`, from what was prepared.

    Keys: `cost` (its key), `points` by rising cost, and `runs`: every configuration that was run, with
    the cost and the error that was measured.
    """
    prepared = prepared.under_rules()
    check(FRONTIER, x=x)
    table, cost = prepared.table, COSTS[x]
    if cost not in table.costs:
        raise InputError(why_unknown(table, cost))
    values = table.costs[cost].value
    return {
        "query": {**to_json(prepared.query), "x": x},
        "fit_id": prepared.report.fit_id,
        "cost": cost,
        "points": points_json(table, pareto(table, cost), cost),
        "runs": [
            {cost: float(values[j]), "error": float(table.measured_error[j]),
             "label": table.configs[j].label}
            for j in range(len(table)) if table.run_ids[j]
        ],
        "warnings": warnings_of(prepared.report),
    }  # fmt: skip
