"""A file of results that is imported again: what of it changed, what came later, and whether it is the same file.

A row's own earlier results are told by its trial, whose digest names file and folder (`imported:FILE:HOME`; before
2026-11-30 the file alone). A file whose rows are stored under another home is that file, moved or copied.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, select

from planner.errors import InputError
from planner.store import to_rows
from planner.store.schema import devices, evaluations, latencies, runs, trials
from planner.store.transactions import read
from planner.words.records import Evaluation, Latency, RunRecord, Trial

_COUNTED = (
    "std_error", "n_units", "n_errors", "n_substitutions", "n_insertions", "n_deletions", "n_utterances",
    "audio_coverage", "mean_output_tokens",
)  # fmt: skip
"""What a file may correct beside the error."""
_MEASURED = ("p50_ms", "p90_ms", "p95_ms", "p99_ms")

Result = tuple[Trial, RunRecord]


def home_of_before(engine: Engine, name: str, results: Sequence[Result]) -> str | None:
    """The digest under which at least half of a file's results are stored; None where its own is, or no other."""
    own = {trial.dataset_digest for trial, _ in results if _is_home(trial.dataset_digest, name)}
    if len(own) != 1:
        return None

    def work(connection: Connection) -> str | None:
        query = select(trials.c.dataset_digest).distinct().order_by(trials.c.dataset_digest)
        stored = [d for d in connection.execute(query).scalars() if _is_home(d, name)]
        if own & set(stored):
            return None
        return next((d for d in stored if _mostly_stored(connection, results, d)), None)

    return read(engine, work)


def _is_home(digest: str, name: str) -> bool:
    return digest == f"imported:{name}" or digest.rpartition(":")[0] == f"imported:{name}"


def _mostly_stored(connection: Connection, results: Sequence[Result], digest: str) -> bool:
    wanted = {
        dataclasses.replace(trial, dataset_digest=digest).fingerprint: record.evaluations[0].error
        for trial, record in results
        if record.evaluations
    }
    query = (
        select(trials.c.fingerprint, evaluations.c.error)
        .join(runs, runs.c.trial_id == trials.c.trial_id)
        .join(evaluations, evaluations.c.run_id == runs.c.run_id)
        .where(runs.c.status == "finished", runs.c.provenance == "imported")
    )
    n_same = 0
    for keys in to_rows.chunks(list(wanted)):
        for row in connection.execute(query.where(trials.c.fingerprint.in_(keys))):
            n_same += math.isclose(row.error, wanted[row.fingerprint], rel_tol=1e-12)
    return 0 < len(wanted) <= 2 * n_same


def correction(
    connection: Connection, trial_id: int, trial: Trial, record: RunRecord, provenance: str
) -> tuple[int, str] | None:
    """The run that a corrected file replaces, and what changes; None where the results agree.

    Raises:
        InputError: the other result is not this file's own.
    """
    stored = {(e.split, e.metric): e for e in connection.execute(_evaluations_of(trial_id))}
    # The digest names the file, so that only a file's own rows have this trial.
    its_own = trial.dataset_digest.startswith("imported:") and provenance == "imported"
    for evaluation in record.evaluations:
        known = stored.get((evaluation.split, evaluation.metric))
        if known is None:
            continue
        own = its_own and known.provenance == "imported"
        if own and (changes := _changes(known, evaluation)):
            return known.run_id, ", ".join(changes)
        if not math.isclose(known.error, evaluation.error, rel_tol=1e-12):
            raise InputError(
                f"{evaluation.metric} of {trial.label} is stored as {known.error:g} already and the "
                f"import says {evaluation.error:g}; give the row another seed or dataset name, leave it out, or "
                f"take the other away (soundscale runs remove {known.run_id})"
            )
    return None


def _evaluations_of(trial_id: int) -> Any:
    return (
        select(evaluations, runs.c.provenance)
        .join(runs, runs.c.run_id == evaluations.c.run_id)
        .where(runs.c.trial_id == trial_id, runs.c.status == "finished")
    )


def _changes(known: Row[Any], evaluation: Evaluation) -> list[str]:
    """`wer 0.9 is 0.09 now`; a cell that the file leaves empty changes nothing."""
    found = []
    for name in ("error", *_COUNTED):
        before, now = getattr(known, name), getattr(evaluation, name)
        if now is None or (before is not None and math.isclose(before, now, rel_tol=1e-12)):
            continue
        word = evaluation.metric if name == "error" else name
        found.append(f"{word} {'' if before is None else f'{before:g} '}is {now:g} now")
    return found


def later_latencies(
    connection: Connection, trial_id: int, trial: Trial, record: RunRecord
) -> list[str]:
    """Store latencies that the known run does not have yet, or has otherwise by an import; what changed."""
    run_id = connection.execute(
        select(runs.c.run_id).where(runs.c.trial_id == trial_id, runs.c.status == "finished")
    ).scalar()
    if run_id is None or not record.latencies:
        return []
    query = (
        select(latencies, devices.c.name.label("device"))
        .join(devices, devices.c.device_id == latencies.c.device_id)
        .where(latencies.c.run_id == run_id)
    )
    stored = connection.execute(query).all()
    if any(not row.method.startswith("imported") for row in stored):
        return []
    changes = _latency_changes(stored[0], record.latencies[0]) if stored else []
    if stored and not changes:
        return []
    connection.execute(delete(latencies).where(latencies.c.run_id == run_id))
    rows = to_rows.latency_rows(record.latencies, run_id)
    to_rows.insert_latencies(connection, rows, record.latencies)
    said = f"{', '.join(changes)} (run {run_id})" if stored else f"latency added to run {run_id}"
    return [f"{trial.label}: {said}"]


def _latency_changes(before: Row[Any], now: Latency) -> list[str]:
    found = [] if before.device == now.device.name else [f"device is {now.device.name} now"]
    return found + [
        f"latency_{name} {getattr(before, name):g} is {getattr(now, name):g} now"
        for name in _MEASURED
        if not math.isclose(getattr(before, name), getattr(now, name), rel_tol=1e-12)
    ]


def not_in_the_file(
    connection: Connection, results: Sequence[Result], provenance: str
) -> list[str]:
    """Runs that an earlier file of the same home had and this one has not: they stay, and are named."""
    homes = {t.dataset_digest for t, _ in results if t.dataset_digest.startswith("imported:")}
    if provenance != "imported" or not homes:
        return []
    query = (
        select(runs.c.run_id, trials.c.fingerprint)
        .join(trials, trials.c.trial_id == runs.c.trial_id)
        .where(runs.c.status == "finished", runs.c.provenance == "imported")
        .where(trials.c.dataset_digest.in_(sorted(homes)))
        .order_by(runs.c.run_id)
    )
    here = {trial.fingerprint for trial, _ in results}
    gone = [row.run_id for row in connection.execute(query) if row.fingerprint not in here]
    if not gone:
        return []
    ids = " ".join(map(str, gone[:20])) + (" …" if len(gone) > 20 else "")
    return [
        f"{len(gone)} runs of an earlier file of this name are not in it and stay (runs {ids}); where they were "
        f"corrected, take them out: soundscale runs remove {ids} --why corrected"
    ]
