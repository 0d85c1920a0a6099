"""What to make of an answer: how to settle a tie, and why the expectation leaves the choice's own run.

Sentences from the table's numbers, as those of `planner.plan.explain`, which say why it was chosen.
"""

from __future__ import annotations

import math

import numpy as np

from planner.evidence.noise_of_runs import relative_variance
from planner.evidence.study import Evidence
from planner.laws.result import LawFit
from planner.plan.candidates import CandidateTable
from planner.plan.choice import Decision
from planner.words.student import t_quantile

MOST_COMPARED = 4
"""Runs that one command compares with the choice's: p values are adjusted for their number."""


def advice(
    table: CandidateTable, decision: Decision, evidence: Evidence, fit: LawFit, level: float
) -> list[str]:
    """The sentences, none where there is nothing to say."""
    found = [
        _to_settle(table, decision, evidence),
        _beside_own_run(table, decision, evidence, fit, level),
    ]
    return [text for text in found if text]


def _to_settle(table: CandidateTable, decision: Decision, evidence: Evidence) -> str | None:
    """The command that tells the choice from its ties by the utterances that they share."""
    assert decision.best is not None
    scored = {r.run_id for r in evidence.rows if r.provenance == "measured"}
    mine = _last_scored(table, decision.best, scored)
    others = [_last_scored(table, j, scored) for j in decision.ties]
    # A run in two engines is one run: its texts in them are compared where it was exported.
    ties = [i for i in dict.fromkeys(others) if i is not None and i != mine][:MOST_COMPARED]
    if mine is None or not ties:
        return None
    ids = " ".join(str(i) for i in (mine, *ties))
    return f"the runs of the choice and of its ties on the utterances that they share: soundscale compare {ids}"


def _last_scored(table: CandidateTable, j: int, scored: set[int]) -> int | None:
    return max((i for i in table.run_ids[j] if i in scored), default=None)


def _beside_own_run(
    table: CandidateTable, decision: Decision, evidence: Evidence, fit: LawFit, level: float
) -> str | None:
    """Why the expected error lies outside the interval of the choice's own runs, where it does."""
    best = decision.best
    assert best is not None
    ids = set(table.run_ids[best])
    rows = [r for r in evidence.rows if r.run_id in ids and r.error]
    each = [relative_variance(r) for r in rows]
    if not rows or not all(math.isfinite(v) for v in each):
        return None
    spread = math.sqrt(float(np.mean(each)) / len(each))
    measured = float(table.measured_error[best])
    reach = t_quantile(0.5 + level / 2, math.inf) * spread
    if abs(math.log(float(table.error[best]) / measured)) <= reach:
        return None
    low, high = (100 * measured * math.exp(sign * reach) for sign in (-1, 1))
    side = "lucky" if measured < table.error[best] else "unlucky"
    doubted = max((p for run_id, p in fit.suspicion if run_id in ids), default=0.0)
    why = (
        f"it lies so far from what all others say of it that it is a mistake with probability {doubted:.2f}"
        if doubted > 0.1
        else f"it counts for {100 * table.own_weight[best]:.0f} %, the {fit.n_runs} runs' law for the rest: the "
        f"lowest of many measured errors is more often {side} than not"
        if side == "lucky"
        else f"it counts for {100 * table.own_weight[best]:.0f} %, the {fit.n_runs} runs' law for the rest"
    )
    runs = "its own run says" if len(rows) == 1 else f"its own {len(rows)} runs say"
    return (
        f"{runs} {100 * measured:.2f} % [{low:.2f}, {high:.2f}], and {100 * float(table.error[best]):.2f} % "
        f"is expected: {why}; a further seed would tell"
    )
