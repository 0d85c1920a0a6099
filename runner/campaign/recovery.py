"""Trials that lost their worker: found, and queued again, without waiting where the death is known."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Collection
from typing import TYPE_CHECKING

from planner.words.records import RunRecord
from runner.campaign.host import process_exists

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from planner.store.claims import Claim
    from planner.store.read import TrialStatus

CLOSE_SECONDS = 10.0
"""How long the processes of a cluster that was shut down may take to be gone (s; assumption)."""


def recover(engine: Engine, name: str, sweep_id: int) -> None:
    """End the attempts of a sweep whose lease ran out or whose process on this host is gone."""
    from planner.store.claims import expire

    expire(engine, sweep_id)
    for row in _running(engine, name):
        if _is_dead(row.host, row.pid):
            take_over(engine, row)


def end_exhausted(engine: Engine, name: str, trial_id: int, text: str) -> None:
    """Record that a worker was killed for its memory, so that the next attempt halves the micro-batch."""
    from planner.store.claims import fail

    for row in _running(engine, name):
        if row.trial_id == trial_id and _is_dead(row.host, row.pid):
            record = RunRecord(
                status="failed", failure_class="out-of-memory", failure_text=text, host=row.host
            )
            fail(engine, _claim_of(row), record, retry=True)


def give_back_dead(engine: Engine, name: str, trial_ids: Collection[int]) -> None:
    """Queue again what this driver's workers held when their cluster was shut down.

    A worker in the middle of a long step cannot answer a driver that stops, and goes with its
    cluster. Its attempt was stopped on purpose and does not count.
    """
    from planner.store.claims import give_back

    end = time.monotonic() + CLOSE_SECONDS
    while time.monotonic() < end:
        mine = [
            row
            for row in _running(engine, name)
            if row.trial_id in trial_ids
            and row.host == socket.gethostname()
            and row.pid != os.getpid()
        ]
        if not mine:
            return
        for row in mine:
            if _is_dead(row.host, row.pid):
                give_back(engine, _claim_of(row), "stopped by its driver")
        time.sleep(0.1)


def _running(engine: Engine, name: str) -> list[TrialStatus]:
    from planner.store.read import sweep_status

    return [row for row in sweep_status(engine, name).rows if row.state == "running"]


def take_over(engine: Engine, row: TrialStatus) -> bool:
    """End the attempt of a process that is known to be dead, without waiting for its lease.

    Safe even when that is a mistake (a process of another container that shares this host's name):
    the statement works only while the attempt's fencing token is the newest, the next claim gets a
    newer one, and the old worker then stops at its next heartbeat and can store nothing.
    """
    from planner.store.claims import lose

    return lose(engine, _claim_of(row), f"process {row.pid} on {row.host} is gone")


def _claim_of(row: TrialStatus) -> Claim:
    """The claim that a running trial is held by, as the database shows it."""
    from planner.store.claims import Claim

    assert row.run_id is not None, "a running trial has a run"
    return Claim(
        run_id=row.run_id,
        trial_id=row.trial_id,
        trial=row.trial,
        resources=row.resources,
        attempt=row.n_attempts,
        token=row.token,
    )


def _is_dead(host: str | None, pid: int | None) -> bool:
    """Whether a process is of this host and gone. A reused number looks alive: the lease decides."""
    return host == socket.gethostname() and pid is not None and not process_exists(pid)
