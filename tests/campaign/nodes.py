"""Nodes of a real Ray cluster, each in a process tree of its own that can die like a machine."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

HOST = "127.0.0.1"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def descendants(pid: int) -> list[int]:
    """The processes below one, and itself."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text().split()]
            except OSError:
                continue
    return found


class Nodes:
    """A head and more nodes on this machine, each a raylet with resources of its own, under one token.

    Args:
        wrap: put before each command of a node, by its number (`ip netns exec …`).
        addresses: of the nodes, by their numbers.
    """

    def __init__(
        self,
        wrap: Sequence[Sequence[str]] = ((), ()),
        addresses: Sequence[str] = (HOST, HOST),
    ) -> None:
        self._wrap, self._addresses = wrap, addresses
        self.folder = Path(tempfile.mkdtemp(prefix="rn", dir="/tmp"))
        self.address = f"{addresses[0]}:{free_port()}"
        self.environment = os.environ | {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "OMP_NUM_THREADS": "1",
        }
        self._started: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, number: int, *, cpus: int = 1) -> None:
        """Start a node; the first is the head."""
        ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block"]
        where = ["--head", "--port", self.address.split(":")[1], "--include-dashboard", "false"]
        if number:
            where = ["--address", self.address]
        command = [
            *self._wrap[number], *ray, *where, "--num-cpus", str(cpus),
            "--node-ip-address", self._addresses[number], "--object-store-memory", "80000000",
            "--resources", f'{{"node{number}": 1}}',
        ]  # fmt: skip
        if not number:
            command += ["--temp-dir", str(self.folder)]
        with (self.folder / f"node{number}.txt").open("w") as said:
            self._started[number] = subprocess.Popen(
                command, env=self.environment, stdout=said, stderr=said
            )

    def pids(self, number: int) -> list[int]:
        return descendants(self._started[number].pid)

    def has_ended(self, number: int) -> bool:
        """Whether a node that was started ended by itself."""
        return self._started[number].poll() is not None

    def kill(self, number: int) -> None:
        """End every process of a node at once, as a power cut does."""
        # The number of one that ended by itself may be another's by now.
        for pid in [] if self.has_ended(number) else self.pids(number):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._started.pop(number).wait()

    def __enter__(self) -> Nodes:
        return self

    def __exit__(self, *_: object) -> None:
        for number in list(self._started):
            self.kill(number)
        shutil.rmtree(self.folder, ignore_errors=True)
