"""Ray's own processes as victims: of local clusters that drivers started, or of two nodes of this machine."""

from __future__ import annotations

import os
import random
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.campaign.nodes import Nodes

MARK = "SOUNDSCALE_FAULTY_SWEEPS"
"""In the environment of every process that is started here."""

NAMES = {
    "worker": ("ray::", "default_worker.py"),
    "raylet": ("/raylet/raylet",),
    "agent": ("dashboard/agent.py", "runtime_env/agent/main.py"),
    "head": ("/gcs/gcs_server",),
}
"""What the command line of each kind of Ray's processes holds."""

OWN = ("multiprocessing.forkserver", "multiprocessing.resource_tracker")
"""What stays until the harness ends: drivers are forked from it, and joined."""

LEFT_OVER_SECONDS = 90.0


def marked() -> Iterator[tuple[int, str]]:
    """Number and command line of each process that is alive and was started here."""
    for place in Path("/proc").iterdir():
        if not place.name.isdigit() or int(place.name) == os.getpid():
            continue
        try:
            mine = f"{MARK}={os.environ[MARK]}".encode() in (place / "environ").read_bytes()
            line = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (OSError, KeyError):
            continue
        if mine and line:
            yield int(place.name), line


def left_over() -> list[str]:
    """What still runs 90 s after the end, or nothing as soon as nothing does."""
    end = time.monotonic() + LEFT_OVER_SECONDS
    while found := [line for _, line in marked() if not any(own in line for own in OWN)]:
        if time.monotonic() > end:
            return found
        time.sleep(0.5)
    return []


class Victims:
    """Ray's processes, by kind.

    Args:
        kinds: those that are hit.
        keep: brings up again what ended by itself, as a keeper does.
        close: ends the cluster.
    """

    def __init__(
        self,
        kinds: Sequence[str],
        keep: Callable[[], None] = lambda: None,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self._kinds, self.keep, self.close = kinds, keep, close

    def kinds(self) -> Sequence[str]:
        """Kinds that are hit here."""
        return self._kinds

    def one(self, kind: str, rng: random.Random) -> int | None:
        """A process of a kind; None where there is none now."""
        found = sorted(pid for pid, line in marked() if any(name in line for name in NAMES[kind]))
        return rng.choice(found) if found else None


def _marked_environment() -> None:
    os.environ[MARK] = secrets.token_hex(8)
    os.environ["OMP_NUM_THREADS"] = "1"
    # Ray's head looks every 3 s and believes in a death at the fifth miss: a minute of waiting.
    os.environ |= {
        "RAY_health_check_period_ms": "300",
        "RAY_health_check_failure_threshold": "3",
    }


def no_ray() -> tuple[list[str], None]:
    """Options of drivers that train in their own process."""
    _marked_environment()
    return ["none", "--workers", "2"], None


def local_victims() -> tuple[list[str], Victims]:
    """Options of drivers that start Ray themselves, and its processes. No agent runs there."""
    _marked_environment()
    return ["local", "--workers", "2"], Victims(("worker", "raylet", "head"))


def two_nodes() -> tuple[list[str], Victims]:
    """Options of drivers that join a cluster of two nodes, and its processes."""
    _marked_environment()
    nodes = Nodes()
    os.environ |= {k: v for k, v in nodes.environment.items() if k.startswith("RAY_")}
    _bring_up(nodes)

    def again(number: int) -> None:
        # What is left of the node goes, and it is started again as its keeper would; with the head
        # the other node too.
        for gone in range(number, 2):
            nodes.kill(gone)
        _bring_up(nodes, head=number == 0)

    def keep() -> None:
        # `ray start --block` ends when a part of its node does; a raylet that was stopped for too long is
        # dead to the head and ends itself.
        if ended := [number for number in range(2) if nodes.has_ended(number)]:
            again(ended[0])

    return [nodes.address], Victims(
        ("worker", "raylet", "agent", "head"), keep, lambda: nodes.__exit__()
    )


def _bring_up(nodes: Nodes, *, head: bool = True) -> None:
    if head:
        nodes.start(0)
        _until(lambda: _is_up(nodes, 0))
    nodes.start(1)
    _until(lambda: _is_up(nodes, 1))


def _is_up(nodes: Nodes, number: int) -> bool:
    """Whether a node says so; started again where it gave up."""
    if nodes.has_ended(number):
        nodes.kill(number)
        nodes.start(number)
    return "Ray runtime started" in (nodes.folder / f"node{number}.txt").read_text()


def _until(happens: Callable[[], bool], seconds: float = 240.0) -> None:
    end = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > end:
            raise TimeoutError("a node did not come up")
        time.sleep(0.1)
