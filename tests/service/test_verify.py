"""Checking an answer by a run: the sweep file of the recommendation, and who runs it."""

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from planner.cli.commands.plan import plan
from planner.errors import InputError, MissingResourceError
from planner.service import asking, fitting, next_runs
from planner.store import write
from planner.store.engine import open_store
from planner.words.question import PlanQuery
from runner.sweep.expand import combinations
from runner.sweep.file import parse_spec
from tests.service.test_measured import HEADER, rows

SPEC = """
name = "first"
task = "asr"
seeds = [0, 1]
[data]
name = "prompts"
n_train = 20
[axes]
backbone = ["whisper-tiny", "whisper-base"]
audio_seconds = [5, 10]
[design]
kind = "grid"
[optimisation]
steps = 30
[optimisation.arms."lora:8"]
learning_rate = 1e-5
"""


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """A database with runs, the sweep that tells how they are made, and an answer."""
    tmp_path = tmp_path_factory.mktemp("verify")
    table = tmp_path / "results.csv"
    table.write_text("\n".join([HEADER, *rows()]))
    db = str(tmp_path / "runs.db")
    fitting.import_results(db, str(table))
    engine = open_store(db)
    write.register_sweep(engine, "first", json.dumps(tomllib.loads(SPEC)), [])
    engine.dispose()
    answer = asking.plan(db, PlanQuery(task="asr", flops=60e9)).json
    return db, answer


def test_the_verifying_sweep_is_the_recommended_trial_alone_with_a_new_seed(answered):
    db, answer = answered
    text = next_runs.verification_sweep(db, answer["answer_id"])
    spec = parse_spec(tomllib.loads(text), "verify.toml")
    only = combinations(spec)
    assert len(only) == 1
    assert only[0].backbone == answer["best"]["config"]["backbone"]
    assert only[0].audio_seconds == answer["best"]["config"]["audio_seconds"]
    assert spec.seeds == [1]
    assert spec.optimisation.at(only[0].audio_seconds, "lora:8").learning_rate == 1e-5
    assert spec.optimisation.steps == 30


def test_running_it_needs_the_runner_and_says_so(answered):
    db, answer = answered
    bare = click.Group("soundscale", commands={"plan": plan})
    done = CliRunner().invoke(bare, ["plan", "verify", answer["answer_id"], "--run", "--db", db])
    assert isinstance(done.exception, MissingResourceError)
    assert "pip install" in str(done.exception)


def test_running_it_hands_the_file_to_the_runner_whose_error_is_heard(answered, tmp_path):
    db, answer = answered
    engine = open_store(db)
    spec = tomllib.loads(SPEC.replace('"prompts"', '"no/such/speech"'))
    write.register_sweep(engine, "second", json.dumps(spec), [])
    engine.dispose()
    command = [
        sys.executable,
        "-m",
        "planner.cli.main",
        "plan",
        "verify",
        answer["answer_id"],
        "--run",
    ]
    done = subprocess.run(
        [*command, "--db", db], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode in (2, 5)
    assert "running it" in done.stderr
    assert "no/such/speech" in done.stderr.splitlines()[-1]


def test_an_unknown_answer_is_named(answered):
    db, _ = answered
    with pytest.raises(InputError, match="feedfeed"):
        next_runs.verification_sweep(db, "feedfeed0000")


@pytest.mark.weights
@pytest.mark.ray
@pytest.mark.slow
def test_the_recommendation_is_trained_and_booked_against_what_was_predicted(tmp_path):
    db = str(tmp_path / "runs.db")
    shutil.copy(Path(__file__).parents[1] / "fixtures" / "quickstart.db", db)
    answer = asking.plan(db, PlanQuery(task="asr", flops=20e9)).json
    command = [
        sys.executable,
        "-m",
        "planner.cli.main",
        "plan",
        "verify",
        answer["answer_id"],
        "--run",
    ]
    done = subprocess.run(
        [*command, "--db", db, "-f", "json"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    (outcome,) = json.loads(done.stdout)["outcomes"]
    assert outcome["run_id"] not in answer["evidence"]
    assert outcome["low"] < outcome["predicted"] < outcome["high"]
    assert 0 < outcome["actual"] < 1
