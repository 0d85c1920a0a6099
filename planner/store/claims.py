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

from sqlalchemy import ColumnElement, Connection, Engine, select, update

from planner.errors import InputError, StoreError
from planner.store import leases, to_rows, transactions
from planner.store.clock import NowSeconds
from planner.store.dialects import Plain
from planner.store.prepared import PreparedStatement
from planner.store.schema import runs, trials
from planner.store.transactions import RETRY_SECONDS, read, write
from planner.store.wal import checkpoint
from planner.words.records import Resources, RunRecord, Trial, trial_from_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """Who executes: recorded with every attempt."""

    host: str
    pid: int
    version: str
    code_revision: str | None = None
    process: dict[str, str] | None = None
    """What tells its process from every other of that number (`runner.campaign.host.ProcessIdentity`)."""


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
class RunProgress:
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

    Raises:
        InputError: the lease is not a positive time.
    """
    _check_lease(lease_seconds)
    who = {"at_host": worker.host, "process": worker.pid}
    who |= {"version": worker.version, "revision": worker.code_revision}
    who |= {"details": worker.process and to_rows.optional_json({"process": worker.process})}
    names: list[str] = []

    def work(connection: Plain) -> leases.Taken | None:
        for name in names:
            # The commit before may have happened without its answer: the claim is ours already.
            if (mine := leases.taken(connection, name)) is not None:
                return mine
        names.append(uuid.uuid4().hex)
        return leases.take(connection, trial_id, lease_seconds, names[-1], **who)

    claimed = transactions.claim(engine, work)
    if claimed is None and _expire(engine, trials.c.trial_id == trial_id):
        claimed = transactions.claim(engine, work)
    return None if claimed is None else as_claim(claimed)


def heartbeat(
    engine: Engine,
    claim: Claim,
    lease_seconds: float,
    progress: RunProgress | None = None,
    *,
    wait_seconds: float = RETRY_SECONDS,
) -> bool:
    """Extend the lease and show progress; False: the claim is lost, stop the work.

    While the database is away it is tried for `wait_seconds`: 0 where the next beat tries again.

    Raises:
        InputError: the lease is not a positive time.
        StoreError: the database is away for longer.
    """
    _check_lease(lease_seconds)

    def work(connection: Connection) -> bool:
        held = {"trial": claim.trial_id, "held": claim.token}
        if leases.EXTEND.count(connection, **held, lease=lease_seconds) != 1:
            return False
        _show(connection, claim.run_id, progress)
        return True

    return write(engine, work, durable=False, wait_seconds=wait_seconds)


def finish(engine: Engine, claim: Claim, record: RunRecord) -> bool:
    """Store the result of a claim; False: another holds or has finished it, nothing is stored.

    Repeated with the same claim after a lost acknowledgement it returns True and stores nothing
    twice.

    Raises:
        InputError: the record does not say `finished`, or a number in it is not finite.
    """
    to_rows.check_record(record, "finished")
    return write(engine, lambda c: _end(c, claim, record, leases.FINISHED))


def fail(engine: Engine, claim: Claim, record: RunRecord, *, retry: bool) -> bool:
    """Store a failed attempt; with `retry` the trial is queued again while attempts are left.

    Returns:
        False when the claim is lost: then nothing is stored.

    Raises:
        InputError: the record does not say `failed`, or a number in it is not finite.
    """
    to_rows.check_record(record, "failed")
    after = leases.AGAIN if retry else leases.FAILED
    return write(engine, lambda c: _end(c, claim, record, after))


def give_back(engine: Engine, claim: Claim, why: str) -> bool:
    """Queue a trial again that this worker cannot execute; the attempt does not count.

    Args:
        engine: the database.
        claim: what was claimed.
        why: what the worker lacks, kept with the run.
    """

    def work(connection: Connection) -> bool:
        held = {"trial": claim.trial_id, "held": claim.token}
        if leases.GIVEN_BACK.count(connection, **held) != 1:
            return leases.ended_as(connection, claim.run_id, claim.token, "cancelled")
        leases.end_running(connection, claim.trial_id, "cancelled", None, why)
        return True

    return write(engine, work)


def expire(engine: Engine, sweep_id: int | None = None) -> int:
    """End the leases that ran out: the run is lost, the trial queued again or failed for good.

    Any process may call it at any time; each lost lease is ended once. Drivers call it all the time,
    and SQLite's log is looked after on the way (`planner.store.wal`).

    Returns:
        How many leases were ended.
    """
    checkpoint(engine)
    return _expire(engine, None if sweep_id is None else leases.member(sweep_id))


def lose(engine: Engine, claim: Claim, why: str) -> bool:
    """End a claim whose worker is known to be dead, without waiting for its lease.

    As `expire` does: the run is lost, the trial queued again while attempts are left.

    Returns:
        False: the token is no longer the trial's, or it does not run; nothing is changed.
    """

    def work(connection: Connection) -> bool:
        held = {"trial": claim.trial_id, "held": claim.token}
        if leases.AGAIN.count(connection, **held) != 1:
            return leases.ended_as(connection, claim.run_id, claim.token, "lost")
        leases.end_running(connection, claim.trial_id, "lost", leases.LOST, why)
        return True

    return write(engine, work)


def cancel(engine: Engine, sweep_id: int) -> int:
    """Cancel what is queued or running in a sweep; workers notice at their next heartbeat.

    A trial that another sweep shares is cancelled there too.

    Returns:
        How many trials were cancelled.
    """
    still_open = trials.c.state.in_(("queued", "running"))
    chosen = select(trials.c.trial_id).where(leases.member(sweep_id), still_open)

    def work(connection: Connection) -> int:
        found = leases.locked(connection, chosen)
        for trial_id in found:
            leases.end_running(connection, trial_id, "cancelled", None, "the sweep was cancelled")
            connection.execute(
                update(trials)
                .where(trials.c.trial_id == trial_id)
                .values(state="cancelled", lease_until_seconds=None)
            )
        return len(found)

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


def check_one_host(engine: Engine, host: str) -> None:
    """Refuse to work on a SQLite database that a worker on another machine is using.

    Raises:
        StoreError: a live lease on it belongs to another host.
    """
    if engine.dialect.name != "sqlite":
        return
    query = (
        select(runs.c.host)
        .join(trials, trials.c.trial_id == runs.c.trial_id)
        .where(runs.c.status == "running", runs.c.host != host)
        .where(trials.c.lease_until_seconds > NowSeconds())
        .limit(1)
    )
    other = read(engine, lambda c: c.execute(query).scalar())
    if other is not None:
        raise StoreError(
            f"{host} and {other} are at work on one SQLite file, whose locks hold on one machine "
            "only; use --db postgresql://USER@HOST/NAME for a cluster"
        )


def _retry(engine: Engine, sweep_id: int, state: str) -> int:
    chosen = select(trials.c.trial_id).where(leases.member(sweep_id), trials.c.state == state)

    def work(connection: Connection) -> int:
        found = leases.locked(connection, chosen)
        for trial_id in found:
            one = trials.c.trial_id == trial_id
            asked = connection.execute(select(trials.c.resources_json).where(one)).scalar_one()
            more = Resources(**json.loads(asked)).max_attempts
            connection.execute(
                update(trials)
                .where(one)
                .values(state="queued", max_attempts=trials.c.n_attempts + more)
            )
        return len(found)

    return write(engine, work)


def _check_lease(seconds: float) -> None:
    if not (math.isfinite(seconds) and seconds > 0):
        raise InputError(f"lease_seconds must be positive, got {seconds!r}")


def _expire(engine: Engine, among: ColumnElement[bool] | None) -> int:
    if not read(engine, lambda c: leases.any_over(c, among)):
        return 0
    return write(engine, lambda c: leases.expire(c, among))


def as_claim(taken: leases.Taken) -> Claim:
    """A claim as its holder works with it."""
    return Claim(
        run_id=taken.run_id,
        trial_id=taken.trial_id,
        trial=trial_from_json(json.loads(taken.trial_json)),
        resources=Resources(**json.loads(taken.resources_json)),
        attempt=taken.n_attempts,
        token=taken.token,
    )


def _show(connection: Connection, run_id: int, progress: RunProgress | None) -> None:
    if progress is None:
        leases.BEAT.count(connection, run=run_id)
        return
    loss = progress.loss if progress.loss is None or math.isfinite(progress.loss) else None
    leases.SHOW.count(
        connection,
        run=run_id,
        now_phase=progress.phase,
        now_step=progress.step,
        of_steps=progress.n_steps,
        now_loss=loss,
    )


def _end(connection: Connection, claim: Claim, record: RunRecord, after: PreparedStatement) -> bool:
    """End a claimed run with its record: the check of the token and all rows in one transaction."""
    if after.count(connection, trial=claim.trial_id, held=claim.token) != 1:
        return leases.ended_as(connection, claim.run_id, claim.token, record.status)
    device = record.device
    device_id = None if device is None else to_rows.device_id_of(connection, device)
    values = to_rows.record_columns(record, device_id)
    values |= {"status": record.status, "finished_utc": leases.ENDED_UTC}
    connection.execute(update(runs).where(runs.c.run_id == claim.run_id).values(**values))
    to_rows.store_details(connection, claim.run_id, record)
    return True
