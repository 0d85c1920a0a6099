"""Every candidate of a study that is not its answer, and why: a failed run, a rule, a limit, more errors, or a tie."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from planner.plan.choice import Decision, within
from planner.plan.wording import title
from planner.service.other_sets import said
from planner.service.prepared import Prepared
from planner.service.study_state import Next, Ran

MOST_KEPT = 12
"""Candidates that are kept with every round, ties first, then those that err least; all are counted (assumption)."""


def ruled_out(found: Next, ran: Ran, labels: Mapping[str, str]) -> list[dict[str, Any]]:
    """Each with `label`, `kind`, `why` and `error` (expected; None where it is not known); ties are no reason.

    Args:
        found: what the study does next, and what it knew.
        ran: so far.
        labels: of the candidates, by their text.
    """
    out: list[dict[str, Any]] = [
        {"label": labels[text], "kind": "failed", "why": f"its run failed: {why}", "error": None}
        for text, why in ran.failed.items()
        if text not in ran.finished
    ]  # fmt: skip
    if found.everything is None:
        return out
    kept = set() if found.prepared is None else set(found.prepared.table.configs)
    out += _by_rules(found.everything, kept)
    if found.prepared is None or found.decision is None:
        return out
    prepared, decision = found.prepared, found.decision
    ties = set(decision.ties)
    for j in decision.order:
        if j == decision.best:
            continue
        kind, why = _why_not(prepared, decision, j, j in ties)
        label, error = prepared.table.configs[j].label, float(prepared.table.error[j])
        out.append({"label": label, "kind": kind, "why": why, "error": error})
    return out


def _by_rules(everything: Prepared, kept: set[Any]) -> list[dict[str, Any]]:
    """Those that a rule or, where nothing is left, a limit speaks against."""
    table, judged, least = everything.table, everything.sets.judged, everything.query.min_prob
    by_limit = within(table, everything.query.limits)
    out = []
    for j in np.argsort(table.error, kind="stable").tolist():
        if table.configs[j] in kept:
            continue
        broken = next((one for one in judged if one.probability[j] < least), None)
        if broken is not None:
            kind, why = "rule", said(broken, j)
        elif by_limit:
            kind, why = "limit", _limit(by_limit, j)
        else:
            continue
        label, error = table.configs[j].label, float(table.error[j])
        out.append({"label": label, "kind": kind, "why": why, "error": error})
    return out


def _limit(by_limit: Mapping[str, Any], j: int) -> str:
    name, met = min(((n, float(p[j])) for n, p in by_limit.items()), key=lambda o: o[1])
    # Rounded down: 0.896 is not what 0.90 asks for.
    return f"{title(name)}: meets its limit with probability {math.floor(100 * met) / 100:.2f}"


def _why_not(prepared: Prepared, decision: Decision, j: int, tie: bool) -> tuple[str, str]:
    if not decision.feasible[j]:
        return "limit", _limit(decision.by_limit, j)
    if tie:
        return "tie", "still in question: as good as the choice as far as the runs tell"
    assert decision.best is not None
    draws = prepared.table.draws
    p = float(np.mean(draws[:, j] <= draws[:, decision.best]))
    chance = f"probability {p:.3f}" if p >= 0.0005 else "a probability below 0.001"
    return "error", f"errs more: as good as the choice with {chance}"


def shortly(found: list[dict[str, Any]]) -> dict[str, Any]:
    """How many of each kind there are, and the first `MOST_KEPT`: what a round keeps."""
    return {"n": dict(Counter(one["kind"] for one in found)), "first": first_of(found)}


def first_of(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first `MOST_KEPT`: ties, then those that err least."""
    order = sorted(found, key=lambda o: (o["kind"] != "tie", o["error"] is None, o["error"] or 0.0))
    return order[:MOST_KEPT]
