"""SIGTERM to a worker at a random moment of a real trial, again and again until the trial is finished.

By hand, the long form:

    python tests/campaign/terminations.py --terminations 50 --seed 7

Each worker is a process of its own that works on the trial as one of Ray's does. What must hold each
time: the process ends, the trial is back in the queue uncharged, and the next worker goes on from the
last step that this one finished.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import re
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from planner.store.audit import audit  # noqa: E402
from planner.store.engine import open_store, opened  # noqa: E402
from planner.store.read import runs, sweep_status  # noqa: E402
from planner.store.write import register_sweep  # noqa: E402
from planner.words.records import canonical_json  # noqa: E402
from runner.campaign.worker import TrialJob, current_versions, work_on  # noqa: E402
from runner.sweep import prepare  # noqa: E402
from runner.trial import libraries  # noqa: E402
from tests.store.samples import rows_of  # noqa: E402

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([__name__, "runner.trial.run", "runner.trial.libraries"])

LEASE_SECONDS = 1.2
"""Six heartbeats in it: what the database shows is at most 0.2 s old."""

LONGEST_SECONDS = 30.0
"""The target: back in the queue within so long."""


def work(db: str, job: TrialJob) -> None:
    """A worker's whole life: SIGTERM ends it, as it does where nothing else is said."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    libraries.load()
    work_on(job)


@dataclass
class Terminations:
    """One trial, and what its terminated workers left.

    Attributes:
        seconds: from each SIGTERM to the end of its process, when the trial was back in the queue.
        repeated: steps that a later worker did again, each time.
        broken: what did not hold, in words.
    """

    spec: Path
    folder: Path
    rng: random.Random
    seconds: list[float] = field(default_factory=list)
    repeated: list[int] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def run(self, n: int, longest_wait: float = 1.5) -> bool:
        """Terminate up to `n` workers, then let the last one finish; whether it did."""
        self.folder.mkdir(exist_ok=True)
        self.db = f"sqlite:///{self.folder}/runs.db"
        prepared = prepare.prepare(self.spec, self.db, lambda line: None)
        with opened(self.db) as engine:
            spec_json = canonical_json(prepared.spec.model_dump(mode="json"))
            register_sweep(engine, prepared.spec.name, spec_json, prepared.trials[:1])
        self.name = prepared.spec.name
        self.trial_id = self._row().trial_id
        self.job = TrialJob(
            trial_id=self.trial_id, label="terminated", db=self.db,
            data_request=prepared.spec.data_request, artifacts=str(self.folder / "artifacts"),
            weights=None, placement=prepared.trials[0][1], versions=current_versions(),
            lease_seconds=LEASE_SECONDS,
        )  # fmt: skip
        while len(self.seconds) < n and self._row().state != "finished":
            self._terminate_one(longest_wait)
        last = self._start()
        last.join()
        return self._settle()

    def _row(self) -> Any:
        with opened(self.db) as engine:
            return sweep_status(engine, self.name).rows[0]

    def _start(self) -> Any:
        process = CONTEXT.Process(target=work, args=(self.db, self.job))
        process.start()
        return process

    def _terminate_one(self, longest_wait: float) -> None:
        process = self._start()
        while process.is_alive() and self._row().state != "running":
            time.sleep(0.02)
        time.sleep(self.rng.uniform(0.0, longest_wait))
        if not process.is_alive():
            return
        began = time.monotonic()
        os.kill(process.pid, signal.SIGTERM)
        process.join(LONGEST_SECONDS + 30)
        took = time.monotonic() - began
        row = self._row()
        if row.state == "finished":
            return
        self.seconds.append(took)
        if row.state != "queued" or took > LONGEST_SECONDS:
            self.broken.append(f"after {took:.1f} s the trial was {row.state}")
        if process.exitcode not in (-signal.SIGTERM, 128 + signal.SIGTERM):
            self.broken.append(f"the process ended with {process.exitcode}")
        if row.max_attempts - row.n_attempts != 3:
            self.broken.append(f"attempts left: {row.max_attempts - row.n_attempts}")
        self._compare_with_checkpoint()

    def _compare_with_checkpoint(self) -> None:
        """No step that the database was told of may be missing in what the next worker reads."""
        with opened(self.db) as engine:
            phase, step = rows_of(engine, "SELECT phase, step FROM runs ORDER BY run_id DESC")[0]
        if phase == "train":
            self.repeated.append(max(0, step - self._newest_checkpoint()))

    def _newest_checkpoint(self) -> int:
        names = [p.name for p in self.folder.glob("artifacts/checkpoints/*/step-*.safetensors")]
        return max((int(re.findall(r"step-(\d+)", name)[0]) for name in names), default=0)

    def _settle(self) -> bool:
        engine = open_store(self.db)
        finished = runs(engine, status="finished")
        history = audit(engine, self.name)
        engine.dispose()
        if not history.clean:
            self.broken.append("the audit is not clean")
        if len(finished) != 1:
            self.broken.append(f"{len(finished)} results are stored")
        if any(self.repeated):
            self.broken.append(f"steps done again: {self.repeated}")
        return not self.broken


def main() -> int:
    """Run by hand; exit code 1 when something did not hold."""
    from tests.campaign.made import write_sweep, write_tones

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--terminations", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    asked = parser.parse_args()
    folder, rng = Path(tempfile.mkdtemp(prefix="sigterm_")), random.Random(asked.seed)
    manifest = write_tones(folder)
    seconds: list[float] = []
    broken: list[str] = []
    repeated: list[int] = []
    n_trials = 0
    while len(seconds) < asked.terminations:
        seed = ('task = "asr"', f'task = "asr"\nseeds = [{n_trials}]')
        steps = ("steps = 2", "steps = 400")
        spec = write_sweep(
            folder, manifest, seed, steps, ("[2, 3]", "3"), ('["none", "stem:2"]', '"none"')
        )
        one = Terminations(spec, folder / str(n_trials), rng)
        one.run(asked.terminations - len(seconds))
        seconds, broken = seconds + one.seconds, broken + one.broken
        repeated, n_trials = repeated + one.repeated, n_trials + 1
    shown = {"seed": asked.seed, "terminations": len(seconds), "trials": n_trials}
    shown |= {"median_seconds": round(sorted(seconds)[len(seconds) // 2], 2)}
    shown |= {"longest_seconds": round(max(seconds), 2), "in_training": len(repeated)}
    print(json.dumps(shown | {"steps_again": sum(repeated), "broken": broken}))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
