"""Storing results from elsewhere: published tables and the user's own, as finished runs of their trials."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update

from planner.errors import InputError, StoreError
from planner.store import to_rows
from planner.store.backbones import catalogue
from planner.store.import_corrections import correction, later_latencies, not_in_the_file
from planner.store.removal import to_trash
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
    """How many imported runs were new, how many were stored before, and what a corrected file changed."""

    n_new: int
    n_known: int
    changes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class _DryRunError(Exception):
    """Takes a dry run's writes back and carries what they came to."""

    def __init__(self, count: ImportCount) -> None:
        super().__init__("dry run")
        self.count = count


def import_runs(
    engine: Engine, rows_: Sequence[ImportedRun], provenance: str, *, dry_run: bool = False
) -> ImportCount:
    """Store results from elsewhere (`published`, `imported`) as runs of their trials.

    A file that was imported before and says another error now replaces its own rows, which are kept as
    removed; a latency that it did not have is added. A dry run says the same and stores nothing.

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
        changes: list[str] = []
        stored = [_import_run(connection, row, provenance, changes) for row in rows_]
        n_new = sum(stored)
        gone = not_in_the_file(connection, [(r.trial, r.record) for r in rows_], provenance)
        count = ImportCount(
            n_new=n_new, n_known=len(stored) - n_new, changes=tuple(changes), notes=tuple(gone)
        )
        if dry_run:
            raise _DryRunError(count)
        return count

    _check_once(rows_)
    try:
        return write(engine, work)
    except _DryRunError as seen:
        return seen.count


def _check_once(rows_: Sequence[ImportedRun]) -> None:
    """Refuse a table that gives one trial two results: neither corrects the other."""
    seen: dict[tuple[str, str, str], float] = {}
    for row in rows_:
        for e in row.record.evaluations:
            before = seen.setdefault((row.trial.fingerprint, e.split, e.metric), e.error)
            if not math.isclose(before, e.error, rel_tol=1e-12):
                raise InputError(
                    f"{e.metric} of {row.trial.label} is {before:g} in one row and {e.error:g} in another; "
                    "give the rows different seeds or dataset names, or leave one out"
                )


def _import_run(
    connection: Connection, row: ImportedRun, provenance: str, changes: list[str]
) -> bool:
    """Store one imported run; False when it is stored already."""
    by_key = trials.c.fingerprint == row.trial.fingerprint
    trial = connection.execute(
        select(trials.c.trial_id, trials.c.state, trials.c.n_attempts, trials.c.token)
        .where(by_key)
        .with_for_update()
    ).one()
    if trial.state == row.record.status or trial.state == "finished":
        change = correction(connection, trial.trial_id, row.trial, row.record, provenance)
        if change is None:
            changes += later_latencies(connection, trial.trial_id, row.trial, row.record)
            return False
        old_run, text = change
        to_trash(connection, old_run, "runs import", f"the corrected {row.source}: {text}")
        changes.append(f"{row.trial.label}: {text} (run {old_run} is kept as removed)")
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
