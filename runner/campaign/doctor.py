"""Looks at everything that a campaign stands on, before anybody relies on it.

Each look gives one row: what was looked at, whether it is good, what was found, and what to do. A look
that fails is a row too, so that one fault does not hide the next.
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.errors import SoundscaleError
from planner.words.secrets import redacted
from planner.words.units import format_bytes
from runner.campaign import artifacts
from runner.campaign.outages import outages
from runner.trial.versions import installed

CLOCK_SECONDS = 5.0
"""More than this between two clocks is said (s); leases go by the database's clock and do not mind."""

ROOM_BYTES = 2 * 2**30
"""Less free space than this is said (bytes; assumption: checkpoints of a few adapters)."""

LIBRARIES = ("soundscale", "torch", "transformers", "peft", "ray", "sqlalchemy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at: `good`, `doubtful` (works, but know it) or `bad`."""

    what: str
    state: str
    found: str
    remedy: str | None = None


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
        looks.append(("Ray", lambda: _ray(ray_address)))
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
    from planner.store.engine import opened
    from planner.store.engine import redacted as shown_url

    with opened(db, must_exist=True) as engine, engine.connect() as connection:
        version = connection.execute(text(_VERSION[engine.dialect.name])).scalar_one()
        shown = shown_url(db)
        yield Finding(what="database", state="good", found=f"{shown}, {version}"[:200])
        before = time.time()
        now = float(connection.execute(select(NowSeconds())).scalar_one())
        off = now - (before + time.time()) / 2
        far = abs(off) > CLOCK_SECONDS
        yield Finding(
            what="clocks",
            state="doubtful" if far else "good",
            found=f"the database's is {off:+.1f} s from this machine's",
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


def _gpu() -> Iterator[Finding]:
    from runner.trial.device import gpu_models

    names = ", ".join(gpu_models())
    yield Finding(what="GPU", state="good", found=names or f"none; {os.cpu_count()} CPU cores")


def _ray(address: str) -> Iterator[Finding]:
    from runner.campaign.executors import RayExecutor

    executor = RayExecutor(address)
    try:
        hosts = sorted(executor.hosts)
        yield Finding(
            what="Ray", state="good", found=f"{address} answers, asks for its token where it must"
        )
        here = {name: installed(name) for name in LIBRARIES}
        for host, found, seconds in _ask_each_node():
            wrong = [f"{k} {found.get(k)} (here {v})" for k, v in here.items() if found.get(k) != v]
            off = seconds - time.time()
            if abs(off) > CLOCK_SECONDS:
                wrong.append(f"its clock is {off:+.0f} s off")
            yield Finding(
                what=f"node {host}",
                state="bad" if wrong else "good",
                found=", ".join(wrong) or "the same versions as here",
                remedy="install the driver's versions there" if wrong else None,
            )
        yield Finding(what="nodes", state="good", found=", ".join(hosts))
    finally:
        executor.close()


def _ask_each_node() -> list[Any]:
    """What every living node of the joined cluster says of itself, each within a minute."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    with outages(ray):
        asked = [
            ray.remote(node_facts)
            .options(
                num_cpus=0,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
            )
            .remote()
            for node in ray.nodes()
            if node["Alive"]
        ]
        return list(ray.get(asked, timeout=60.0))


def node_facts() -> tuple[str, dict[str, Any], float]:
    """What a node says of itself: host, versions, its clock (s)."""
    return socket.gethostname(), {name: installed(name) for name in LIBRARIES}, time.time()
