"""Two workers against one on one-second trials: how much of the second core reaches the results.

Run: python tests/benchmarks/workers_speed.py [--trials 16]

A real driver, a real local Ray cluster and a real database; only the training is replaced by a second
of work on one core. The time is the database's, from the start of the first run to the end of the last.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import soundfile  # noqa: E402

from planner.store.claims import claim_trial, finish  # noqa: E402
from planner.store.engine import open_store  # noqa: E402
from planner.store.read import runs  # noqa: E402
from planner.words.records import Evaluation, RunRecord  # noqa: E402
from runner.campaign import display  # noqa: E402
from runner.campaign.drive import CampaignSetting, run_campaign  # noqa: E402
from runner.campaign.executors import RayExecutor  # noqa: E402
from runner.campaign.heartbeat import Heartbeat  # noqa: E402
from runner.campaign.worker import JobOutcome, TrialJob, this_worker  # noqa: E402
from runner.sweep import prepare  # noqa: E402

TARGET = 0.95
SPEC = """
name = "second"
task = "asr"
initialisation = "random"
seeds = [{seeds}]
[data]
name = "manifest"
path = "{manifest}"
[axes]
backbone = "whisper-micro"
audio_seconds = 2
[optimisation]
steps = 1
"""


def one_second(job: TrialJob, stopped: Callable[[], bool] | None = None) -> JobOutcome:
    """A worker whose training is one second of one core."""
    engine = open_store(job.db, must_exist=True, worker=True)
    claim = claim_trial(engine, job.trial_id, this_worker(), job.lease_seconds)
    if claim is None:
        return JobOutcome(trial_id=job.trial_id, kind="not-claimed")
    with Heartbeat(job.db, claim, job.lease_seconds):
        end = time.perf_counter() + 1.0
        while time.perf_counter() < end:
            sum(range(10_000))
        evaluation = Evaluation(split="test", metric="wer", error=0.5, n_units=2, n_errors=1)
        kept = finish(engine, claim, RunRecord(status="finished", evaluations=(evaluation,)))
    engine.dispose()
    return JobOutcome(trial_id=job.trial_id, kind="finished" if kept else "fenced")


def write_spec(folder: Path, n_trials: int) -> Path:
    """A sweep of so many trials on four clips of a tone."""
    rows = []
    tone = (0.3 * np.sin(np.arange(24_000) / 20)).astype(np.float32)
    for i in range(4):
        soundfile.write(folder / f"{i}.wav", tone, 16_000)
        split = "test" if i == 3 else "train"
        rows.append(
            json.dumps({"path": f"{i}.wav", "text": "a", "speaker": f"s{i}", "split": split})
        )
    (folder / "clips.jsonl").write_text("\n".join(rows))
    seeds = ", ".join(map(str, range(n_trials)))
    spec = folder / "second.toml"
    spec.write_text(SPEC.format(seeds=seeds, manifest=folder / "clips.jsonl"))
    return spec


def trials_per_second(n_workers: int, n_trials: int) -> float:
    """Throughput by the database's clock."""
    folder = Path(tempfile.mkdtemp(prefix="workers_"))
    db = f"sqlite:///{folder}/runs.db"
    prepared = prepare.prepare(write_spec(folder, n_trials), db, lambda line: None)
    run_campaign(
        prepared.spec,
        prepared.trials,
        CampaignSetting(db=db, artifacts=str(folder)),
        lambda: RayExecutor("local", n_workers=n_workers, work=one_second),
        display.Quiet(),
    )
    engine = open_store(db)
    found = runs(engine, status="finished")
    engine.dispose()
    assert len(found) == n_trials
    times = [datetime.fromisoformat(at) for r in found for at in (r.started_utc, r.finished_utc)]
    return n_trials / (max(times) - min(times)).total_seconds()


def main() -> int:
    """Print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    one, two = [], []
    for _ in range(asked.rounds):
        one.append(trials_per_second(1, asked.trials))
        two.append(trials_per_second(2, asked.trials))
    share = statistics.median(b / (2 * a) for a, b in zip(one, two, strict=True))
    row = {
        "one_worker_per_second": round(statistics.median(one), 3),
        "two_workers_per_second": round(statistics.median(two), 3),
        "share_of_twice_one": round(share, 3),
        "noise_floor": round((max(one) - min(one)) / statistics.median(one), 3),
        "target": f">= {TARGET}",
        "verdict": "pass" if share >= TARGET else "miss",
    }
    print(json.dumps(row))
    return 0


if __name__ == "__main__":
    sys.exit(main())
