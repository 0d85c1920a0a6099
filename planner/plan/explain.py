"""Why this configuration: sentences generated from the decision's numbers, and the answer as JSON.

Every sentence is a pure function of the table and the decision, so that a test can recompute it.
"""

from __future__ import annotations

import math

import numpy as np

from planner.plan.candidates import CandidateTable
from planner.plan.choice import Decision, Relaxation
from planner.plan.configurations import Columns
from planner.plan.frontier import kind_of
from planner.plan.wording import (
    LIMIT_NAMES,
    MAX_LISTED,
    _limits,
    amount,
    enough,
    enough_amount,
    points,
    said,
)
from planner.words.question import PlanQuery

PER_QUESTION = {"flops", "latency_ms"}
"""Limits that are of an utterance or of a window, as the question says."""


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


def _limit_sentence(table: CandidateTable, decision: Decision, query: PlanQuery, name: str) -> str:
    best = decision.best
    assert best is not None
    if name not in decision.switches:
        used = amount(name, float(table.costs[name].value[best]))
        limit = amount(name, query.limits[name])
        return f"the {LIMIT_NAMES.get(name, name)} limit does not bind: it uses {used} of {limit}"
    switch = decision.switches[name]
    gain = float(table.error[best] - table.error[switch.index])
    at = enough_amount(name, switch.value)
    return (
        f"the {LIMIT_NAMES.get(name, name)} limit binds: at {at} the choice would become "
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
    levels = columns.levels["extra"].values
    extra = dict.fromkeys(k for pairs in levels for k, _ in pairs)
    value = dict(chosen.extra)
    other = {
        n: ~columns.equal(n, chosen.value(n)) for n in ("backbone", "audio_seconds", "reduction")
    }
    other |= {n: ~columns.equal(n, value.get(n)) for n in extra}
    alike = columns.equal("adaptation", chosen.adaptation) & columns.equal(
        "padding", chosen.padding
    )
    once = alike & (sum(other.values(), np.zeros(len(table), dtype=np.int64)) == 1)
    if "engine" in extra:
        # What another engine or precision gives is a sentence of its own (planner.plan.engine_words).
        other = {n: d for n, d in other.items() if n not in ("engine", "precision")}
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


def _unlikely_message(
    table: CandidateTable, decision: Decision, query: PlanQuery, single: tuple[Relaxation, ...],
    j: int,
) -> str:  # fmt: skip
    p = math.floor(100 * float(decision.joint[j])) / 100
    head = (
        f"configurations meet {_limits(query)} as expected, but none with probability "
        f"{query.min_prob:g}; the likeliest, {table.configs[j].label}, with {p:.2f}"
    )
    return f"{head}; ask with --min-prob {p:.2f}{ways(table, single, ', or relax one: ')}"


def ways(table: CandidateTable, single: tuple[Relaxation, ...], opening: str) -> str:
    """Limits that would do, each with the configuration that would fit, after an opening; nothing without any."""
    said_ways = [
        f"{enough(r.limit, r.value)} ({table.configs[r.index].label}, {100 * table.error[r.index]:.3g} % errors)"
        for r in single
    ]
    return opening + ", or ".join(said_ways) if said_ways else ""


def of_an_utterance(query: PlanQuery, utterance_seconds: float | None) -> str:
    """What limits of work and time are of, where a shorter question is open; nothing otherwise."""
    if query.per != "utterance" or not utterance_seconds or not PER_QUESTION & set(query.limits):
        return ""
    return f"; that is of an utterance of {utterance_seconds:.3g} s: --per window asks of one encoder window"


def of_how_many(table: CandidateTable, query: PlanQuery) -> str:
    """`18`, or `the 3 that keep general<=+1pt`, where rules on further test sets left those."""
    return f"the {len(table)} that keep {query.keep}" if query.keep else str(len(table))


def _infeasible_message(
    table: CandidateTable, query: PlanQuery, single: tuple[Relaxation, ...], near: int, every: dict[str, float],
) -> str:  # fmt: skip
    head = f"no configuration of {of_how_many(table, query)} meets {_limits(query)}"
    if any(n not in ("flops", "train_flops", "memory_bytes") for n in query.limits):
        head += f" with probability {query.min_prob:g}"
    if single:
        return head + ways(table, single, "; relax one: ")
    needs = every or {n: float(table.costs[n].value[near]) for n in query.limits}
    raised = " and ".join(enough(n, v) for n, v in needs.items() if v > query.limits[n])
    return f"{head}; the nearest, {table.configs[near].label}, needs {raised}"
