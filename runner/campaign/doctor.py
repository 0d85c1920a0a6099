"""Looks at everything that a campaign stands on, before anybody relies on it.

Each look gives one row: what was looked at, whether it is good, what was found, and what to do. A look
that fails is a row too, so that one fault does not hide the next.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from planner.errors import SoundscaleError
from planner.words.secrets import redacted
from planner.words.units import format_bytes
from runner.campaign import artifacts, doctor_nodes
from runner.campaign.finding import (
    CLOCK_SECONDS,
    LIBRARIES,
    ROOM_BYTES,
    Finding,
    signed_seconds,
)
from runner.trial.versions import installed

if TYPE_CHECKING:
    from sqlalchemy import Connection


def examine(db: str, artifacts_location: str, ray_address: str | None) -> list[Finding]:
    """Every finding; a bad one stops none of the others.

    Args:
        db: database URL.
        artifacts_location: folder or URL.
        ray_address: of a running cluster to look at; None: not asked.
    """
    looks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("libraries", _libraries),
        ("database", lambda: _database(db)),
        ("artifacts", lambda: _artifacts(artifacts_location)),
        ("GPU", _gpu),
    ]
    if ray_address is not None:
        looks.append(("Ray", lambda: _ray(ray_address, db, artifacts_location)))
    findings: list[Finding] = []
    for what, look in looks:
        try:
            findings.extend(look())
        except SoundscaleError as problem:
            said, _, remedy = str(problem).rpartition("; ")
            findings.append(
                Finding(what=what, state="bad", found=redacted(said or remedy),
                        remedy=redacted(remedy) if said else None)
            )  # fmt: skip
        except Exception as problem:
            text = f"{type(problem).__name__}: {problem}"
            findings.append(Finding(what=what, state="bad", found=redacted(text)))
    return findings


def _libraries() -> Iterator[Finding]:
    found = {name: installed(name) for name in LIBRARIES}
    missing = [name for name, number in found.items() if number is None]
    yield Finding(
        what="libraries",
        state="bad" if missing else "good",
        found=", ".join(f"{name} {number or 'missing'}" for name, number in found.items()),
        remedy="pip install 'soundscale[runner]'" if missing else None,
    )


def _database(db: str) -> Iterator[Finding]:
    from sqlalchemy import select, text

    from planner.store.clock import NowSeconds
    from planner.store.engine import exists, opened
    from planner.store.engine import redacted as shown_url

    if not exists(db):
        yield Finding(
            what="database", state="doubtful", found=f"{shown_url(db)} is not there yet",
            remedy="the first sweep or import makes it",
        )  # fmt: skip
        return
    with opened(db, must_exist=True) as engine, engine.connect() as connection:
        version = connection.execute(text(_VERSION[engine.dialect.name])).scalar_one()
        shown = shown_url(db)
        yield Finding(what="database", state="good", found=f"{shown}, {version}"[:200])
        yield from _database_tls(connection)
        now = float(connection.execute(select(NowSeconds())).scalar_one())
        off = doctor_nodes.clock_off_seconds(
            lambda: float(connection.execute(select(NowSeconds())).scalar_one())
        )
        far = abs(off) > CLOCK_SECONDS
        yield Finding(
            what="clocks",
            state="doubtful" if far else "good",
            found=f"the database's is {signed_seconds(off)} from this machine's",
            remedy="set both by NTP: times in tables are the database's" if far else None,
        )
        connection.rollback()
        # Written and taken back: rights, a full disk and a read-only replica all show.
        connection.execute(text(_TRY))
        connection.rollback()
        yield Finding(
            what="database rights", state="good", found="a row was written and taken back"
        )
        alive, over = connection.execute(text(_LEASES), {"now": now}).one()
        yield Finding(
            what="leases",
            state="doubtful" if over else "good",
            found=f"{alive or 0} alive, {over or 0} run out",
            remedy="the next sweep run takes over what ran out" if over else None,
        )


def _database_tls(connection: Connection) -> Iterator[Finding]:
    from sqlalchemy import text

    if connection.dialect.name == "postgresql":
        version = connection.execute(text(_TLS)).scalar_one()
        info = connection.connection.driver_connection.info  # type: ignore[union-attr]
        yield database_tls(version, info.host, info.get_parameters().get("sslmode"))


def database_tls(version: str | None, host: str, sslmode: str | None) -> Finding:
    """Whether what is said to a server can be read on the way, and whether it is the server that is meant.

    Args:
        version: of TLS as the server says; None: off.
        host: as the client knows it; a path or nothing is a socket of this machine.
        sslmode: libpq's word; below `verify-ca` any certificate is taken.
    """
    if not host or host.startswith(("/", *doctor_nodes.LOOPBACK)):
        said, remedy = f"{version or 'off'}, on this machine alone", None
    elif version is None:
        said = "off: passwords and results can be read on the way"
        remedy = "give the server a certificate and add ?sslmode=verify-full to the URL"
    elif sslmode not in ("verify-ca", "verify-full"):
        said = f"{version}, with whoever answers at that address"
        remedy = "add ?sslmode=verify-full&sslrootcert=FILE to the URL"
    else:
        said, remedy = f"{version}, its certificate verified", None
    state = "good" if remedy is None else "doubtful"
    return Finding(what="TLS to the database", state=state, found=said, remedy=remedy)


_TLS = "SELECT CASE WHEN ssl THEN version END FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
_VERSION = {
    "sqlite": "SELECT 'SQLite ' || sqlite_version()",
    "postgresql": "SELECT split_part(version(), ' on ', 1)",
}
_TRY = "INSERT INTO sweeps (name, spec_json, created_utc) VALUES (' doctor', '{}', '2000-01-01T00:00:00.000Z')"
_LEASES = (
    "SELECT sum(CASE WHEN lease_until_seconds >= :now THEN 1 ELSE 0 END),"
    " sum(CASE WHEN lease_until_seconds < :now THEN 1 ELSE 0 END)"
    " FROM trials WHERE state = 'running'"
)


def _artifacts(location: str) -> Iterator[Finding]:
    new = None if artifacts.is_url(location) or Path(location).exists() else Path(location)
    artifacts.check(location)
    shown = artifacts.redacted(location)
    yield Finding(what="artifacts", state="good", found=f"{shown} was written to and read back")
    if not artifacts.is_url(location):
        free = shutil.disk_usage(Path(location)).free
        small = free < ROOM_BYTES
        yield Finding(
            what="disk",
            state="doubtful" if small else "good",
            found=f"{format_bytes(free)} free for artifacts",
            remedy="free some space, or name another folder with --artifacts" if small else None,
        )
    if new is not None:
        new.rmdir()  # looked at, and left as it was


def _gpu() -> Iterator[Finding]:
    from runner.trial.device import gpu_models

    names = ", ".join(gpu_models())
    yield Finding(what="GPU", state="good", found=names or f"none; {os.cpu_count()} CPU cores")


def _ray(address: str, db: str, location: str) -> Iterator[Finding]:
    from runner.campaign.executors import RayExecutor

    executor = RayExecutor(address)
    try:
        hosts, addresses = (
            sorted(executor.hosts),
            [node["NodeManagerAddress"] for node in executor.alive_nodes()],
        )
        yield Finding(
            what="Ray", state="good", found=f"{address} answers, asks for its token where it must"
        )
        yield doctor_nodes.tls(frozenset(addresses), os.environ.get("RAY_USE_TLS"))
        yield Finding(what="nodes", state="good", found=", ".join(hosts))
        yield from doctor_nodes.nodes(db, location)
    finally:
        executor.close()
