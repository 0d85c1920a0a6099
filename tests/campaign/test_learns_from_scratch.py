"""The whole path of CTC learns: random weights on joined spoken words, from the sweep file to the stored error."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from planner.store.engine import opened
from planner.store.read import runs
from runner.campaign import display
from runner.campaign.drive import CampaignSetting, run_campaign
from runner.campaign.inline import InlineExecutor
from runner.data import prompts
from runner.sweep import prepare

pytestmark = [pytest.mark.weights, pytest.mark.slow]

WORDS = {
    "march": "mon-2", "april": "mon-3", "may": "mon-4", "june": "mon-5", "july": "mon-6",
    "monday": "day-1", "star": "star", "minus": "minus", "at": "at",
}  # fmt: skip
"""Words that are no numbers, which the scorer would join, and short enough for a frame and a half a letter."""
RATE = 8_000
N_TRAIN, N_TEST = 320, 40
SWEEP = """
name = "words"
task = "asr"
initialisation = "random"
latency = "none"

[data]
name = "manifest"
path = "joined.jsonl"

[axes]
backbone = "w2v-bert-micro"
audio_seconds = 4
adaptation = "full"

[design]
kind = "grid"

[optimisation]
steps = 1500
batch_size = 8
learning_rate = 1e-3
"""


def write_joined(folder: Path) -> None:
    """Clips of three words each, a short silence before each word; orders of the test set are its own."""
    spoken, _ = prompts.resolve(None, None, False, lambda line: None)
    sounds = spoken / prompts._SOUNDS / "digits"
    read = {
        w: soundfile.read(sounds / f"{name}.wav", dtype="float32")[0] for w, name in WORDS.items()
    }
    rng = np.random.default_rng(0)
    orders = list(dict.fromkeys(tuple(rng.choice(list(WORDS), 3)) for _ in range(4 * N_TRAIN)))
    rows = []
    for i, order in enumerate(orders[: N_TRAIN + N_TEST]):
        gaps = [np.zeros(int(rng.uniform(0.05, 0.2) * RATE), np.float32) for _ in order]
        clip = np.concatenate(
            [part for gap, word in zip(gaps, order, strict=True) for part in (gap, read[word])]
        )
        soundfile.write(folder / f"{i}.wav", clip, RATE)
        split = "train" if i < N_TRAIN else "test"
        rows.append(
            json.dumps(
                {"path": f"{i}.wav", "text": " ".join(order), "speaker": split, "split": split}
            )
        )
    assert len(rows) == N_TRAIN + N_TEST
    (folder / "joined.jsonl").write_text("\n".join(rows))


def test_random_weights_learn_orders_of_words_that_they_have_not_heard(tmp_path, monkeypatch):
    write_joined(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.toml").write_text(SWEEP)
    db = f"sqlite:///{tmp_path}/runs.db"
    prepared = prepare.prepare(tmp_path / "words.toml", db, lambda line: None)
    setting = CampaignSetting(db=db, artifacts=str(tmp_path / "artifacts"))
    run_campaign(prepared.spec, prepared.trials, setting, InlineExecutor, display.Quiet())
    with opened(db) as engine:
        (run,) = runs(engine)
    assert run.status == "finished"
    # Guessing the commonest word three times makes 89 %.
    assert run.error < 0.60
