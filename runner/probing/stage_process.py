"""A stage's hold on its fresh process: one line each way for every turn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.errors import SoundscaleError
from planner.words.catalogue import Catalogue, to_config
from runner.probing.contestants import Contestant
from runner.trial.requests import MOST_TIMED

if TYPE_CHECKING:
    from runner.data.clips import DataSpec

END_SECONDS = 5.0
"""How long a process whose input has ended may take to end itself (s)."""


class StageProcess:
    """`runner.probing.stage_child` with these contestants; ended with the body, whatever happens."""

    def __init__(
        self,
        contestants: Sequence[Contestant],
        data: DataSpec,
        catalogue: Catalogue,
        most_timed: int = MOST_TIMED,
    ) -> None:
        names = dict.fromkeys(c.trial.backbone for c in contestants)
        self._job = {
            "contestants": [c.to_json() for c in contestants],
            "data": asdict(data),
            "most_timed": most_timed,
            "backbones": {name: to_config(catalogue.backbone(name)) for name in names},
        }
        self._threads = max(1, int(contestants[0].resources.cpus))

    def __enter__(self) -> StageProcess:
        self._folder = tempfile.TemporaryDirectory(prefix="soundscale-latency-")
        job, self._said = (Path(self._folder.name) / name for name in ("job.json", "said.txt"))
        job.write_text(json.dumps(self._job), encoding="utf-8")
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "runner.probing.stage_child", str(job)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
                env=os.environ | {"OMP_NUM_THREADS": str(self._threads)},
            )
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._process.communicate(timeout=END_SECONDS)
        except (subprocess.TimeoutExpired, OSError, ValueError):
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def loaded(self) -> list[dict[str, Any]]:
        """What the process says of each contestant once all are loaded.

        Raises:
            SoundscaleError: it ended first.
        """
        facts: list[dict[str, Any]] = self._answer()
        return facts

    def turn(self, contestant: str, round_: int) -> dict[str, Any]:
        """Time the request of a round.

        Raises:
            SoundscaleError: the process ended first.
        """
        assert self._process.stdin is not None
        try:
            asked = {"contestant": contestant, "round": round_}
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        timed: dict[str, Any] = self._answer()
        return timed

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        code = self._process.wait()
        lines = self._said.read_text("utf-8", errors="replace").strip().splitlines()
        last = lines[-1] if lines else "it said nothing"
        raise SoundscaleError(
            f"the process that measures latency ended with code {code}: {last}; finished turns are "
            "stored, run the same command again to go on"
        )
