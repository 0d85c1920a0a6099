from __future__ import annotations

from dataclasses import replace

import pytest

from planner.costs.flops.forward import forward_flops
from planner.costs.flops.training import training_flops
from planner.costs.flops.trial import trial_cost
from planner.errors import InputError
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


def test_a_trial_costs_its_steps_times_its_batch_times_one_example():
    one = training_flops(
        backbone("whisper-base"), audio_seconds=8.0, reduction=TRIAL.reduction,
        adaptation=TRIAL.adaptation, n_label_tokens=25,
    )  # fmt: skip
    cost = trial_cost(TRIAL, 25)
    assert cost.total == 200 * one.total
    assert cost.per_example == one
    assert cost.audio_hours == pytest.approx(200 * 8 / 3600)


def test_scoring_costs_one_forward_for_each_test_utterance():
    one = forward_flops(
        backbone("whisper-base"), audio_seconds=8.0, reduction=TRIAL.reduction, n_output_tokens=25
    )
    assert trial_cost(TRIAL, 25).scoring_flops == 40 * one.total


def test_checkpointing_adds_one_forward_of_the_layers():
    plain = trial_cost(TRIAL, 25).per_example
    again = trial_cost(TRIAL, 25, gradient_checkpointing=True).per_example
    assert 0 < again.recomputed < again.forward
    assert again.total - plain.total == again.recomputed


def test_a_trial_without_adaptation_trains_nothing_and_is_scored():
    cost = trial_cost(replace(TRIAL, adaptation=Adaptation.parse("none")), 25)
    assert cost.total == cost.n_examples == 0
    assert cost.scoring_flops > 0


def test_an_emotion_trial_needs_no_labels():
    trial = replace(TRIAL, task="emotion", backbone="wav2vec2-base", reduction=Reduction())
    assert trial_cost(trial, 0).total > 0


def test_an_empty_transcript_still_has_its_end_token():
    assert trial_cost(TRIAL, 0).total == trial_cost(TRIAL, 1).total > 0


def test_label_tokens_are_counted_in_whole_ones():
    with pytest.raises(InputError, match="integer"):
        trial_cost(TRIAL, 2.5)
