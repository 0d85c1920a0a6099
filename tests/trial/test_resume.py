"""A trial whose process is killed goes on from its checkpoint and ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from planner.words.records import Resources, to_json
from runner.models.adapt import ADAPTER_FILE
from runner.trial.checkpoint import Saving, discard, latest
from runner.trial.progress import StopKeeping
from runner.trial.run import run_trial
from tests.trial.made import trial_of

ROWS = [("train", "press hash", 0.6), ("train", "hello", 0.5), ("test", "hold", 0.5)]

WORKER = """
import json, sys
from pathlib import Path
from planner.words.records import Resources, trial_from_json
from runner.data.clips import DataSpec
from runner.trial.run import run_trial

asked = json.loads(sys.argv[1])
run_trial(
    trial_from_json(asked["trial"]), Resources(), data_request=DataSpec(**asked["data"]),
    artifacts=Path(asked["artifacts"]), checkpoints=Path(asked["checkpoints"]), every_steps=1,
    on_checkpoint=lambda path: print(path.name, flush=True),
)
"""


def made(manifest, steps=6):
    data = manifest(ROWS)
    options = {"steps": steps, "batch_size": 2}
    return data, trial_of(data, "whisper-micro", 0.6, initialisation="random", optimisation=options)


def losses(record):
    return [(s.step, s.loss, s.grad_norm) for s in record.steps]


class Killed(BaseException):
    pass


def test_a_trial_goes_on_from_its_checkpoint_and_says_so(manifest, tmp_path):
    data, trial = made(manifest)
    whole = run_trial(trial, Resources(), data_request=data, artifacts=tmp_path / "a")

    def progress(now):
        if (now.phase, now.step) == ("train", 4):
            raise Killed

    kept = {"checkpoints": tmp_path / "kept", "every_steps": 2}
    with pytest.raises(Killed):
        run_trial(
            trial,
            Resources(),
            data_request=data,
            artifacts=tmp_path / "b",
            progress=progress,
            **kept,
        )
    resumed = run_trial(trial, Resources(), data_request=data, artifacts=tmp_path / "b", **kept)
    assert losses(resumed) == losses(whole)
    assert resumed.evaluations == whole.evaluations
    assert resumed.details["resumed_at_steps"] == [4]
    assert (resumed.train_flops, resumed.details["epochs"]) == (
        whole.train_flops,
        whole.details["epochs"],
    )
    discard(tmp_path / "kept" / trial.fingerprint)
    assert not (tmp_path / "kept" / trial.fingerprint).exists()


def test_a_trial_that_is_stopped_to_go_on_elsewhere_keeps_the_step_it_has_just_done(
    manifest, tmp_path
):
    data, trial = made(manifest)
    whole = run_trial(trial, Resources(), data_request=data, artifacts=tmp_path / "a")
    kept = {"data_request": data, "artifacts": tmp_path / "b", "checkpoints": tmp_path / "kept"}

    def progress(now):
        if (now.phase, now.step) == ("train", 3):
            raise StopKeeping

    with pytest.raises(StopKeeping):
        run_trial(trial, Resources(), progress=progress, **kept)
    resumed = run_trial(trial, Resources(), **kept)
    assert resumed.details["resumed_at_steps"] == [3]
    assert (losses(resumed), resumed.evaluations) == (losses(whole), whole.evaluations)


def test_checkpoints_that_come_less_than_every_step_are_refused(tmp_path):
    with pytest.raises(ValueError, match="every_steps must be at least 1"):
        Saving(folder=tmp_path, fingerprint="f", every_steps=0)


def kill_at(step, asked):
    """Run the trial in a process of its own and kill it when it has written that checkpoint."""
    command = [sys.executable, "-c", WORKER, json.dumps(asked)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(f"step-{step:08d}"):
                process.send_signal(signal.SIGKILL)
                break
        assert process.wait() == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 7, 19])
def test_a_process_killed_at_a_step_ends_as_the_uninterrupted_one(step, manifest, tmp_path):
    data, trial = made(manifest, steps=20)
    whole = run_trial(trial, Resources(), data_request=data, artifacts=tmp_path / "whole")
    asked = {
        "trial": to_json(trial), "data": {"name": data.name, "path": str(data.path)},
        "artifacts": str(tmp_path / "killed"), "checkpoints": str(tmp_path / "kept"),
    }  # fmt: skip
    kill_at(step, asked)
    found = latest(tmp_path / "kept" / trial.fingerprint, trial.fingerprint)
    assert found is not None
    assert found.step >= step
    resumed = run_trial(
        trial,
        Resources(),
        data_request=data,
        artifacts=tmp_path / "killed",
        checkpoints=tmp_path / "kept",
    )
    assert losses(resumed) == losses(whole)
    assert resumed.evaluations == whole.evaluations
    weights = [load_file(Path(r.artifact) / ADAPTER_FILE) for r in (resumed, whole)]
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[1])
