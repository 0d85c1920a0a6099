"""A host kept free of trials while latency is measured on it.

    nobody --take--> held --give_up, or its lease runs out--> nobody

While it is held, workers on the host claim nothing (`held`, asked before each claim). What they claimed
before goes on: the holder waits for it (`n_running`), and asks again at every turn, as a claim that was
asked for before the lease may come after it.
"""

from __future__ import annotations

from sqlalchemy import Connection, Engine, delete, func, select, update

from planner.store import to_rows
from planner.store.clock import NowSeconds, NowUtc
from planner.store.schema import host_leases, runs, trials
from planner.store.transactions import read, write


def take(engine: Engine, host: str, token: str, seconds: float) -> bool:
    """Hold a host for so long by the database's clock; asked again by its holder it is extended.

    Returns:
        False where another holds it.
    """
    of_host = host_leases.c.host == host
    mine = of_host & (host_leases.c.token == token)

    def work(connection: Connection) -> bool:
        until = update(host_leases).where(mine).values(lease_until_seconds=NowSeconds() + seconds)
        if connection.execute(until).rowcount == 1:
            return True
        over = of_host & (host_leases.c.lease_until_seconds < NowSeconds())
        connection.execute(delete(host_leases).where(over))
        clock = connection.execute(select(NowSeconds(), NowUtc())).one()
        row = {
            "host": host, "token": token, "lease_until_seconds": clock[0] + seconds,
            "taken_utc": clock[1],
        }  # fmt: skip
        to_rows.insert_new(connection, host_leases, [row])
        return connection.execute(until).rowcount == 1

    return write(engine, work)


def give_up(engine: Engine, host: str, token: str) -> None:
    """Let trials be claimed on the host again; a lease of another token stays."""
    mine = (host_leases.c.host == host) & (host_leases.c.token == token)
    write(engine, lambda c: c.execute(delete(host_leases).where(mine)))


def held(engine: Engine, host: str) -> bool:
    """Whether someone measures there now."""
    live = select(host_leases.c.token).where(
        host_leases.c.host == host, host_leases.c.lease_until_seconds > NowSeconds()
    )
    return read(engine, lambda c: c.execute(live).first() is not None)


def n_running(engine: Engine, host: str) -> int:
    """Trials that are at work on a host, by their leases."""
    live = (
        select(func.count())
        .select_from(runs.join(trials, trials.c.trial_id == runs.c.trial_id))
        .where(
            runs.c.host == host, runs.c.status == "running", trials.c.state == "running",
            trials.c.lease_until_seconds > NowSeconds(),
        )
    )  # fmt: skip
    return int(read(engine, lambda c: c.execute(live).scalar_one()))
