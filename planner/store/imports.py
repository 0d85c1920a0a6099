"""Storing results from elsewhere: published tables and the user's own, as finished runs of their trials."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update

from planner.errors import InputError, StoreError
from planner.store import schema, to_rows
from planner.store.backbones import catalogue
from planner.store.schema import PROVENANCES, runs, trials
from planner.store.transactions import write
from planner.words.records import Resources, RunRecord, Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedRun:
    """A result from elsewhere: `source` says where it stands, `source_kind` how (`read`, `inferred`)."""

    trial: Trial
    record: RunRecord
    source: str | None = None
    source_kind: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportCount:
    """How many imported runs were new, and how many were stored before."""

    n_new: int
    n_known: int


def import_runs(engine: Engine, rows_: Sequence[ImportedRun], provenance: str) -> ImportCount:
    """Store results from elsewhere (`published`, `imported`) as runs of their trials.

    Raises:
        InputError: the provenance is not one of a result from elsewhere, a number is not finite, or
            a trial is stored with another result already.
        StoreError: a trial is being trained at this moment.
        UnknownNameError: a backbone is in neither the catalogue nor given `n_params`.
    """
    if provenance not in PROVENANCES[1:]:
        raise InputError(f"provenance must be published or imported, got {provenance!r}")
    for row in rows_:
        to_rows.check_record(row.record, "failed" if row.record.status == "failed" else "finished")
    backbones = catalogue(engine)
    chosen = {
        row.trial.fingerprint: to_rows.trial_row(row.trial, backbones, row.record)
        | to_rows.resources_columns(Resources())
        for row in rows_
    }

    def work(connection: Connection) -> ImportCount:
        known = to_rows.states(connection, chosen)
        to_rows.insert_trials(connection, [row for key, row in chosen.items() if key not in known])
        stored = [_import_run(connection, row, provenance) for row in rows_]
        return ImportCount(n_new=sum(stored), n_known=len(stored) - sum(stored))

    return write(engine, work)


def _import_run(connection: Connection, row: ImportedRun, provenance: str) -> bool:
    """Store one imported run; False when it is stored already."""
    by_key = trials.c.fingerprint == row.trial.fingerprint
    trial = connection.execute(
        select(trials.c.trial_id, trials.c.state, trials.c.n_attempts, trials.c.token)
        .where(by_key)
        .with_for_update()
    ).one()
    if trial.state == row.record.status or trial.state == "finished":
        _check_same_result(connection, trial.trial_id, row)
        return False
    if trial.state == "running":
        raise StoreError(
            f"cannot import a result of {row.trial.label}: it is being trained now; "
            "wait for it, or cancel its sweep"
        )
    ended = {"state": row.record.status, "n_attempts": trial.n_attempts + 1}
    connection.execute(update(trials).where(by_key).values(**ended, token=trial.token + 1))
    now = to_rows.now(connection)
    device = row.record.device
    device_id = None if device is None else to_rows.device_id_of(connection, device)
    values: dict[str, Any] = to_rows.record_columns(row.record, device_id) | {
        "trial_id": trial.trial_id,
        "attempt": trial.n_attempts + 1,
        "token": trial.token + 1,
        "status": row.record.status,
        "provenance": provenance,
        "source": row.source,
        "source_kind": row.source_kind,
        "started_utc": now,
        "finished_utc": now,
    }
    run_id = connection.execute(insert(runs).values(**values).returning(runs.c.run_id)).scalar_one()
    to_rows.store_details(connection, run_id, row.record)
    return True


def _check_same_result(connection: Connection, trial_id: int, row: ImportedRun) -> None:
    """Refuse another result for a finished trial: it would have to replace or contradict one."""
    table = schema.evaluations
    stored = {
        (e.split, e.metric): e.error
        for e in connection.execute(
            select(table.c.split, table.c.metric, table.c.error)
            .join(runs, runs.c.run_id == table.c.run_id)
            .where(runs.c.trial_id == trial_id, runs.c.status == "finished")
        )
    }
    for evaluation in row.record.evaluations:
        known = stored.get((evaluation.split, evaluation.metric))
        if known is not None and not math.isclose(known, evaluation.error, rel_tol=1e-12):
            raise InputError(
                f"{evaluation.metric} of {row.trial.label} is stored as {known:g} already and the "
                f"import says {evaluation.error:g}; give the row another seed or dataset name, "
                "or leave it out"
            )
