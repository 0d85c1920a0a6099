"""Writing sweeps, latencies, fits and answers; results of claims are in claims.py, imports in imports.py.

Each function is one transaction: it happens whole or not at all, and repeating it adds nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, case, delete, func, insert, select, update

from planner.errors import InputError, StoreError
from planner.store import schema, to_rows
from planner.store.backbones import add_backbone, catalogue
from planner.store.clock import NowUtc
from planner.store.imports import ImportCount, ImportedRun, import_runs
from planner.store.row_types import FitRow, FitRun, PlanRow
from planner.store.schema import sweep_trials, sweeps, trials
from planner.store.sweep_history import Left, keep_history
from planner.store.transactions import read, write
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
    "n_plans",
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
    """What registering a sweep found: all its trials, those new to the database, those finished, those that left."""

    sweep_id: int
    n_trials: int
    n_new: int
    n_finished: int
    left: Left | None = None


def register_sweep(
    engine: Engine, name: str, spec_json: str, trials_: Sequence[tuple[Trial, Resources]]
) -> SweepCount:
    """Make the sweep of that name consist of these trials, in this order; run again, it resumes.

    Trials that the database knows by their fingerprint keep their state and results, whatever sweep
    or import they came from; failed and cancelled ones wait for `claims.retry`. A trial given twice
    counts once. Where trials that were tried leave the sweep, it stays as it was under another name
    (`planner.store.sweep_history`).

    Raises:
        UnknownNameError: a backbone is not in the catalogue.
    """
    chosen = {trial.fingerprint: (trial, resources) for trial, resources in trials_}
    backbones = catalogue(engine)

    def work(connection: Connection) -> SweepCount:
        known = to_rows.states(connection, chosen)
        left = keep_history(connection, name, chosen)
        sweep_id = _sweep_id(connection, name, spec_json)
        to_rows.insert_trials(
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
            left=left,
        )

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


def n_plans(engine: Engine) -> int:
    """How many answers are stored."""
    query = select(func.count(schema.plans.c.answer_id))
    return read(engine, lambda c: int(c.execute(query).scalar_one()))


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


def _sweep_id(connection: Connection, name: str, spec_json: str) -> int:
    new = {"name": name, "spec_json": spec_json, "created_utc": to_rows.now(connection)}
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
