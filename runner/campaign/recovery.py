"""Trials that lost their worker: found, and queued again, without waiting where the death is known.

Known dead is only a process that this one would see if it lived: of the same boot of the same
machine and the same table of processes (`runner.campaign.host.ProcessIdentity`). Everybody else's
fate is decided by the lease: two containers of one host name cannot see each other, and each would
hold the other for dead.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from typing import TYPE_CHECKING

from planner.words.records import RunRecord
from runner.campaign.host import ProcessIdentity, is_gone, shares_processes

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from planner.store.held_claims import HeldClaim

CLOSE_SECONDS = 10.0
"""How long the processes of a cluster that was shut down may take to be gone (s; assumption)."""


def recover(engine: Engine, sweep_id: int) -> None:
    """End the attempts of a sweep whose lease ran out or whose process is seen to be gone."""
    from planner.store.claims import expire
    from planner.store.held_claims import held_claims

    expire(engine, sweep_id)
    for held in held_claims(engine, sweep_id):
        if _is_dead(held):
            take_over(engine, held)


def end_exhausted(engine: Engine, sweep_id: int, trial_id: int, text: str) -> None:
    """Record that a worker was killed for its memory, so that the next attempt halves the micro-batch."""
    from planner.store.claims import fail
    from planner.store.held_claims import held_claims

    for held in held_claims(engine, sweep_id):
        if held.claim.trial_id == trial_id and _is_dead(held):
            record = RunRecord(
                status="failed", failure_class="out-of-memory", failure_text=text, host=held.host
            )
            fail(engine, held.claim, record, retry=True)


def give_back_dead(engine: Engine, sweep_id: int, trial_ids: Collection[int]) -> None:
    """Queue again what this driver's workers held when their cluster was shut down.

    A worker in the middle of a long step cannot answer a driver that stops, and goes with its
    cluster. Its attempt was stopped on purpose and does not count.
    """
    from planner.store.claims import give_back
    from planner.store.held_claims import held_claims

    end = time.monotonic() + CLOSE_SECONDS
    while time.monotonic() < end:
        mine = [
            held
            for held in held_claims(engine, sweep_id)
            if held.claim.trial_id in trial_ids
            and shares_processes(ProcessIdentity.read(held.process))
            and held.pid != os.getpid()
        ]
        if not mine:
            return
        for held in mine:
            if _is_dead(held):
                give_back(engine, held.claim, "stopped by its driver")
        time.sleep(0.1)


def take_over(engine: Engine, held: HeldClaim) -> bool:
    """End the attempt of a process that is known to be dead, without waiting for its lease.

    Safe even if that were a mistake: the statement works only while the attempt's fencing token is
    the newest, the next claim gets a newer one, and the old worker then stops at its next heartbeat
    and can store nothing.
    """
    from planner.store.claims import lose

    return lose(engine, held.claim, f"process {held.pid} on {held.host} is gone")


def _is_dead(held: HeldClaim) -> bool:
    """Whether a claim's process would be seen here and is not; unknown is alive: the lease decides."""
    return held.pid is not None and is_gone(held.pid, ProcessIdentity.read(held.process))
