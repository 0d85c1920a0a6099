"""The statements of claims: taking, extending and ending leases, inside a transaction of the caller.

Trials are locked before their runs and in the order of their keys, in every statement that locks
several, so that no two transactions wait for each other.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Select,
    Text,
    Update,
    bindparam,
    case,
    insert,
    literal,
    select,
    true,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from planner.store.clock import NowSeconds, NowUtc
from planner.store.dialects import Plain
from planner.store.prepared import PreparedStatement
from planner.store.schema import runs, sweep_trials, trials

LOST = "lost-node"
"""Failure class of a run whose lease ran out: its worker died, hung or was cut off."""

CLAIMED = (
    trials.c.trial_id,
    trials.c.trial_json,
    trials.c.resources_json,
    trials.c.n_attempts,
    trials.c.token,
)
"""What a claim carries away."""

QUEUED_OR_FAILED: ColumnElement[str] = case(
    (trials.c.n_attempts < trials.c.max_attempts, "queued"), else_="failed"
)
"""Where a trial goes after an attempt that may be repeated."""


ENDED_UTC: ColumnElement[str] = case(
    (NowUtc() < runs.c.started_utc, runs.c.started_utc), else_=NowUtc()
)
"""When a run ends, by the database's clock; a clock that was put back makes no run end before it began."""


def member(sweep_id: Any) -> ColumnElement[bool]:
    """That a trial is in a sweep.

    Asked of one trial after another, by a subquery that PostgreSQL does not turn into a join: joined,
    every claim would sort the whole sweep (measured: 30 ms against 0.3 at 4,000 trials).
    """
    place = select(sweep_trials.c.position).where(
        sweep_trials.c.sweep_id == sweep_id, sweep_trials.c.trial_id == trials.c.trial_id
    )
    return place.correlate(trials).scalar_subquery() >= 0


_LEASE = bindparam("lease", type_=NowSeconds.type)
_MINE = (
    (trials.c.trial_id == bindparam("trial"))
    & (trials.c.token == bindparam("held"))
    & (trials.c.state == "running")
)
_RUN = runs.c.run_id == bindparam("run")


class Taken(NamedTuple):
    """A claim as the database gives it: the new run, and `CLAIMED` of its trial."""

    run_id: int
    trial_id: int
    trial_json: str
    resources_json: str
    n_attempts: int
    token: int


_WORKER = {
    "claim_key": bindparam("name", type_=Text),
    "status": literal("running", Text),
    "host": bindparam("at_host", type_=Text),
    "pid": bindparam("process", type_=Integer),
    "worker_version": bindparam("version", type_=Text),
    "code_revision": bindparam("revision", type_=Text),
    "details_json": bindparam("details", type_=Text),
    "started_utc": NowUtc(),
}
_START = PreparedStatement(
    insert(runs)
    .values(
        trial_id=bindparam("trial"), attempt=bindparam("number"), token=bindparam("held"), **_WORKER
    )
    .returning(runs.c.run_id)
)


def _with_run(taking: ReturningUpdate[Any]) -> Select[Any]:
    """The claim and its run in one statement, which is a transaction of its own."""
    taken = taking.cte("taken")
    started = (
        insert(runs)
        .from_select(
            ["trial_id", "attempt", "token", *_WORKER],
            select(taken.c.trial_id, taken.c.n_attempts, taken.c.token, *_WORKER.values()),
        )
        .returning(runs.c.run_id)
        .cte("started")
    )
    return select(started.c.run_id, *taken.c).select_from(taken.join(started, true()))


# SKIP LOCKED passes over what others are claiming now; SQLite has one writer and needs none.
# The state is asked again outside: on PostgreSQL the inner answer alone is not a claim.
_QUEUED = select(trials.c.trial_id).where(
    trials.c.state == "queued", trials.c.trial_id == bindparam("key")
)
_TAKING = (
    update(trials)
    .where(
        trials.c.trial_id == _QUEUED.with_for_update(skip_locked=True).scalar_subquery(),
        trials.c.state == "queued",
    )
    .values(
        state="running",
        token=trials.c.token + 1,
        n_attempts=trials.c.n_attempts + 1,
        lease_until_seconds=NowSeconds() + _LEASE,
    )
    .returning(*CLAIMED)
)
_CLAIM = PreparedStatement(_TAKING)
CLAIM_WITH_RUN = PreparedStatement(_with_run(_TAKING))


def take(connection: Plain, key: int, lease: float, name: str, **worker: Any) -> Taken | None:
    """Claim the trial of that key where it is queued, else None.

    One statement on PostgreSQL, two on SQLite, which has no such one.
    """
    if connection.dialect.name == "postgresql":
        whole = CLAIM_WITH_RUN.first(connection, key=key, lease=lease, name=name, **worker)
        return None if whole is None else Taken(*whole)
    claimed = _CLAIM.first(connection, key=key, lease=lease)
    if claimed is None:
        return None
    who = {"trial": claimed[0], "number": claimed[3], "held": claimed[4], "name": name}
    started = _START.first(connection, **who, **worker)
    assert started is not None
    return Taken(started[0], *claimed)


