"""The untrained checkpoint of a backbone on a test set, and runs set against it there."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine

from planner.errors import SoundscaleError
from planner.evidence.comparable import normaliser_of
from planner.evidence.paired.difference import difference
from planner.evidence.paired.scored import ScoredRun, pair_of, same_set, scored_run
from planner.plan.kept_sets import Untrained
from planner.store import read
from planner.store.row_types import Run, RunRow


def untrained_on(engine: Engine, task: str, name: str, mine: Run) -> dict[str, Untrained]:
    """The untrained checkpoint of each backbone on the set, by the clips and the scorer of that run."""
    best: dict[str, RunRow] = {}
    for run in read.runs(engine, task=task, status="finished", adaptation="none"):
        trial = run.trial
        if trial.initialisation != "pretrained" or trial.reduction.factor > 1:
            continue
        row = read.run_on(engine, run, name)
        if row is None or row.error is None or not _alike(row, mine):
            continue
        known = best.get(trial.backbone)
        if known is None or trial.audio_seconds > known.trial.audio_seconds:
            best[trial.backbone] = row
    return {
        backbone: Untrained(
            run_id=row.run_id, label=row.trial.label, error=row.error or 0.0,
            std_error=row.std_error or 0.0,
        )
        for backbone, row in best.items()
    }  # fmt: skip


def _alike(one: Run, other: Run) -> bool:
    """Whether two scores are of the same clips by the same scorer."""
    digests = [
        (r.evaluation_details.get("test_set") or {}).get("digest") or r.setup.dataset_digest
        for r in (one, other)
    ]
    return digests[0] == digests[1] and normaliser_of(one) == normaliser_of(other)


def scored_on(engine: Engine, run_id: int, name: str) -> ScoredRun:
    """A run with its utterances on a set."""
    return scored_run(
        read.run(engine, run_id), read.evaluations(engine, run_id),
        read.utterances(engine, run_id, name), name,
    )  # fmt: skip


def against(engine: Engine, name: str, base: Untrained, run_id: int) -> dict[str, Any] | None:
    """The run's error on the set less the untrained checkpoint's, with its 90 % interval; None without pairs."""
    try:
        both = same_set([scored_on(engine, base.run_id, name), scored_on(engine, run_id, name)])
    except SoundscaleError:
        return None
    d = difference(pair_of(both, 0, 1))
    return {
        "run_id": base.run_id, "error": base.error, "difference": d.difference, "low": d.low,
        "high": d.high, "p": d.p,
    }  # fmt: skip
