"""A second node behind a real link that can be cut: a network namespace of its own (Linux, root)."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from planner.store.claims import finish
from planner.store.engine import open_store
from runner.campaign.heartbeat import Heartbeat, StopWork
from runner.campaign.worker import this_worker
from tests.chaos.shim import ROOT
from tests.store.samples import claim_any, finished

NEAR, FAR = 1, 2


class Link:
    """A namespace and the link between it and this one; when it is cut, packets vanish in silence."""

    def __init__(self) -> None:
        number = os.getpid()
        self.near, self._far, self.name = f"ssn{number}", f"ssf{number}", f"ss{number}"
        self._subnet = f"10.213.{number % 250}"

    def address(self, end: int) -> str:
        return f"{self._subnet}.{end}"

    def __enter__(self) -> Link:
        """Set the link up.

        Raises:
            PermissionError: this user may not make namespaces, or the system has none.
        """
        far = ["ip", "-n", self.name]
        commands = [
            ["ip", "netns", "add", self.name],
            ["ip", "link", "add", self.near, "type", "veth", "peer", "name", self._far,
             "netns", self.name],
            ["ip", "addr", "add", f"{self.address(NEAR)}/24", "dev", self.near],
            [*far, "addr", "add", f"{self.address(FAR)}/24", "dev", self._far],
            [*far, "link", "set", self._far, "up"],
            [*far, "link", "set", "lo", "up"],
            ["ip", "link", "set", self.near, "up"],
        ]  # fmt: skip
        try:
            for command in commands:
                subprocess.run(command, check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as problem:
            self.__exit__()
            said = getattr(problem, "stderr", None) or str(problem)
            raise PermissionError(f"no network namespaces here: {said.strip()}") from None
        return self

    def __exit__(self, *_: object) -> None:
        for command in (["ip", "link", "del", self.near], ["ip", "netns", "del", self.name]):
            try:
                subprocess.run(command, check=False, capture_output=True)
            except OSError:
                return

    def cut(self) -> None:
        subprocess.run(["ip", "link", "set", self.near, "down"], check=True)

    def mend(self) -> None:
        subprocess.run(["ip", "link", "set", self.near, "up"], check=True)

    def beyond(self, command: Sequence[str], **options: Any) -> subprocess.Popen[str]:
        """A process on the other node."""
        return subprocess.Popen(
            ["ip", "netns", "exec", self.name, *command], text=True, cwd=ROOT, **options
        )


def work_until_stopped(url: str, sweep_id: int, lease: float) -> None:
    """Claim a trial, train it for ever, and report late what came of it."""
    engine = open_store(url, worker=True)
    claim = claim_any(engine, sweep_id, this_worker(), lease)
    assert claim is not None
    print("claimed", flush=True)
    now = SimpleNamespace(phase="train", step=1, n_steps=9, loss=1.0)
    with Heartbeat(url, claim, lease) as heart:
        try:
            while True:
                heart.progress(now)
                time.sleep(0.02)
        except StopWork:
            print("stopped as fenced", flush=True)
    kept = finish(engine, claim, finished(n_utterances=1))
    print(f"late result {'stored' if kept else 'refused'}", flush=True)


if __name__ == "__main__":
    work_until_stopped(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