_TAKEN = PreparedStatement(
    select(runs.c.run_id, *CLAIMED)
    .join(trials, trials.c.trial_id == runs.c.trial_id)
    .where(runs.c.claim_key == bindparam("name"), runs.c.status == "running")
)


def taken(connection: Plain, name: str) -> Taken | None:
    """The running claim of that name, where a commit happened whose answer was lost."""
    found = _TAKEN.first(connection, name=name)
    return None if found is None else Taken(*found)


def held(connection: Connection, sweep_id: int) -> list[tuple[Taken, Any]]:
    """The running claims among a sweep's trials, each with its worker's host, pid and details."""
    query = (
        select(runs.c.run_id, *CLAIMED, runs.c.host, runs.c.pid, runs.c.details_json)
        .join(trials, trials.c.trial_id == runs.c.trial_id)
        .where(runs.c.status == "running", trials.c.state == "running", member(sweep_id))
        .where(runs.c.token == trials.c.token)
        .order_by(trials.c.trial_id)
    )
    n_taken = len(Taken._fields)
    return [(Taken(*row[:n_taken]), row) for row in connection.execute(query)]


EXTEND = PreparedStatement(
    update(trials).where(_MINE).values(lease_until_seconds=NowSeconds() + _LEASE)
)
BEAT = PreparedStatement(update(runs).where(_RUN).values(heartbeat_utc=NowUtc()))
SHOW = PreparedStatement(
    update(runs)
    .where(_RUN)
    .values(
        heartbeat_utc=NowUtc(),
        phase=bindparam("now_phase"),
        step=bindparam("now_step"),
        n_steps=bindparam("of_steps"),
        loss=bindparam("now_loss"),
    )
)


def _leave(state: ColumnElement[str] | str) -> Update:
    return update(trials).where(_MINE).values(state=state, lease_until_seconds=None)


FINISHED = PreparedStatement(_leave("finished"))
FAILED = PreparedStatement(_leave("failed"))
AGAIN = PreparedStatement(_leave(QUEUED_OR_FAILED))
GIVEN_BACK = PreparedStatement(_leave("queued").values(max_attempts=trials.c.max_attempts + 1))

_WAS = PreparedStatement(
    select(runs.c.run_id).where(
        _RUN, runs.c.token == bindparam("held"), runs.c.status == bindparam("was")
    )
)


def ended_as(connection: Connection, run_id: int, token: int, status: str) -> bool:
    """Whether this very claim ended so before: its first commit was not acknowledged."""
    return _WAS.first(connection, run=run_id, held=token, was=status) is not None


def locked(connection: Connection, chosen: Select[Any], *, skip: bool = False) -> list[int]:
    """Keys of the chosen trials, locked in order; with `skip`, without those that are locked."""
    ordered = chosen.order_by(trials.c.trial_id).with_for_update(skip_locked=skip)
    return [int(key) for key in connection.execute(ordered).scalars()]


def end_running(
    connection: Connection, trial_id: int, status: str, failure_class: str | None, why: str
) -> None:
    """End the running attempt of a locked trial, if there is one."""
    connection.execute(
        update(runs)
        .where(runs.c.trial_id == trial_id, runs.c.status == "running")
        .values(
            status=status, finished_utc=ENDED_UTC, failure_class=failure_class, failure_text=why
        )
    )


def _over(where: ColumnElement[bool] | None) -> Select[Any]:
    over = select(trials.c.trial_id).where(
        trials.c.state == "running", trials.c.lease_until_seconds < NowSeconds()
    )
    return over if where is None else over.where(where)


def any_over(connection: Connection, where: ColumnElement[bool] | None) -> bool:
    """Whether a lease ran out among the trials of `where`; asked before a writer is made to wait."""
    return connection.execute(_over(where).limit(1)).first() is not None


def expire(connection: Connection, where: ColumnElement[bool] | None) -> int:
    """End the leases that ran out, among the trials of `where`; how many there were."""
    # What another transaction holds is being ended or extended by it, and can wait for the next call.
    lost = locked(connection, _over(where), skip=True)
    for trial_id in lost:
        why = "its lease ran out: the worker died, hung or lost the database"
        end_running(connection, trial_id, "lost", LOST, why)
        connection.execute(
            update(trials)
            .where(trials.c.trial_id == trial_id)
            .values(state=QUEUED_OR_FAILED, lease_until_seconds=None)
        )
    return len(lost)
