"""Reading sweeps: what is waiting, running, done and failed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, Select, and_, case, func, select

from planner.errors import UnknownNameError
from planner.store import schema, to_rows
from planner.store.clock import NowSeconds, NowUtc
from planner.store.read_runs import trial_of
from planner.store.row_types import SweepRow, SweepStatus, TrialStatus
from planner.store.schema import TRIAL_STATES, runs, sweep_trials, trials
from planner.store.transactions import read
from planner.words.records import Resources

_TRIAL_FIELDS = ("trial_id", "state", "token", "n_attempts", "max_attempts", "metric")
_RUN_FIELDS = (
    "run_id", "status", "provenance", "host", "pid", "phase", "step", "n_steps", "loss",
    "started_utc", "heartbeat_utc", "finished_utc", "failure_class", "failure_text",
)  # fmt: skip
_ERROR = schema.evaluations


def sweeps(engine: Engine) -> list[SweepRow]:
    """All sweeps, oldest first, with their trials in each state."""
    table = schema.sweeps
    counts = [
        func.sum(case((trials.c.state == state, 1), else_=0)).label(f"n_{state}")
        for state in TRIAL_STATES
    ]
    keys = (table.c.sweep_id, table.c.name, table.c.created_utc)
    query = (
        select(*keys, func.count(trials.c.trial_id).label("n_trials"), *counts)
        .outerjoin(sweep_trials, sweep_trials.c.sweep_id == table.c.sweep_id)
        .outerjoin(trials, trials.c.trial_id == sweep_trials.c.trial_id)
        .group_by(*keys)
        .order_by(table.c.sweep_id)
    )
    return read(engine, lambda c: [SweepRow(**row) for row in c.execute(query).mappings()])


def sweep_status(engine: Engine, name: str) -> SweepStatus:
    """A sweep's trials in order with their latest attempts, as they are at this moment.

    Raises:
        UnknownNameError: no sweep has the name.
    """

    def work(connection: Connection) -> SweepStatus:
        table = schema.sweeps
        sweep = connection.execute(
            select(table, NowUtc().label("now_utc")).where(table.c.name == name)
        ).one_or_none()
        if sweep is None:
            known = connection.execute(select(table.c.name)).scalars().all()
            raise UnknownNameError("sweep", name, known)
        found = connection.execute(_status_query(sweep.sweep_id)).mappings().all()
        return SweepStatus(
            sweep_id=sweep.sweep_id,
            name=sweep.name,
            spec_json=sweep.spec_json,
            created_utc=sweep.created_utc,
            now_utc=sweep.now_utc,
            rows=tuple(_status(row) for row in found),
        )

    return read(engine, work)


def sweep_id_of(engine: Engine, name: str) -> int:
    """The key of a sweep.

    Raises:
        UnknownNameError: no sweep has the name.
    """

    def work(connection: Connection) -> int:
        found = connection.execute(select(schema.sweeps.c.name, schema.sweeps.c.sweep_id)).all()
        ids: dict[str, int] = {row.name: row.sweep_id for row in found}
        if name not in ids:
            raise UnknownNameError("sweep", name, ids)
        return ids[name]

    return read(engine, work)


def trial_states(engine: Engine, fingerprints: Sequence[str]) -> dict[str, str]:
    """The states of those trials that the database knows, by fingerprint."""
    return read(engine, lambda c: to_rows.states(c, fingerprints))


def _status_query(sweep_id: int) -> Select[Any]:
    latest = and_(runs.c.trial_id == trials.c.trial_id, runs.c.attempt == trials.c.n_attempts)
    # One row a run: published tables may hold an error on another split than `test`.
    main = (
        select(_ERROR.c.evaluation_id)
        .where(_ERROR.c.run_id == runs.c.run_id, _ERROR.c.metric == trials.c.metric)
        .order_by(case((_ERROR.c.split == "test", 0), else_=1), _ERROR.c.evaluation_id)
        .limit(1)
        .correlate(runs, trials)
        .scalar_subquery()
    )
    return (
        select(
            sweep_trials.c.position,
            trials.c.trial_json,
            trials.c.resources_json,
            (trials.c.lease_until_seconds - NowSeconds()).label("lease_seconds_left"),
            *(trials.c[name] for name in _TRIAL_FIELDS),
            *(runs.c[name] for name in _RUN_FIELDS),
            _ERROR.c.error,
            _ERROR.c.std_error,
            NowUtc().label("now_utc"),
        )
        .select_from(sweep_trials)
        .join(trials, trials.c.trial_id == sweep_trials.c.trial_id)
        .outerjoin(runs, latest)
        .outerjoin(_ERROR, _ERROR.c.evaluation_id == main)
        .where(sweep_trials.c.sweep_id == sweep_id)
        .order_by(sweep_trials.c.position)
    )


def _status(row: RowMapping) -> TrialStatus:
    names = ("position", "lease_seconds_left", "error", "std_error", *_TRIAL_FIELDS, *_RUN_FIELDS)
    return TrialStatus(
        trial=trial_of(row["trial_json"]),
        resources=Resources(**json.loads(row["resources_json"])),
        elapsed_seconds=_between(row["started_utc"], row["finished_utc"] or row["now_utc"]),
        **{name: row[name] for name in names},
    )


def _between(start: str | None, end: str) -> float | None:
    from datetime import datetime

    if start is None:
        return None
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def sweep_specs(engine: Engine, trial_id: int) -> list[str]:
    """The files (JSON) of the sweeps that a trial is in, oldest first."""
    query = (
        select(schema.sweeps.c.spec_json)
        .join(sweep_trials, sweep_trials.c.sweep_id == schema.sweeps.c.sweep_id)
        .where(sweep_trials.c.trial_id == trial_id)
        .order_by(schema.sweeps.c.sweep_id)
    )
    return read(engine, lambda c: list(c.execute(query).scalars().all()))
