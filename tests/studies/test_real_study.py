"""A study on two real test sets: prompts in English, and French ones on which little may be forgotten."""

from __future__ import annotations

import json
import sys

import pytest

from planner.cli import main
from planner.service.compare import compare
from planner.service.replay import replay
from planner.store import read
from planner.store.engine import opened
from tests.exports.test_forgetting import write_french

pytestmark = [pytest.mark.weights, pytest.mark.slow]

STUDY = """
name = "two-languages"
task = "asr"
latency = "none"

[data]
name = "prompts-2"
n_train = 80
join_seconds = 12
max_seconds = 12

[[data.test]]
name = "french"
path = "french.csv"
language = "fr"
join_seconds = 10
n_test = 8

[axes]
backbone = "whisper-base"
audio_seconds = [4, 8, 12]
reduction = ["none", "stem:2"]
adaptation = "lora:8"

[optimisation]
steps = 6
batch_size = 2
learning_rate = 1e-3

[limits]
flops = "100G"
keep = "french<=+15pt"

[spend]
hours = 0.15
until = "regret<=3pt"
"""


def soundscale(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["soundscale", *arguments])
    with pytest.raises(SystemExit) as ended:
        main.main()
    return ended.value.code or 0, capsys.readouterr()


def test_a_study_answers_for_english_prompts_under_a_rule_for_french_ones(
    tmp_path, monkeypatch, capsys
):
    write_french(tmp_path)
    (tmp_path / "study.toml").write_text(STUDY)
    db = f"sqlite:///{tmp_path}/runs.db"
    monkeypatch.chdir(tmp_path)
    code, said = soundscale(
        monkeypatch, capsys, "study", "study.toml", "--ray", "none", "--workers", "2", "-f", "json",
        "--db", db,
    )  # fmt: skip
    report = json.loads(said.out)
    assert code == 0, said.err
    first = report["runs"][0]
    assert first["candidate"] == "whisper-base,30.0,none,none"
    assert first["why"].endswith("which french<=+15pt is counted from")
    assert report["hours"] <= 0.15
    assert all(run["state"] == "finished" for run in report["runs"])

    # Every run was scored on both sets, and French, prompted as such, is understood: not 100 % errors.
    with opened(db) as engine:
        rows = read.runs(engine, sweep="two-languages", status="finished")
        french = {row.run_id: read.run_on(engine, row, "french") for row in rows}
        (base,) = (row.run_id for row in rows if row.trial.adaptation.kind == "none")
    assert len(rows) == report["n_runs"]
    assert all(one is not None and one.error is not None for one in french.values())
    assert 0.02 < french[base].error < 0.5

    # What the answer lost is what `compare` finds on the same utterances, and it keeps the rule.
    answer = report["answer"]
    (kept,) = answer["kept"]
    assert kept["paired"]
    assert kept["probability"] >= 0.9
    assert answer["best"]["costs"]["flops"]["value"] <= 100e9
    (run_id, *seeds) = answer["best"]["prediction"]["run_ids"]
    if not seeds:
        (pair,) = compare(db, [base, run_id], split="french")["comparisons"]
        assert kept["change"] == pytest.approx(pair["difference"])
    assert replay(db, answer["answer_id"])[0]

    # Killed or not, the same command has nothing left to train.
    code, again = soundscale(
        monkeypatch, capsys, "study", "study.toml", "--ray", "none", "-f", "json", "--db", db
    )
    assert (code, json.loads(again.out)) == (0, report)
    assert "has ended: nothing was trained" in again.err
