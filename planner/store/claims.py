"""Claims: every trial trained by one worker at a time, its result stored at most once.

    queued --claim--> running --finish--> finished
      ^                  | fail, expire: attempts are left
      +------------------+ ... or used up, or not worth a retry --> failed;  cancel --> cancelled

A claim counts an attempt, takes a lease by the database's clock and a fencing token. Everything a
worker writes afterwards asks, in the same transaction, whether the token is still the trial's and
the trial still runs; a worker that lost its lease can write nothing any more. Each function is one
short transaction, and doing it twice does it once.
"""

from __future__ import annotations

import json
import math
import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    Select,
    case,
    exists,
    insert,
    literal,
    select,
    update,
)

from planner.errors import InputError, StoreError
from planner.records import Resources, RunRecord, Trial, trial_from_json
from planner.store import rows
from planner.store.clock import NowSeconds, NowUtc
from planner.store.schema import runs, sweep_trials, trials
from planner.store.transactions import read, write

LOST = "lost-node"
"""Failure class of a run whose lease ran out: its worker died, hung or was cut off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """Who executes: recorded with every attempt."""

    host: str
    pid: int
    version: str
    code_revision: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to execute one trial until the lease ends; `token` proves it in every write."""

    run_id: int
    trial_id: int
    trial: Trial
    resources: Resources
    attempt: int
    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a run stands: phase (`train`, `score`, `probe`), optimiser step of `n_steps`, its loss."""

    phase: str
    step: int | None = None
    n_steps: int | None = None
    loss: float | None = None


def claim_trial(
    engine: Engine, trial_id: int, worker: Worker, lease_seconds: float
) -> Claim | None:
    """Claim one trial; None when it is not to be had (running, finished, failed or cancelled).

    An expired lease on it is ended first.
    """
    queued = select(trials.c.trial_id).where(
        trials.c.trial_id == trial_id, trials.c.state == "queued"
    )
    return _claim(engine, queued, trials.c.trial_id == trial_id, worker, lease_seconds)


def claim_next(engine: Engine, sweep_id: int, worker: Worker, lease_seconds: float) -> Claim | None:
    """Claim the next queued trial of a sweep; None when nothing is to be had now.

    Expired leases of the sweep are ended first when no trial is queued.
    """
    member = _member(sweep_id)
    queued = (
        select(trials.c.trial_id)
        .where(trials.c.state == "queued", member)
        .order_by(trials.c.trial_id)
        .limit(1)
    )
    return _claim(engine, queued, member, worker, lease_seconds)


def heartbeat(
    engine: Engine, claim: Claim, lease_seconds: float, progress: Progress | None = None
) -> bool:
    """Extend the lease and show progress; False: the claim is lost, stop the work."""
    extend = (
        update(trials).where(_mine(claim)).values(lease_until_seconds=NowSeconds() + lease_seconds)
    )
    shown: dict[str, Any] = {"heartbeat_utc": NowUtc()}
    if progress is not None:
        loss = progress.loss if progress.loss is None or math.isfinite(progress.loss) else None
        shown |= {"phase": progress.phase, "step": progress.step, "n_steps": progress.n_steps}
        shown["loss"] = loss

    def work(connection: Connection) -> bool:
        if connection.execute(extend).rowcount != 1:
            return False
        connection.execute(update(runs).where(runs.c.run_id == claim.run_id).values(**shown))
        return True

    return write(engine, work)


def finish(engine: Engine, claim: Claim, record: RunRecord) -> bool:
    """Store the result of a claim; False: another holds or has finished it, nothing is stored.

    Repeated with the same claim after a lost acknowledgement it returns True and stores nothing
    twice.

    Raises:
        InputError: the record does not say `finished`, or a number in it is not finite.
    """
    rows.check_record(record, "finished")
    return write(engine, lambda c: _end(c, claim, record, literal("finished")))


def fail(engine: Engine, claim: Claim, record: RunRecord, *, retry: bool) -> bool:
    """Store a failed attempt; with `retry` the trial is queued again while attempts are left.

    Raises:
        InputError: the record does not say `failed`, or a number in it is not finite.
    """
    rows.check_record(record, "failed")
    state: ColumnElement[str] = _queued_or_failed() if retry else literal("failed")
    return write(engine, lambda c: _end(c, claim, record, state))


def give_back(engine: Engine, claim: Claim, why: str) -> bool:
    """Queue a trial again that this worker cannot execute; the attempt does not count.

    Args:
        engine: the database.
        claim: what was claimed.
        why: what the worker lacks, kept with the run.
    """
    again = (
        update(trials)
        .where(_mine(claim))
        .values(state="queued", lease_until_seconds=None, max_attempts=trials.c.max_attempts + 1)
    )

    def work(connection: Connection) -> bool:
        if connection.execute(again).rowcount != 1:
            return _ended(connection, claim, "cancelled")
        values = {"status": "cancelled", "finished_utc": NowUtc(), "failure_text": why}
        connection.execute(update(runs).where(runs.c.run_id == claim.run_id).values(**values))
        return True

    return write(engine, work)


def expire(engine: Engine, sweep_id: int | None = None) -> int:
    """End the leases that ran out: the run is lost, the trial queued again or failed for good.

    Any process may call it at any time; each lost lease is ended once.

    Returns:
        How many leases were ended.
    """
    where = _member(sweep_id) if sweep_id is not None else None
    return write(engine, lambda c: _expire(c, where))


def lose(engine: Engine, claim: Claim, why: str) -> bool:
    """End a claim whose worker is known to be dead, without waiting for its lease.

    As `expire` does: the run is lost, the trial queued again while attempts are left.

    Returns:
        False: the token is no longer the trial's, or it does not run; nothing is changed.
    """

    def work(connection: Connection) -> bool:
        ended = (
            update(trials)
            .where(_mine(claim))
            .values(state=_queued_or_failed(), lease_until_seconds=None)
        )
        if connection.execute(ended).rowcount != 1:
            return _ended(connection, claim, "lost")
        _end_running(connection, claim.trial_id, "lost", LOST, why)
        return True

    return write(engine, work)


def cancel(engine: Engine, sweep_id: int) -> int:
    """Cancel what is queued or running in a sweep; workers notice at their next heartbeat.

    A trial that another sweep shares is cancelled there too.

    Returns:
        How many trials were cancelled.
    """
    open_states = trials.c.state.in_(("queued", "running"))

    def work(connection: Connection) -> int:
        chosen = _locked(
            connection, select(trials.c.trial_id).where(_member(sweep_id), open_states)
        )
        for trial_id in chosen:
            _end_running(connection, trial_id, "cancelled", None, "the sweep was cancelled")
            connection.execute(_state(trial_id, literal("cancelled")))
        return len(chosen)

    return write(engine, work)


def retry_failed(engine: Engine, sweep_id: int) -> int:
    """Queue the failed trials of a sweep again, each with as many attempts as it had at first.

    Returns:
        How many trials were queued.
    """
    return _retry(engine, sweep_id, "failed")


def retry_cancelled(engine: Engine, sweep_id: int) -> int:
    """Queue the cancelled trials of a sweep again, as `retry_failed` does the failed ones."""
    return _retry(engine, sweep_id, "cancelled")


def _retry(engine: Engine, sweep_id: int, state: str) -> int:
    def work(connection: Connection) -> int:
        found = connection.execute(
            select(trials.c.trial_id, trials.c.resources_json)
            .where(_member(sweep_id), trials.c.state == state)
            .order_by(trials.c.trial_id)
            .with_for_update()
        ).all()
        for trial_id, resources_json in found:
            more = Resources(**json.loads(resources_json)).max_attempts
            connection.execute(
                update(trials)
                .where(trials.c.trial_id == trial_id)
                .values(state="queued", max_attempts=trials.c.n_attempts + more)
            )
        return len(found)

    return write(engine, work)


def check_one_host(engine: Engine, host: str) -> None:
    """Refuse to work on a SQLite database that a worker on another machine is using.

    Raises:
        StoreError: a live lease on it belongs to another host.
    """
    if engine.dialect.name != "sqlite":
        return
    other = read(
        engine,
        lambda c: c.execute(
            select(runs.c.host)
            .join(trials, trials.c.trial_id == runs.c.trial_id)
            .where(runs.c.status == "running", runs.c.token == trials.c.token)
            .where(runs.c.host != host, trials.c.lease_until_seconds > NowSeconds())
            .limit(1)
        ).scalar(),
    )
    if other is not None:
        raise StoreError(
            f"{host} and {other} are at work on one SQLite file, whose locks hold on one machine "
            "only; use --db postgresql://USER@HOST/NAME for a cluster"
        )


def _member(sweep_id: int) -> ColumnElement[bool]:
    return exists().where(
        sweep_trials.c.sweep_id == sweep_id, sweep_trials.c.trial_id == trials.c.trial_id
    )


def _mine(claim: Claim) -> ColumnElement[bool]:
    return (
        (trials.c.trial_id == claim.trial_id)
        & (trials.c.token == claim.token)
        & (trials.c.state == "running")
    )


def _queued_or_failed() -> ColumnElement[str]:
    return case((trials.c.n_attempts < trials.c.max_attempts, "queued"), else_="failed")


def _state(trial_id: int, state: ColumnElement[str]) -> Any:
    return (
        update(trials)
        .where(trials.c.trial_id == trial_id)
        .values(state=state, lease_until_seconds=None)
    )


def _locked(connection: Connection, chosen: Select[Any]) -> list[int]:
    """Keys of trials, locked in one order so that no two transactions wait for each other."""
    ordered = chosen.order_by(trials.c.trial_id).with_for_update()
    return [int(key) for key in connection.execute(ordered).scalars()]


def _claim(
    engine: Engine,
    queued: Select[tuple[int]],
    expirable: ColumnElement[bool],
    worker: Worker,
    lease_seconds: float,
) -> Claim | None:
    if not (math.isfinite(lease_seconds) and lease_seconds > 0):
        raise InputError(f"lease_seconds must be positive, got {lease_seconds!r}")
    keys: list[str] = []

    def work(connection: Connection) -> Claim | None:
        for key in keys:
            # A commit whose acknowledgement was lost: the claim may be ours already.
            if (claim := _claimed_as(connection, key)) is not None:
                return claim
        keys.append(uuid.uuid4().hex)
        claim = _take(connection, queued, worker, lease_seconds, keys[-1])
        if claim is None and _expire(connection, expirable):
            claim = _take(connection, queued, worker, lease_seconds, keys[-1])
        return claim

    return write(engine, work)


_CLAIMED = (
    trials.c.trial_id,
    trials.c.trial_json,
    trials.c.resources_json,
    trials.c.n_attempts,
    trials.c.token,
)


def _take(
    connection: Connection, queued: Select[tuple[int]], worker: Worker, lease: float, key: str
) -> Claim | None:
    # SKIP LOCKED passes over the trials that others are claiming now; SQLite's one writer needs none.
    chosen = queued.with_for_update(skip_locked=True).scalar_subquery()
    found = (
        connection.execute(
            update(trials)
            .where(trials.c.trial_id == chosen, trials.c.state == "queued")
            .values(
                state="running",
                token=trials.c.token + 1,
                n_attempts=trials.c.n_attempts + 1,
                lease_until_seconds=NowSeconds() + lease,
            )
            .returning(*_CLAIMED)
        )
        .mappings()
        .first()
    )
    if found is None:
        return None
    started: dict[str, Any] = {
        "trial_id": found["trial_id"],
        "attempt": found["n_attempts"],
        "token": found["token"],
        "claim_key": key,
        "status": "running",
        "host": worker.host,
        "pid": worker.pid,
        "worker_version": worker.version,
        "code_revision": worker.code_revision,
        "started_utc": NowUtc(),
    }
    run_id = connection.execute(
        insert(runs).values(**started).returning(runs.c.run_id)
    ).scalar_one()
    return _as_claim(run_id, found)


def _as_claim(run_id: int, found: RowMapping) -> Claim:
    return Claim(
        run_id=run_id,
        trial_id=found["trial_id"],
        trial=trial_from_json(json.loads(found["trial_json"])),
        resources=Resources(**json.loads(found["resources_json"])),
        attempt=found["n_attempts"],
        token=found["token"],
    )


def _claimed_as(connection: Connection, key: str) -> Claim | None:
    found = (
        connection.execute(
            select(runs.c.run_id, *_CLAIMED)
            .join(trials, trials.c.trial_id == runs.c.trial_id)
            .where(runs.c.claim_key == key, runs.c.status == "running")
        )
        .mappings()
        .first()
    )
    return None if found is None else _as_claim(found["run_id"], found)


def _end(
    connection: Connection, claim: Claim, record: RunRecord, state: ColumnElement[str]
) -> bool:
    """End a claimed run with its record: the check of the token and all rows in one transaction."""
    done = update(trials).where(_mine(claim)).values(state=state, lease_until_seconds=None)
    if connection.execute(done).rowcount != 1:
        return _ended(connection, claim, record.status)
    device = record.device
    device_id = None if device is None else rows.device_id_of(connection, device)
    values = rows.record_columns(record, device_id)
    values |= {"status": record.status, "finished_utc": NowUtc()}
    connection.execute(update(runs).where(runs.c.run_id == claim.run_id).values(**values))
    rows.store_details(connection, claim.run_id, record)
    return True


def _ended(connection: Connection, claim: Claim, status: str) -> bool:
    """Whether this very claim ended so before: its first commit was not acknowledged."""
    return (
        connection.execute(
            select(runs.c.run_id).where(
                runs.c.run_id == claim.run_id,
                runs.c.token == claim.token,
                runs.c.status == status,
            )
        ).first()
        is not None
    )


def _end_running(
    connection: Connection, trial_id: int, status: str, failure_class: str | None, why: str
) -> None:
    values = {
        "status": status,
        "finished_utc": NowUtc(),
        "failure_class": failure_class,
        "failure_text": why,
    }
    connection.execute(
        update(runs).where(runs.c.trial_id == trial_id, runs.c.status == "running").values(**values)
    )


def _expire(connection: Connection, where: ColumnElement[bool] | None) -> int:
    over = select(trials.c.trial_id).where(
        trials.c.state == "running", trials.c.lease_until_seconds < NowSeconds()
    )
    if where is not None:
        over = over.where(where)
    lost = _locked(connection, over)
    for trial_id in lost:
        why = "its lease ran out: the worker died, hung or lost the database"
        _end_running(connection, trial_id, "lost", LOST, why)
        connection.execute(_state(trial_id, _queued_or_failed()))
    return len(lost)
