"""Why this configuration: sentences generated from the decision's numbers, and the answer as JSON.

Every sentence is a pure function of the table and the decision, so that a test can recompute it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from planner.levels import Columns
from planner.plan.frontier import kind_of
from planner.plan.question import COST_UNITS, CandidateTable, PlanQuery
from planner.plan.choice import Decision, Relaxation, cheapest, ladder, relaxations
from planner.plan.target import TargetDecision
from planner.words.units import format_bytes, format_flops, format_ms

NAMES = {
    "flops": "FLOPs",
    "latency_ms": "latency",
    "memory_bytes": "memory",
    "train_flops": "training FLOPs",
}
LIMIT_NAMES = {**NAMES, "flops": "FLOP", "train_flops": "training FLOP"}
MAX_LISTED = 5
"""Runners-up, ties and runs of the choice that an answer lists (assumption: one screen)."""


def amount(name: str, value: float) -> str:
    """A cost with its unit, for people: `394.3 GFLOPs`, `212 ms`, `1.9 GiB`."""
    if name in ("flops", "train_flops"):
        return format_flops(value)
    if name == "memory_bytes":
        return format_bytes(value)
    return format_ms(value) if name == "latency_ms" else f"{value:.4g} {COST_UNITS[name]}"


def title(name: str) -> str:
    """What a cost is called."""
    return NAMES.get(name, name)


def said(name: str, value: float) -> str:
    """A cost in a sentence: its name goes without saying where the unit tells it."""
    return amount(name, value) if name == "flops" else f"{title(name)} {amount(name, value)}"


def points(error: float) -> str:
    """A difference of two errors in percentage points: `0.30 points`."""
    return f"{100 * error:.2g} points"


def prediction(table: CandidateTable, j: int, level: float) -> dict[str, Any]:
    """The predicted error of candidate j with its interval, and what was measured."""
    measured = table.measured_error[j]
    return {
        "error": float(table.error[j]),
        "low": float(table.error_low[j]),
        "high": float(table.error_high[j]),
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
    for name, cost in table.costs.items():
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


def rejection(table: CandidateTable, decision: Decision, j: int, query: PlanQuery) -> str:
    """Why candidate j is not the answer."""
    if decision.feasible[j]:
        assert decision.best is not None
        gap = float(table.error[j] - table.error[decision.best])
        tie = ", a tie within noise" if j in decision.ties else ""
        return f"{points(gap)} more error{tie}"
    over = []
    for name, limit in query.limits.items():
        p = float(decision.by_limit[name][j])
        if p < query.min_prob:
            value = float(table.costs[name].value[j])
            chance = "" if p in (0.0, 1.0) else f", met with probability {p:.2f}"
            over.append(f"{said(name, value)} of {amount(name, limit)}{chance}")
    return (
        "; ".join(over) or f"all limits together are met with probability {decision.joint[j]:.2f}"
    )


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
        entry["rejected_because"] = rejection(table, decision, j, query)
        out.append(entry)
    return out


def reasons(table: CandidateTable, decision: Decision, query: PlanQuery) -> list[str]:
    """The sentences that say why: the choice, each limit, the next best, what it rests on."""
    best = decision.best
    assert best is not None
    n = int(decision.feasible.sum())
    out = [
        f"lowest expected error of the {n} of {len(table)} configurations that meet "
        f"{_limits(query)} with probability {query.min_prob:g} or more"
    ]
    out.extend(_limit_sentence(table, decision, query, name) for name in query.limits)
    if len(decision.order) > 1 and n > 1:
        second = decision.order[1]
        out.append(
            f"next best that fits: {table.configs[second].label}, "
            f"{rejection(table, decision, second, query)}"
        )
    out += _axis_sentences(table, best)
    out.append(_evidence_sentence(table, best))
    return out


def _limits(query: PlanQuery) -> str:
    return " and ".join(said(k, v) for k, v in query.limits.items())


def _limit_sentence(table: CandidateTable, decision: Decision, query: PlanQuery, name: str) -> str:
    best = decision.best
    assert best is not None
    if name not in decision.switches:
        used = amount(name, float(table.costs[name].value[best]))
        limit = amount(name, query.limits[name])
        return f"the {LIMIT_NAMES.get(name, name)} limit does not bind: it uses {used} of {limit}"
    switch = decision.switches[name]
    gain = float(table.error[best] - table.error[switch.index])
    return (
        f"the {LIMIT_NAMES.get(name, name)} limit binds: at {amount(name, switch.value)} the choice would become "
        f"{table.configs[switch.index].label}, {points(gain)} fewer errors"
    )


def _axis_sentences(table: CandidateTable, best: int) -> list[str]:
    """What one step along each axis from the choice would change, the other axes kept."""
    flops, out = table.costs["flops"].value, []
    for name, near in _neighbours(table, best).items():
        away = np.abs(np.log(flops[near] / flops[best]))
        # numpy's logarithm may differ in the last bit between processors: the nearest are told by math's.
        nearest = near[away <= away.min() + 1e-12].tolist()
        j = min(nearest, key=lambda i: abs(math.log(_ratio(table, i, best))))
        out.append(_step_sentence(table, best, j, name))
    return out


def _neighbours(table: CandidateTable, best: int) -> dict[str, np.ndarray]:
    """Candidates that differ from the choice on one dimension alone, by its name."""
    columns = table.kept("columns", lambda t: Columns.of(t.configs))
    chosen = table.configs[best]
    names = ("backbone", "audio_seconds", "reduction", *(k for k, _ in chosen.extra))
    other = {n: ~columns.equal(n, chosen.value(n)) for n in names}
    alike = columns.equal("adaptation", chosen.adaptation) & columns.equal(
        "padding", chosen.padding
    )
    once = alike & (sum(other.values(), np.zeros(len(table), dtype=np.int64)) == 1)
    near = {name: np.flatnonzero(once & differs) for name, differs in other.items()}
    return {name: found for name, found in near.items() if len(found)}


def _ratio(table: CandidateTable, j: int, best: int) -> float:
    flops = table.costs["flops"].value
    return float(flops[j] / flops[best])


def _step_sentence(table: CandidateTable, best: int, j: int, name: str) -> str:
    value = table.configs[j].value(name)
    shown = f"{value:g} s" if name == "audio_seconds" else str(value)
    gap = float(table.error[j] - table.error[best])
    ratio = _ratio(table, j, best)
    cost = f"{ratio:.2g}x the FLOPs" if not 0.995 < ratio < 1.005 else "the same FLOPs"
    direction = "more" if gap > 0 else "fewer"
    words = {"backbone": "model", "audio_seconds": "window", "reduction": "token reduction"}
    return f"{words.get(name, name)} {shown} instead would make {points(abs(gap))} {direction} errors at {cost}"


def _evidence_sentence(table: CandidateTable, best: int) -> str:
    kind = kind_of(table, best)
    if kind == "measured":
        measured = 100 * float(table.measured_error[best])
        ids = [str(i) for i in table.run_ids[best]]
        shown = ", ".join(ids[:MAX_LISTED])
        if len(ids) > MAX_LISTED:
            shown += f" and {len(ids) - MAX_LISTED} more"
        return f"this configuration was run (run {shown}): measured error {measured:.2f} %"
    if kind == "predicted":
        return "this configuration was never run; it lies inside the measured range on every axis"
    times = math.exp(float(table.distance[best]))
    return f"this configuration was never run and lies {times:.2g}x outside the measured range"


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
        head = f"no configuration of {len(table)} reaches {100 * max_error:.3g} % error"
        head += f" with probability {query.min_prob:g}"
        if query.limits:
            head += f" under {_limits(query)}"
        if found.reachable_index >= 0:
            label = table.configs[found.reachable_index].label
            head += f"; the nearest target is {100 * found.reachable_error:.3g} % ({label})"
        return {"best": None, "message": head, "reachable_error": _finite(found.reachable_error)}
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


def nothing_fits(table: CandidateTable, decision: Decision, query: PlanQuery) -> dict[str, Any]:
    """When nothing meets the limits: the nearest configuration and the smallest relaxations."""
    single = relaxations(table, query.limits, query.min_prob)
    likeliest = _likeliest(table, decision, query)
    near = cheapest(table, query.limits) if likeliest is None else likeliest
    message = _infeasible_message(table, query, single, near)
    found: dict[str, Any] = {}
    if likeliest is not None:
        message = _unlikely_message(table, decision, query, single, likeliest)
        found = {"likeliest": option(table, decision, likeliest, query)}
    return {
        **found,
        "message": message,
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


def _unlikely_message(
    table: CandidateTable, decision: Decision, query: PlanQuery, single: tuple[Relaxation, ...],
    j: int,
) -> str:  # fmt: skip
    p = math.floor(100 * float(decision.joint[j])) / 100
    head = (
        f"configurations meet {_limits(query)} as expected, but none with probability "
        f"{query.min_prob:g}; the likeliest, {table.configs[j].label}, with {p:.2f}"
    )
    return f"{head}; ask with --min-prob {p:.2f}{_ways(table, single, ', or relax one: ')}"


def _ways(table: CandidateTable, single: tuple[Relaxation, ...], opening: str) -> str:
    ways = [f"{said(r.limit, r.value)} ({table.configs[r.index].label})" for r in single]
    return opening + ", or ".join(ways) if ways else ""


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


def _infeasible_message(
    table: CandidateTable, query: PlanQuery, single: tuple[Relaxation, ...], near: int
) -> str:
    head = f"no configuration of {len(table)} meets {_limits(query)}"
    if any(n not in ("flops", "train_flops", "memory_bytes") for n in query.limits):
        head += f" with probability {query.min_prob:g}"
    if single:
        return head + _ways(table, single, "; relax one: ")
    needs = ", ".join(said(n, float(table.costs[n].value[near])) for n in query.limits)
    return f"{head}; the nearest, {table.configs[near].label}, needs {needs}"
