"""What each node of a cluster says of itself, asked by a task on each, and one row of it.

A node has to reach the database and the storage by itself, with credentials of its own: that the driver
does says nothing of it.
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from planner.errors import SoundscaleError
from planner.words.secrets import redacted
from planner.words.units import format_bytes
from runner.campaign import artifacts
from runner.campaign.finding import CLOCK_SECONDS, LIBRARIES, ROOM_BYTES, Finding, signed_seconds
from runner.trial.versions import installed

ANSWER_SECONDS = 60.0
"""How long a node may take to look at itself (s); a worker's start is some seconds of it."""

LOOPBACK = ("127.", "::1", "localhost")


def node_facts(db: str, location: str, mark: str | None) -> dict[str, Any]:
    """What the node that this runs on says of itself; plain values, as its version may be another.

    Args:
        db: database URL.
        location: of artifacts.
        mark: a file that the driver has put there; None: it could not.

    Returns:
        `host`, `libraries` by name, `gpus` (models), `n_cpus`, `free_bytes` (None
        for a URL), and what is wrong with `database` and `storage` (None: nothing); `shared`: the mark was seen.
    """
    from runner.trial.device import gpu_models

    facts: dict[str, Any] = {
        "host": socket.gethostname(),
        "libraries": {name: installed(name) for name in LIBRARIES},
        "gpus": list(gpu_models()),
        "n_cpus": os.cpu_count(),
        "database": _wrong(lambda: _reach(db)),
        "storage": _wrong(lambda: artifacts.check(location)),
        "shared": False,
        "free_bytes": None,
    }
    if facts["storage"] is None:
        facts["shared"] = mark is not None and artifacts.sees(location, mark)
        if not artifacts.is_url(location):
            facts["free_bytes"] = shutil.disk_usage(Path(location)).free
    return facts


def _wrong(look: Callable[[], None]) -> str | None:
    try:
        look()
    except Exception as problem:
        return redacted((str(problem).strip() or type(problem).__name__).splitlines()[0])
    return None


def _reach(db: str) -> None:
    from sqlalchemy import text

    from planner.store.engine import opened

    with opened(db, must_exist=True) as engine, engine.connect() as connection:
        connection.execute(text("SELECT 1 FROM trials WHERE 1 = 0"))


def finding(
    facts: Mapping[str, Any],
    here: Mapping[str, str | None],
    clock_off_seconds: float,
    n_gpus: float,
) -> Finding:
    """A node's row.

    Args:
        facts: as `node_facts` gives them.
        here: the driver's libraries.
        clock_off_seconds: its clock less the driver's.
        n_gpus: GPUs that Ray hands out there.
    """
    bad, doubtful = list(_bad(facts, here)), list(_doubtful(facts, clock_off_seconds, n_gpus))
    gpus = ", ".join(facts["gpus"]) or f"no GPU, {facts['n_cpus']} CPU cores"
    well = f"the same versions, database and artifacts reached, {gpus}"
    found = bad + doubtful or [(well, None)]
    return Finding(
        what=f"node {facts['host']}",
        state="bad" if bad else "doubtful" if doubtful else "good",
        found="; ".join(said for said, _ in found),
        remedy="; ".join(remedy for _, remedy in found if remedy) or None,
    )


Said = Iterator[tuple[str, str | None]]


def _bad(facts: Mapping[str, Any], here: Mapping[str, str | None]) -> Said:
    theirs = facts["libraries"]
    if wrong := [f"{k} {theirs.get(k)} (here {v})" for k, v in here.items() if theirs.get(k) != v]:
        yield ", ".join(wrong), "install the driver's versions there"
    if facts["database"]:
        yield (
            f"does not reach the database: {facts['database']}",
            "let that node through to it, with a password of its own (~/.pgpass)",
        )
    if facts["storage"]:
        yield (
            f"does not reach the artifacts: {facts['storage']}",
            "give that node the right to write there",
        )


