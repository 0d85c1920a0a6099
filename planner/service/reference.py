"""What users would take without tuning: the untrained checkpoint at full windows, beside an answer.

A reference is a finished run on the study's scored set with adaptation `none`, windows of 30 s, no token taken
away and greedy decoding. Its cost is that of the quickest engine that the question allows; its error is set
against the answer's own runs on the same utterances.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine

from planner.errors import SoundscaleError
from planner.evidence.paired.difference import difference
from planner.evidence.paired.scored import pair_of, same_set, scored_run
from planner.evidence.study import Evidence
from planner.plan.candidates import CandidateTable
from planner.plan.configurations import Config
from planner.plan.wording import amount, title
from planner.store import read
from planner.store.read import RunRow
from planner.words.records import Trial

FULL_SECONDS = 30.0
"""Windows of a checkpoint as it is published."""
LESS = 0.95
"""Share of the reference's cost from which an answer is cheaper (assumption: latencies repeat within 5 %)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """An untrained run, and its configuration in each engine that was asked for."""

    row: RunRow
    table: CandidateTable


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """Those of a study, smallest first.

    `paired` gives the difference of a run from another on the utterances of both, None where there are none.
    """

    found: tuple[Reference, ...] = ()
    paired: Callable[[int, int], dict[str, Any] | None] = field(
        default=lambda one, other: None, compare=False
    )


def references_of(
    engine: Engine, evidence: Evidence, costs: Callable[[Trial], CandidateTable]
) -> References:
    """The untrained runs on the study's scored set, one for each backbone: the first that was made.

    Args:
        engine: the database.
        evidence: the runs that the law was learned from.
        costs: the table of one trial's configuration in the engines of the question.
    """
    first: dict[str, RunRow] = {}
    test_set = evidence.study.split or None
    for run in read.runs(engine, task=evidence.study.task, status="finished", adaptation="none"):
        row = read.run_on(engine, run, test_set)
        if row is not None and is_reference(row, evidence):
            first.setdefault(row.trial.backbone, row)
    rows = sorted(first.values(), key=lambda row: row.n_params)
    split = evidence.study.split
    return References(
        found=tuple(Reference(row=row, table=costs(row.trial)) for row in rows),
        paired=lambda one, other: _paired(engine, one, other, split),
    )


def is_reference(row: RunRow, evidence: Evidence) -> bool:
    """Whether a run is of an untrained checkpoint as published, scored as the study's runs are."""
    trial, study = row.trial, evidence.study
    untrained = trial.adaptation.kind == "none" and trial.initialisation == "pretrained"
    whole = trial.audio_seconds == FULL_SECONDS and trial.reduction.factor == 1
    alike = (
        trial.dataset_digest == study.dataset_digest
        and trial.reference_policy == study.reference_policy
        and trial.normaliser == evidence.rows[0].trial.normaliser
        and (row.split or "", row.metric) == (study.split, study.metric)
    )
    return untrained and whole and alike and trial.decoding.beams == 1 and row.error is not None


def _paired(engine: Engine, one: int, other: int, split: str) -> dict[str, Any] | None:
    """The second run's error less the first's, with its 90 % interval and p."""
    try:
        both = same_set(
            [
                scored_run(
                    read.run(engine, i), read.evaluations(engine, i),
                    read.utterances(engine, i, split), split,
                )
                for i in (one, other)
            ]
        )  # fmt: skip
    except SoundscaleError:
        # Published or imported runs have no utterances: there is nothing to pair.
        return None
    d = difference(pair_of(both, 0, 1))
    return {"difference": d.difference, "low": d.low, "high": d.high, "p": d.p}


def references_json(
    references: References, table: CandidateTable, best: int
) -> list[dict[str, Any]]:
    """Each reference beside the answer: error, cost, paired difference and what tuning buys, in words."""
    return [_one(each, references, table, best) for each in references.found]


def _one(
    reference: Reference, references: References, table: CandidateTable, best: int
) -> dict[str, Any]:
    row, there = reference.row, reference.table
    key = "latency_ms" if "latency_ms" in there.costs and "latency_ms" in table.costs else "flops"
    j = int(there.costs[key].value.argmin())
    cost, mine = float(there.costs[key].value[j]), float(table.costs[key].value[best])
    runs: Sequence[int] = table.run_ids[best]
    paired = references.paired(row.run_id, runs[0]) if runs else None
    found: dict[str, Any] = {
        "run_id": row.run_id,
        "label": _untaught(there.configs[j]).label,
        "error": row.error,
        "cost": key,
        key: cost,
        "run_id_compared": runs[0] if runs else None,
        "paired": paired,
    }
    return {**found, "verdict": verdict(found, key, cost, mine)}


def _untaught(config: Config) -> Config:
    """The configuration without the training audio by which its costs were looked up: it has none."""
    extra = tuple((name, level) for name, level in config.extra if name != "train_hours")
    return dataclasses.replace(config, extra=extra)


def verdict(found: dict[str, Any], key: str, cost: float, mine: float) -> str:
    """What the answer buys over the untrained checkpoint, or plainly that it buys nothing."""
    name = f"untrained {found['label']} makes {100 * found['error']:.2f} % errors"
    spent = f"{amount(key, mine)} in place of {amount(key, cost)} ({title(key)})"
    paired = found["paired"]
    if paired is None:
        return (
            f"{name} and takes {amount(key, cost)}; the answer was not run on the same utterances"
        )
    points = [100 * paired[k] for k in ("difference", "low", "high")]
    gap = f"{points[0]:+.2f} points [{points[1]:+.2f}, {points[2]:+.2f}] against it, {spent}"
    # By the interval that is shown, so that the two never disagree.
    told = not points[1] <= 0.0 <= points[2]
    cheaper, better, worse = mine < LESS * cost, told and points[0] < 0, told and points[0] > 0
    if better:
        bought = "fewer errors" + (" and less of it" if cheaper else "")
    elif cheaper:
        bought = f"less {title(key)}, " + ("at more errors" if worse else "errors not told apart")
    else:
        bought = "nothing: take the untrained checkpoint"
    return f"{name}; {gap}: tuning and shortening buy {bought}"
