"""A host kept free of trials: while latency is measured on it, or because it is drained.

    nobody --take--> held --give_up, or its lease runs out--> nobody
    any --drain--> drained --give_up as `DRAINED`--> nobody

While it is held, workers on the host claim nothing (`held`, asked before each claim). What they claimed
before goes on: the holder waits for it (`n_running`), and asks again at every turn, as a claim that was
asked for before the lease may come after it. On a drained host they stop after their step (`drained`).
"""

from __future__ import annotations

from sqlalchemy import Connection, Engine, delete, func, select, update

from planner.store import to_rows
from planner.store.clock import NowSeconds, NowUtc
from planner.store.schema import host_leases, runs, trials
from planner.store.transactions import RETRY_SECONDS, read, write


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


DRAINED = "drained"
"""The token of a host that is drained: no measurement's, and given up by `sweep drain --undo` alone."""

DRAINED_SECONDS = 3e9
"""How long a host stays drained (s): a century, so until it is undone."""


def drain(engine: Engine, host: str) -> None:
    """Let nothing more be claimed on a host; a measurement that holds it loses it."""

    def work(connection: Connection) -> None:
        connection.execute(delete(host_leases).where(host_leases.c.host == host))
        clock = connection.execute(select(NowSeconds(), NowUtc())).one()
        row = {
            "host": host, "token": DRAINED, "lease_until_seconds": clock[0] + DRAINED_SECONDS,
            "taken_utc": clock[1],
        }  # fmt: skip
        to_rows.insert_new(connection, host_leases, [row])

    write(engine, work)


def drained(engine: Engine, wait_seconds: float = RETRY_SECONDS) -> dict[str, str]:
    """The hosts that are drained, and since when (UTC); a database that is away is waited for so long."""
    query = select(host_leases.c.host, host_leases.c.taken_utc).where(
        host_leases.c.token == DRAINED
    )
    return read(engine, lambda c: {r.host: r.taken_utc for r in c.execute(query)}, wait_seconds)


def give_up(engine: Engine, host: str, token: str) -> None:
    """Let trials be claimed on the host again; a lease of another token stays."""
    mine = (host_leases.c.host == host) & (host_leases.c.token == token)
    write(engine, lambda c: c.execute(delete(host_leases).where(mine)))


def held(engine: Engine, host: str) -> bool:
    """Whether someone measures there now, or it is drained."""
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
