"""Both tasks through `sweep run` on recorded speech: EmoDB's acted emotions, and telephone prompts."""

from __future__ import annotations

import json
import sys

import pytest

from planner.cli import main
from tests.trial.made import EMODB

EMOTION = """
name = "real-emotion"
task = "emotion"
initialisation = "random"

[data]
name = "emodb"
path = "{emodb}"
n_train = 24
n_test = 14

[axes]
backbone = "wav2vec2-micro"
audio_seconds = 1
reduction = ["none", "stem:2"]
adaptation = "lora:2"

[optimisation]
steps = 2
batch_size = 2
"""
ASR = """
name = "real-speech"
task = "asr"
initialisation = "random"

[data]
name = "prompts"
n_train = 24
n_test = 4

[axes]
backbone = "whisper-micro"
audio_seconds = 4
reduction = ["none", "stem:2"]
adaptation = "lora:2"

[optimisation]
steps = 2
batch_size = 2

[decoding]
max_new_tokens = 6
"""


def run(monkeypatch, capsys, tmp_path, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "real.toml").write_text(text)
    db = f"sqlite:///{tmp_path}/runs.db"
    found = []
    for command in (["sweep", "run", "real.toml", "--ray", "none"], ["runs", "list"]):
        monkeypatch.setattr(sys, "argv", ["soundscale", *command, "--db", db, "-f", "json"])
        with pytest.raises(SystemExit) as ended:
            main.main()
        assert not ended.value.code
        found.append(json.loads(capsys.readouterr().out))
    assert found[0]["result"]["n_trained"] == 2
    return found[1]


@pytest.mark.skipif(not EMODB.is_dir(), reason=f"no EmoDB beside the project, at {EMODB}")
def test_a_sweep_of_emotion_on_speakers_held_out_is_run_and_stored(monkeypatch, capsys, tmp_path):
    rows = run(monkeypatch, capsys, tmp_path, EMOTION.format(emodb=EMODB))
    assert {r["metric"] for r in rows} == {"unweighted_error"}
    assert {(r["n_utterances"], r["speaker_overlap"]) for r in rows} == {(14, 0)}
    assert all(0 <= r["error"] <= 1 and r["latency_p50_ms"] > 0 for r in rows)


@pytest.mark.weights
def test_a_sweep_of_recorded_speech_is_run_and_stored(monkeypatch, capsys, tmp_path):
    rows = run(monkeypatch, capsys, tmp_path, ASR)
    assert {r["metric"] for r in rows} == {"wer"}
    assert all(r["n_units"] > 0 and r["error"] > 0 and r["train_flops"] > 0 for r in rows)
