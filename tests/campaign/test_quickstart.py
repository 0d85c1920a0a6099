"""The whole path on real weights and real speech, on a smaller sweep than the packaged one."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest

from planner.store.engine import open_store
from planner.store.read import plans, runs
from runner.quickstart import run
from runner.sweep_commands import RunRequest
from tests.chaos.invariants import audited

pytestmark = [pytest.mark.weights, pytest.mark.ray, pytest.mark.slow]

RUNS = """runs = [
    { audio_seconds = 8, reduction = "none" },
    { audio_seconds = 4, reduction = "none" },
    { audio_seconds = 8, reduction = "stem:2" },
    { audio_seconds = 4, reduction = "stem:2" },
]"""
SMALLER = (
    (r"runs = \[\n.*?\n\]", RUNS),
    (r'\["whisper-tiny.en", "whisper-base"\]', '"whisper-tiny.en"'),
    (r"\[4, 8, 12\]", "[4, 8]"),
    (r', "stem:4"\]', "]"),
    ("steps = 20", "steps = 3"),
    ("n_train = 160", "n_train = 60\nn_test = 6"),
)  # fmt: skip
"""One backbone, four trials of three steps, six utterances."""


def test_the_quickstart_ends_with_what_was_trained_learnt_and_answered(tmp_path, capsys):
    text = (files("runner") / "specs" / "quickstart.toml").read_text()
    for old, new in SMALLER:
        text, n = re.subn(old, new, text, flags=re.DOTALL)
        assert n == 1
    (tmp_path / "small.toml").write_text(text)
    db = f"sqlite:///{tmp_path}/quick.db"
    run(db, request(tmp_path), tmp_path / "small.toml")
    shown = capsys.readouterr()
    for heading in ("What was trained", "What was learnt", "The answer for 20 GFLOPs"):
        assert heading in shown.out
    assert f"the database is {db}" in shown.err
    assert "transcribe FILE.wav --answer" in shown.err
    assert "audit: 10 of 10 promises kept" in shown.err
    engine = open_store(db)
    found = runs(engine, status="finished")
    trained = [row.error for row in found if row.trial.adaptation.kind != "none"]
    assert (len(trained), len(found), len(plans(engine)) >= 1) == (4, 5, True)
    assert audited(engine) == {}
    assert min(trained) < 0.2
    engine.dispose()


def request(tmp_path: Path) -> RunRequest:
    return RunRequest(
        ray_address="local", workers=2, artifacts=str(tmp_path / "a"), weights=None, quiet=True
    )
