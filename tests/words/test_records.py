"""The frozen words: what is hashed, what is refused, what survives JSON."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import InputError
from planner.words.records import (
    GUARDED,
    Adaptation,
    Optimisation,
    Reduction,
    Trial,
    canonical_json,
    to_json,
    trial_from_json,
)

TRIAL = Trial(
    task="asr", dataset="d", dataset_digest="0", split_policy="official", n_train=10, n_test=5,
    backbone="whisper-tiny", audio_seconds=10,
)  # fmt: skip
REDUCTIONS = st.builds(
    lambda place, layer, factor, operator: Reduction(
        place=place, layer=layer if place == "layer" else None, factor=factor, operator=operator
    ),
    st.sampled_from(["stem", "layer", "output"]),
    st.integers(1, 32),
    st.integers(2, 16),
    st.sampled_from(["stride", "mean-pool", "merge"]),
)


@given(REDUCTIONS)
def test_a_reduction_survives_its_short_form(reduction):
    assert Reduction.parse(str(reduction)) == reduction


@pytest.mark.parametrize("text", ["none", "full", "lora:16", "lora:8+top4"])
def test_an_adaptation_survives_its_short_form(text):
    assert str(Adaptation.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["stem", "stem:0", "layer:2", "layer0:2", "middle:2", "stem:2:max"]
)
def test_a_reduction_that_means_nothing_is_refused(text):
    with pytest.raises(InputError):
        Reduction.parse(text)


def test_a_trial_survives_json():
    assert trial_from_json(json.loads(canonical_json(to_json(TRIAL)))) == TRIAL


def test_ten_seconds_hash_alike_as_integer_and_as_float():
    assert dataclasses.replace(TRIAL, audio_seconds=10.0).fingerprint == TRIAL.fingerprint


CHANGES = {
    "task": "emotion",
    "dataset": "e",
    "dataset_digest": "1",
    "split_policy": "same2026",
    "n_train": 11,
    "n_test": 6,
    "backbone": "whisper-base",
    "audio_seconds": 5,
    "reduction": Reduction.parse("stem:2"),
    "adaptation": Adaptation.parse("full"),
    "optimisation": Optimisation(steps=41),
    "decoding": dataclasses.replace(TRIAL.decoding, beams=2),
    "reference_policy": "filter",
    "initialisation": "random",
    "padding": "padded30",
    "normaliser": "none",
    "precision": "bf16",
    "seed": 1,
    "language": "fr",
    "train_hours": 2,
}


def test_every_field_of_a_trial_is_covered_by_the_next_test():
    assert set(CHANGES) == {f.name for f in dataclasses.fields(Trial)}


@pytest.mark.parametrize("name", CHANGES)
def test_every_field_changes_the_fingerprint(name):
    assert dataclasses.replace(TRIAL, **{name: CHANGES[name]}).fingerprint != TRIAL.fingerprint


@pytest.mark.parametrize(
    "change",
    [
        {"task": "tts"},
        {"audio_seconds": 0},
        {"audio_seconds": float("nan")},
        {"reference_policy": "best"},
        {"padding": "60"},
        {"initialisation": "zeros"},
        {"language": "french"},
    ],
    ids=str,
)
def test_a_trial_that_means_nothing_is_refused_with_the_value(change):
    with pytest.raises(InputError, match=str(next(iter(change)))):
        dataclasses.replace(TRIAL, **change)


def test_a_number_that_is_not_finite_is_not_json():
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"x": float("inf")})


def test_a_trial_from_before_guards_and_languages_has_the_fingerprint_it_had():
    # As the version of 2026-11-29 computed it.
    old = Trial(
        task="asr", dataset="x", dataset_digest="y", split_policy="z", n_train=1, n_test=1,
        backbone="whisper-tiny.en", audio_seconds=8,
    )  # fmt: skip
    assert old.fingerprint == "34b11ce1240558cb2efa900b1bec17e6870a88bfd938366d6496d30bceea46f4"
    guarded = dataclasses.replace(old, decoding=GUARDED)
    assert trial_from_json(to_json(guarded)) == guarded
    assert guarded.fingerprint != old.fingerprint
    assert guarded.decoding.unguarded == dataclasses.replace(old.decoding, max_new_tokens=444)
