"""A trial of CTC recognition from end to end, and what is refused before it trains."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from planner.errors import InputError
from planner.words.records import Resources, trial_from_json
from runner.engines.trained import load_trained
from runner.models.characters import Characters
from runner.trial.alignable import require_frames
from runner.trial.hearing import predict
from runner.trial.run import run_trial
from tests.models.micro import speechlike
from tests.trial.made import trial_of

ROWS = [
    ("train", "press hash", 1.0), ("train", "hello", 0.9), ("train", "good bye", 1.9),
    ("test", "please hold", 2.6), ("test", "hello", 0.8),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "reduction", "padding"),
    [
        ("wav2vec2-micro", "layer1:2", "dynamic"),
        ("wav2vec2-micro", "layer1:2", "bucketed"),
        ("parakeet-micro", "none", "dynamic"),
        ("w2v-bert-micro", "stem:2:mean-pool", "bucketed"),
    ],
)
def test_a_trial_trains_scores_and_comes_back(manifest, tmp_path, name, reduction, padding):
    data = manifest(ROWS)
    trial = trial_of(
        data, name, 2.0, reduction, "lora:2+top1",
        initialisation="random", padding=padding,
    )  # fmt: skip
    record = run_trial(trial, Resources(), data_request=data, artifacts=tmp_path)
    (evaluation,) = record.evaluations
    assert record.status == "finished"
    assert (evaluation.metric, evaluation.n_units) == ("wer", 3)
    assert record.details["counted_flops"]["total"] > 0
    assert record.train_flops > 0
    assert evaluation.details["n_windows_at_limit"] == 0
    meta = json.loads((Path(record.artifact) / "adapter.json").read_text())
    assert meta["labels"] == list(Characters.of_texts([r[1] for r in ROWS[:3]]).tokens)
    again = load_trained(trial_from_json(meta["trial"]), Path(record.artifact)).model
    assert again.labels == tuple(meta["labels"])
    assert predict(again, [speechlike(1.0)], trial, "float32")


def test_a_reduction_without_frames_for_the_texts_is_refused_with_its_share(manifest, tmp_path):
    long = "twelve words that are said in one second and no more than that"
    data = manifest([*ROWS, ("train", long, 1.0)])
    trial = trial_of(data, "wav2vec2-micro", 2.0, "stem:4", initialisation="random")
    with pytest.raises(InputError, match=r"25% of 4 training windows .* \(at worst 25 for 62\)"):
        run_trial(trial, Resources(), data_request=data, artifacts=tmp_path)


def test_a_stray_transcript_is_left_out_and_many_are_refused():
    require_frames([(10, 9)] * 99 + [(10, 12)], "here")
    with pytest.raises(InputError, match="2% of 100"):
        require_frames([(10, 9)] * 98 + [(10, 12)] * 2, "here")
