"""The use case of `plan target`: the least of one resource for a quality."""

from __future__ import annotations

from typing import Any

from planner.errors import InfeasibleError, InputError
from planner.evidence.fit_report import warnings_of
from planner.plan import answer as answer_json
from planner.plan.choice import decide
from planner.plan.target import decide_target
from planner.service.prepared import Prepared, prepared_of, why_unknown
from planner.words.asked import check
from planner.words.question import TARGET, PlanQuery
from planner.words.records import to_json


def plan_target(
    db: str | None, query: PlanQuery, max_error: float, minimise: str
) -> dict[str, Any]:
    """The least of one resource for a quality, under the query's other limits.

    Args:
        db: URL of the database.
        query: the question; its limits hold for the other resources.
        max_error: the quality, a fraction.
        minimise: key of the cost to spend least of.

    Raises:
        InputError: the error is no fraction, or the cost is not known.
        InfeasibleError: no configuration reaches the target; says which one would be reached.
    """
    return target_from(prepared_of(db, query), max_error, minimise)


def target_from(prepared: Prepared, max_error: float, minimise: str) -> dict[str, Any]:
    """As `plan_target`, from what was prepared."""
    prepared = prepared.under_rules()
    query, table, report = prepared.query, prepared.table, prepared.report
    check(TARGET, error=max_error)
    if minimise not in table.costs:
        raise InputError(why_unknown(table, minimise))
    least = decide_target(table, max_error, minimise, query.limits, query.min_prob)
    decision = decide(table, query.limits, query.min_prob, query.level)
    answer = {
        "query": {
            **to_json(query),
            "limits": query.limits,
            "error": max_error,
            "minimise": minimise,
        },
        "fit_id": report.fit_id,
        "n_runs": len(report.evidence.rows),
        "warnings": warnings_of(report),
        **answer_json.target_json(table, least, decision, query, max_error, minimise),
    }
    if least.best is None:
        raise InfeasibleError(answer["message"], answer)
    return answer