def _doubtful(facts: Mapping[str, Any], off_seconds: float, n_gpus: float) -> Said:
    if abs(off_seconds) > CLOCK_SECONDS:
        yield f"its clock is {signed_seconds(off_seconds)} off", "set it by NTP"
    if not facts["storage"] and not facts["shared"]:
        yield (
            "its artifacts folder is not this machine's",
            "mount one volume on every node, or name a URL such as s3://BUCKET/FOLDER",
        )
    if facts["free_bytes"] is not None and facts["free_bytes"] < ROOM_BYTES:
        yield f"{format_bytes(facts['free_bytes'])} free for artifacts", "free some space there"
    if n_gpus > len(facts["gpus"]):
        yield (
            f"Ray hands out {n_gpus:g} GPUs, torch sees {len(facts['gpus'])}",
            "look at the driver and at CUDA_VISIBLE_DEVICES there",
        )
    elif facts["gpus"] and not n_gpus:
        yield f"{', '.join(facts['gpus'])}, of which Ray hands out none", "start it with --num-gpus"


def nodes(db: str, location: str) -> Iterator[Finding]:
    """A row for each living node of the joined cluster; one that cannot answer has one too."""
    import ray

    from runner.campaign.outages import first_line, outages

    here = {name: installed(name) for name in LIBRARIES}
    with outages(ray), _mark(location) as mark:
        alive = [node for node in ray.nodes() if node["Alive"]]
        asked = [_on(node, node_facts).remote(db, location, mark) for node in alive]
        ray.wait(asked, num_returns=len(asked), timeout=ANSWER_SECONDS)
        for node, reference in zip(alive, asked, strict=True):
            try:
                facts = ray.get(reference, timeout=1.0)
                off_seconds = clock_off_seconds(partial(_clock, node))
            except (ray.exceptions.RayError, ImportError, AttributeError) as problem:
                yield Finding(
                    what=f"node {node['NodeManagerHostname']}",
                    state="bad",
                    found=f"does not answer: {redacted(first_line(problem))}"[:300],
                    remedy="install the driver's version there, and look at `ray status`",
                )
                continue
            yield finding(facts, here, off_seconds, node["Resources"].get("GPU", 0.0))


def clock_off_seconds(ask: Callable[[], float], clock: Callable[[], float] = time.time) -> float:
    """Another machine's clock less this one's, as far as the time of asking leaves no doubt (s).

    Half of the round trip is what an answer may be older or newer than the middle of it (Cristian's algorithm).

    >>> here = iter([100.0, 104.0])
    >>> clock_off_seconds(lambda: 109.0, lambda: next(here))
    5.0
    """
    before = clock()
    there = ask()
    after = clock()
    off, doubt = there - (before + after) / 2, (after - before) / 2
    return max(0.0, abs(off) - doubt) * (1.0 if off > 0 else -1.0)


def _clock(node: Mapping[str, Any]) -> float:
    import ray

    return float(ray.get(_on(node, time.time).remote(), timeout=ANSWER_SECONDS))


def _on(node: Mapping[str, Any], function: Callable[..., Any]) -> Any:
    """A function as a task of one node, which nothing is asked of but an answer."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    where = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    task = ray.remote(lambda *asked: function(*asked))
    return task.options(num_cpus=0, max_retries=0, scheduling_strategy=where)


@contextmanager
def _mark(location: str) -> Iterator[str | None]:
    with ExitStack() as held:
        try:
            mark = held.enter_context(artifacts.marked(location))
        except SoundscaleError:
            mark = None
        yield mark


def tls(addresses: frozenset[str], wanted: str | None) -> Finding:
    """Whether what nodes say to each other can be read on the way.

    Args:
        addresses: of the nodes.
        wanted: `RAY_USE_TLS` of the driver, which must be every node's.
    """
    encrypted = wanted == "1"
    local = all(address.startswith(LOOPBACK) for address in addresses)
    said = "on" if encrypted else "off, on this machine alone" if local else "off"
    good = encrypted or local
    return Finding(
        what="TLS in Ray",
        state="good" if good else "doubtful",
        found=f"{said}{'' if good else ': its network can read tokens, trials and passwords'}",
        remedy=None
        if good
        else "keep that network closed, or set RAY_USE_TLS=1 and certificates on every node",
    )
