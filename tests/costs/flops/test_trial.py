from __future__ import annotations

from dataclasses import replace

import pytest

from planner.costs.flops.training import training_flops
from planner.costs.flops.trial import training_totals_of
from planner.costs.windows import windows_of
from planner.words.catalogue import backbone
from planner.words.records import Adaptation, Optimisation, Reduction, Trial

TRIAL = Trial(
    task="asr",
    dataset="prompts",
    dataset_digest="0",
    split_policy="official",
    n_train=100,
    n_test=40,
    backbone="whisper-base",
    audio_seconds=8.0,
    reduction=Reduction.parse("stem:2"),
    adaptation=Adaptation(lora_rank=8),
    optimisation=Optimisation(steps=50, batch_size=4),
)


def total(trial, n_tokens):
    shape = backbone(trial.backbone)
    window = windows_of(shape, trial.audio_seconds, trial.reduction, n_output_tokens=n_tokens)
    return training_totals_of(trial, window)[0]


def test_a_trial_costs_its_steps_times_its_batch_times_one_example():
    one = training_flops(
        backbone("whisper-base"), audio_seconds=8.0, reduction=TRIAL.reduction,
        adaptation=TRIAL.adaptation, n_label_tokens=25,
    )  # fmt: skip
    assert total(TRIAL, 25) == 200 * one.total


def test_a_trial_without_adaptation_trains_nothing():
    assert total(replace(TRIAL, adaptation=Adaptation.parse("none")), 25) == 0


def test_an_emotion_trial_needs_no_labels():
    trial = replace(TRIAL, task="emotion", backbone="wav2vec2-base", reduction=Reduction())
    assert total(trial, 0) > 0


def test_an_empty_transcript_still_has_its_end_token():
    assert total(TRIAL, 0) == total(TRIAL, 1) > 0


def test_labels_end_where_the_decoder_does():
    assert total(TRIAL, 10_000) == total(TRIAL, 445)


def test_examples_are_as_long_as_the_trial_pads_them():
    padded = replace(TRIAL, padding="padded30")
    assert total(padded, 25) == pytest.approx(total(replace(TRIAL, audio_seconds=30.0), 25))
