"""Ray's own processes as victims: of local clusters that drivers started, or of two nodes of this machine."""

from __future__ import annotations

import os
import random
import secrets
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
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


def die(pid: int) -> None:
    """SIGKILL, where it still lives."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


class Victims:
    """Ray's processes, by kind.

    Args:
        kinds: those that are killed.
        kill: kills a process, and brings up again what goes with it.
        close: ends the cluster.
    """

    def __init__(
        self,
        kinds: Sequence[str],
        kill: Callable[[int], None] = die,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self._kinds, self._kill, self.close = kinds, kill, close

    def kinds(self) -> Sequence[str]:
        """Kinds that are killed here."""
        return self._kinds

    def kill(self, kind: str, rng: random.Random) -> bool:
        """Kill one of a kind; False where there is none now."""
        found = sorted(pid for pid, line in marked() if any(name in line for name in NAMES[kind]))
        if found:
            self._kill(rng.choice(found))
        return bool(found)


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

    def kill(pid: int) -> None:
        number = 0 if pid in nodes.pids(0) else 1
        is_worker = any(name in dict(marked()).get(pid, "") for name in NAMES["worker"])
        die(pid)
        if is_worker:
            return  # the raylet starts another
        # What is left of the node goes, and it is started again as its keeper would; with the head
        # the other node too.
        for gone in range(number, 2):
            nodes.kill(gone)
        _bring_up(nodes, head=number == 0)

    return [nodes.address], Victims(
        ("worker", "raylet", "agent", "head"), kill, lambda: nodes.__exit__()
    )


def _bring_up(nodes: Nodes, *, head: bool = True) -> None:
    if head:
        nodes.start(0)
        host, _, port = nodes.address.rpartition(":")
        _until(lambda: _answers(host, int(port)))
    nodes.start(1)
    said = nodes.folder / "node1.txt"
    _until(lambda: "Ray runtime started" in said.read_text())


def _answers(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def _until(happens: Callable[[], bool], seconds: float = 240.0) -> None:
    end = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > end:
            raise TimeoutError("a node did not come up")
        time.sleep(0.1)
