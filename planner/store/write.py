"""Writing sweeps, imported results, latencies, fits and answers; results of claims are in claims.py.

Each function is one transaction: it happens whole or not at all, and repeating it adds nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, case, delete, insert, select, update

from planner.errors import InputError, StoreError
from planner.store import schema, to_rows
from planner.store.backbones import add_backbone, catalogue
from planner.store.clock import NowUtc
from planner.store.row_types import FitRow, FitRun, PlanRow
from planner.store.schema import PROVENANCES, runs, sweep_trials, sweeps, trials
from planner.store.transactions import write
from planner.words.records import Device, Latency, Resources, RunRecord, Trial

__all__ = [
    "FitRow",
    "FitRun",
    "ImportCount",
    "ImportedRun",
    "PlanRow",
    "SweepCount",
    "add_backbone",
    "import_runs",
    "register_sweep",
    "save_device",
    "save_fit",
    "save_latencies",
    "save_plan",
]


_FIT_COLUMNS = (
    "fit_id", "task", "metric", "law", "status", "n_runs", "objective", "selection_json",
    "fit_json", "version",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepCount:
    """What registering a sweep found: all its trials, those new to the database, those finished."""

    sweep_id: int
    n_trials: int
    n_new: int
    n_finished: int


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


def register_sweep(
    engine: Engine, name: str, spec_json: str, trials_: Sequence[tuple[Trial, Resources]]
) -> SweepCount:
    """Make the sweep of that name consist of these trials, in this order; run again, it resumes.

    Trials that the database knows by their fingerprint keep their state and results, whatever sweep
    or import they came from; failed and cancelled ones wait for `claims.retry`. A trial given twice
    counts once.

    Raises:
        UnknownNameError: a backbone is not in the catalogue.
    """
    chosen = {trial.fingerprint: (trial, resources) for trial, resources in trials_}
    backbones = catalogue(engine)

    def work(connection: Connection) -> SweepCount:
        known = to_rows.states(connection, chosen)
        sweep_id = _sweep_id(connection, name, spec_json)
        _insert_trials(
            connection,
            [
                to_rows.trial_row(trial, backbones) | to_rows.resources_columns(resources)
                for key, (trial, resources) in chosen.items()
                if key not in known
            ],
        )
        _set_members(connection, sweep_id, list(chosen))
        _set_resources(connection, {key: resources for key, (_, resources) in chosen.items()})
        return SweepCount(
            sweep_id=sweep_id,
            n_trials=len(chosen),
            n_new=len(chosen) - len(known),
            n_finished=sum(state == "finished" for state in known.values()),
        )

    return write(engine, work)


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
        _insert_trials(connection, [row for key, row in chosen.items() if key not in known])
        stored = [_import_run(connection, row, provenance) for row in rows_]
        return ImportCount(n_new=sum(stored), n_known=len(stored) - sum(stored))

    return write(engine, work)


def save_latencies(engine: Engine, latencies: Sequence[Latency], run_id: int | None = None) -> None:
    """Store latency measurements that were taken by themselves, or later for a finished run.

    Raises:
        InputError: a number is not finite.
    """
    record = RunRecord(status="finished", latencies=tuple(latencies))
    to_rows.check_record(record, "finished")
    named = to_rows.latency_rows(latencies, run_id)
    write(engine, lambda c: to_rows.insert_latencies(c, named, latencies))


def save_device(engine: Engine, device: Device) -> int:
    """The key of a device, which is stored where its name is new."""
    return write(engine, lambda c: to_rows.device_id_of(c, device))


def add_device_details(engine: Engine, name: str, more: dict[str, Any]) -> None:
    """Add to what is stored of a device; keys that it has keep their values."""
    table = schema.devices

    def work(connection: Connection) -> None:
        found = connection.execute(select(table.c.details_json).where(table.c.name == name))
        known = json.loads(found.scalar_one() or "{}")
        values = {"details_json": to_rows.optional_json(more | known)}
        connection.execute(update(table).where(table.c.name == name).values(**values))

    write(engine, work)


def save_fit(engine: Engine, fit: FitRow) -> None:
    """Store a fitted law with the runs that it looked at; the same fit again changes nothing.

    Raises:
        StoreError: another fit is stored under the id.
        InputError: the objective is not finite.
    """
    if not math.isfinite(fit.objective):
        raise InputError(f"objective of a fit must be finite, got {fit.objective!r}")
    values = {name: getattr(fit, name) for name in _FIT_COLUMNS}
    looked_at = [
        (fit.fit_id, run_id, int(included), reason) for run_id, included, reason in fit.runs
    ]

    def work(connection: Connection) -> None:
        table = schema.law_fits
        stored = connection.execute(
            select(table.c.fit_json).where(table.c.fit_id == fit.fit_id)
        ).scalar()
        if stored is not None:
            _same(stored, fit.fit_json, f"fit {fit.fit_id}")
            return
        connection.execute(insert(table).values(**values, created_utc=NowUtc()))
        names = ("fit_id", "run_id", "included", "reason")
        to_rows.bulk_insert(connection, schema.law_fit_runs, names, looked_at)

    write(engine, work)


def save_plan(engine: Engine, plan: PlanRow) -> None:
    """Store an answer; the same answer again changes nothing.

    Raises:
        StoreError: another answer is stored under the id.
    """
    columns = ("answer_id", "fit_id", "task", "query_json", "answer_json", "version")
    values = {name: getattr(plan, name) for name in columns}

    def work(connection: Connection) -> None:
        table = schema.plans
        stored = connection.execute(
            select(table.c.answer_json).where(table.c.answer_id == plan.answer_id)
        ).scalar()
        if stored is None:
            connection.execute(insert(table).values(**values, created_utc=NowUtc()))
        else:
            _same(stored, plan.answer_json, f"answer {plan.answer_id}")

    write(engine, work)


def _same(stored: str, given: str, what: str) -> None:
    if stored != given:
        raise StoreError(f"{what} is stored with other content; an id names one content for ever")


def _now(connection: Connection) -> str:
    return str(connection.execute(select(NowUtc())).scalar_one())


def _insert_trials(connection: Connection, new: Sequence[to_rows.Row]) -> None:
    now = _now(connection)
    to_rows.insert_new(connection, trials, [row | {"created_utc": now} for row in new])


def _sweep_id(connection: Connection, name: str, spec_json: str) -> int:
    new = {"name": name, "spec_json": spec_json, "created_utc": _now(connection)}
    to_rows.insert_new(connection, sweeps, [new])
    by_name = sweeps.c.name == name
    connection.execute(update(sweeps).where(by_name).values(spec_json=spec_json))
    return int(connection.execute(select(sweeps.c.sweep_id).where(by_name)).scalar_one())


def _set_members(connection: Connection, sweep_id: int, fingerprints: Sequence[str]) -> None:
    in_sweep = sweep_trials.c.sweep_id == sweep_id
    stored = (
        select(trials.c.fingerprint)
        .join(sweep_trials, sweep_trials.c.trial_id == trials.c.trial_id)
        .where(in_sweep)
        .order_by(sweep_trials.c.position)
    )
    # A driver that is started again finds its own sweep, and keeps nobody from writing.
    if connection.execute(stored).scalars().all() == fingerprints:
        return
    connection.execute(delete(sweep_trials).where(in_sweep))
    source = select(
        bindparam("sweep", type_=sweep_trials.c.sweep_id.type),
        trials.c.trial_id,
        bindparam("place", type_=sweep_trials.c.position.type),
    ).where(trials.c.fingerprint == bindparam("key"))
    if fingerprints:
        connection.execute(
            insert(sweep_trials).from_select(["sweep_id", "trial_id", "position"], source),
            [
                {"sweep": sweep_id, "place": place, "key": key}
                for place, key in enumerate(fingerprints)
            ],
        )


def _set_resources(connection: Connection, given: Mapping[str, Resources]) -> None:
    """Give the trials that wait the resources that are asked for now."""
    alike: dict[Resources, list[str]] = {}
    for fingerprint, resources in given.items():
        alike.setdefault(resources, []).append(fingerprint)
    for resources, fingerprints in alike.items():
        row = to_rows.resources_columns(resources)
        wanted = row["max_attempts"]
        changed = (
            update(trials)
            .where(trials.c.state == "queued", trials.c.resources_json != row["resources_json"])
            .values(
                resources_json=row["resources_json"],
                # The attempts used so far stay used, and one at least is left.
                max_attempts=case(
                    (trials.c.n_attempts >= wanted, trials.c.n_attempts + 1), else_=wanted
                ),
            )
        )
        for part in to_rows.chunks(fingerprints):
            connection.execute(changed.where(trials.c.fingerprint.in_(part)))


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
    now = _now(connection)
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
