"""An answer as plain JSON values: what was chosen, what else fits, what does not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from planner.plan.candidates import CandidateTable
from planner.plan.choice import Decision, cheapest, ladder, relaxations, together
from planner.plan.explain import (
    _infeasible_message,
    _unlikely_message,
    of_an_utterance,
    of_how_many,
    rejection,
    ways,
)
from planner.plan.frontier import kind_of
from planner.plan.target import TargetDecision
from planner.plan.wording import MAX_LISTED, _limits, enough, title
from planner.words.question import COST_UNITS, PlanQuery

ALMOST = 0.01
"""Least probability of meeting all limits of what almost does (assumption)."""


def prediction(table: CandidateTable, j: int, level: float) -> dict[str, Any]:
    """The predicted error of candidate j with its interval, and what was measured."""
    measured = table.measured_error[j]
    same = float(table.same_low[j]), float(table.same_high[j])
    return {
        "error": float(table.error[j]),
        "low": float(table.error_low[j]),
        "high": float(table.error_high[j]),
        # An answer by the rule before knows one level alone, and replays as it was stored.
        **({} if math.isnan(same[0]) else {"same_set": {"low": same[0], "high": same[1]}}),
        "level": level,
        "kind": kind_of(table, j),
        "distance": float(table.distance[j]),
        "measured_error": None if math.isnan(measured) else float(measured),
        "run_ids": list(table.run_ids[j]),
    }


def costs(
    table: CandidateTable, decision: Decision, j: int, limits: dict[str, float], per: str
) -> dict[str, Any]:
    """Each cost of candidate j: value, interval, unit, source, limit and the chance of meeting it."""
    out: dict[str, Any] = {}
    for name, cost in table.shown(limits).items():
        out[name] = {
            "value": float(cost.value[j]),
            "low": float(cost.low[j]),
            "high": float(cost.high[j]),
            "unit": COST_UNITS[name],
            "source": cost.source[j],
            "per": per if name in ("flops", "latency_ms") else None,
        }
        if name in limits:
            out[name]["limit"] = limits[name]
            out[name]["probability"] = float(decision.by_limit[name][j])
    out["n_windows"] = float(table.n_windows[j])
    return out


def option(table: CandidateTable, decision: Decision, j: int, query: PlanQuery) -> dict[str, Any]:
    """One candidate as the answer shows it."""
    return {
        "config": table.configs[j].to_json(),
        "label": table.configs[j].label,
        "prediction": prediction(table, j, query.level),
        "costs": costs(table, decision, j, query.limits, query.per),
        "joint_probability": float(decision.joint[j]),
        "p_best": float(decision.p_best[j]),
    }


def runners_up(table: CandidateTable, decision: Decision, query: PlanQuery) -> list[dict[str, Any]]:
    """The nearest alternatives: better ones that a limit rejects, then the next feasible ones."""
    assert decision.best is not None
    # Both parts of the order are by rising error, and the choice is the first of all.
    n = int(decision.feasible.sum())
    following = decision.order[1 : min(n, 1 + MAX_LISTED)]
    rest = decision.order[n : n + MAX_LISTED]
    better = [j for j in rest if table.error[j] < table.error[decision.best]]
    out = []
    for j in [*following, *better]:
        entry = option(table, decision, j, query)
        entry["feasible"] = bool(decision.feasible[j])
        entry["tie"] = j in decision.ties
        entry["rejected_because"] = rejection(table, decision, j, query)
        out.append(entry)
    return out


def target_json(
    table: CandidateTable,
    found: TargetDecision,
    decision: Decision,
    query: PlanQuery,
    max_error: float,
    minimise: str,
) -> dict[str, Any]:
    """The least resource for a quality as JSON, or what could be reached instead."""
    if found.best is None:
        head = (
            f"no configuration of {of_how_many(table, query)} reaches {100 * max_error:.3g} % error"
        )
        head += f" with probability {query.min_prob:g}"
        if query.limits:
            head += f" under {_limits(query)}"
        head += _target_ways(table, found, query)
        return {
            "best": None,
            "message": head,
            "reachable_error": _finite(found.reachable_error),
            "relaxations": [
                {"limit": r.limit, "value": r.value, "config": table.configs[r.index].to_json()}
                for r in found.ways
            ],
            **({"relaxed_together": found.together} if found.together and not found.ways else {}),
        }
    best = _target_option(table, found, decision, found.best, query)
    others = found.order[1 : 1 + MAX_LISTED]
    return {
        "best": best,
        "runners_up": [_target_option(table, found, decision, j, query) for j in others],
        "reasons": [
            f"least {title(minimise)} of the {len(found.order)} of {len(table)} configurations that "
            f"reach {100 * max_error:.3g} % error with probability {query.min_prob:g} or more"
        ],
    }


def _target_ways(table: CandidateTable, found: TargetDecision, query: PlanQuery) -> str:
    """What would be reached instead, or under which limits the target would be."""

    def nearest(error: float, j: int) -> str:
        # Upwards: the target that is said is asked next.
        return f"{math.ceil(1e4 * error - 1e-9) / 100:.4g} % ({table.configs[j].label})"

    said = ""
    if found.reachable_index >= 0:
        said = f"; the nearest target is {nearest(found.reachable_error, found.reachable_index)}"
    if found.ways:
        return said + ways(table, found.ways, ", or relax one: " if said else "; relax one: ")
    if found.together:
        raised = " and ".join(
            enough(n, v) for n, v in found.together.items() if v > query.limits[n]
        )
        return f"{said}; {table.configs[found.unlimited_index].label} reaches it under {raised}"
    if not said and found.unlimited_index >= 0:
        return f"; without any limit the nearest target is {nearest(found.unlimited_error, found.unlimited_index)}"
    return said


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _target_option(
    table: CandidateTable, found: TargetDecision, decision: Decision, j: int, query: PlanQuery
) -> dict[str, Any]:
    return {
        **option(table, decision, j, query),
        "p_error": float(found.p_error[j]),
        "joint_probability": float(found.joint[j]),
    }


def almost(table: CandidateTable, decision: Decision, query: PlanQuery) -> list[dict[str, Any]]:
    """What would err less and misses the limits, the likeliest to meet them first.

    By probability, not by error: what costs a hundred times the limit is nobody's next thought.
    """
    assert decision.best is not None
    better = np.flatnonzero(~decision.feasible & (table.error < table.error[decision.best]))
    near = better[decision.joint[better] >= ALMOST]
    order = np.lexsort((table.error[near], -decision.joint[near]))
    return [option(table, decision, int(j), query) for j in near[order][:MAX_LISTED]]


def nothing_fits(
    table: CandidateTable, decision: Decision, query: PlanQuery, utterance_seconds: float | None
) -> dict[str, Any]:
    """When nothing meets the limits: the nearest configuration and the smallest relaxations.

    `relaxed_together`, where no limit alone can be relaxed: all of them as the nearest needs them.
    """
    single = relaxations(table, query.limits, query.min_prob)
    likeliest = _likeliest(table, decision, query)
    near = cheapest(table, query.limits) if likeliest is None else likeliest
    every = {} if single else together(table, query.limits, query.min_prob, near)
    message = _infeasible_message(table, query, single, near, every)
    found: dict[str, Any] = {"relaxed_together": every} if every else {}
    if likeliest is not None:
        message = _unlikely_message(table, decision, query, single, likeliest)
        found["likeliest"] = option(table, decision, likeliest, query)
    return {
        **found,
        "message": message + of_an_utterance(query, utterance_seconds),
        "nearest": option(table, decision, near, query),
        "relaxations": [
            {"limit": r.limit, "value": r.value, "config": table.configs[r.index].to_json()}
            for r in single
        ],
    }


def _likeliest(table: CandidateTable, decision: Decision, query: PlanQuery) -> int | None:
    """The candidate that meets all limits as expected with the highest probability, if any does."""
    meets = np.ones(len(table), dtype=bool)
    for name, limit in query.limits.items():
        meets &= table.costs[name].value <= limit
    return int(np.where(meets, decision.joint, -1.0).argmax()) if meets.any() else None


def steps(
    table: CandidateTable, decision: Decision, query: PlanQuery
) -> dict[str, list[dict[str, Any]]]:
    """The budgets at which the choice changes: for each limit, the next choices as it alone grows."""
    assert decision.best is not None
    out = {}
    for name in query.limits:
        found = ladder(table, query.limits, query.min_prob, name, decision.best, most=MAX_LISTED)
        out[name] = [
            {
                "at": s.value,
                "config": table.configs[s.index].to_json(),
                "label": table.configs[s.index].label,
                "error": float(table.error[s.index]),
            }
            for s in found
        ]
    return out
