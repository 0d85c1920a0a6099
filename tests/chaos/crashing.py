"""A campaign in a process that dies before or after its k-th statement or commit on SQLite."""

from __future__ import annotations

import os
import sqlite3
from typing import Any

from planner.store import claims, dialects
from planner.store.engine import open_store
from tests.store.samples import LEASE, WORKER, claim_any, failed, finished, sweep_of

N_TRIALS = 2
DIED = 9


class Countdown:
    """Ends the process at one point; the points are the two sides of every call of the driver."""

    def __init__(self, point: int) -> None:
        self.left = point

    def pass_by(self) -> None:
        self.left -= 1
        if self.left == 0:
            os._exit(DIED)


def driver_that_dies(countdown: Countdown) -> type[sqlite3.Connection]:
    """sqlite3's connection, with the countdown around every statement and commit."""

    def around(method: Any) -> Any:
        def call(self: Any, *args: Any) -> Any:
            countdown.pass_by()
            answer = method(self, *args)
            countdown.pass_by()
            return answer

        return call

    class Cursor(sqlite3.Cursor):
        execute = around(sqlite3.Cursor.execute)
        executemany = around(sqlite3.Cursor.executemany)

    class Connection(sqlite3.Connection):
        execute = around(sqlite3.Connection.execute)
        commit = around(sqlite3.Connection.commit)

        def cursor(self, *args: Any) -> Any:
            return super().cursor(Cursor)

    return Connection


def campaign(url: str) -> None:
    """Everything that a small campaign does; one trial fails at first."""
    engine = open_store(url)
    sweep = sweep_of(engine, N_TRIALS, max_attempts=100)
    claims.expire(engine)
    while (claim := claim_any(engine, sweep, WORKER, LEASE)) is not None:
        if claim.trial.seed == 0 and claim.attempt == 1:
            claims.fail(engine, claim, failed(), retry=True)
            continue
        claims.heartbeat(engine, claim, LEASE, claims.RunProgress(phase="train", step=1))
        claims.finish(engine, claim, finished(n_utterances=2))
    engine.dispose()


def campaign_that_dies(url: str, point: int) -> None:
    """Run the campaign, ending the process at its `point`-th point if there is one."""
    factory, create = driver_that_dies(Countdown(point)), dialects.create_engine

    def create_engine(address: Any, connect_args: dict[str, Any]) -> Any:
        return create(address, connect_args=connect_args | {"factory": factory})

    dialects.create_engine = create_engine  # type: ignore[assignment]
    campaign(url)
