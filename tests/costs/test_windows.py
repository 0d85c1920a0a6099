"""Many windows at once cost, to the last bit, what each of them costs alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.costs.flops.forward import CONVENTIONS, forward_flops, forward_parts
from planner.costs.flops.training import training_flops, training_totals
from planner.costs.flops.trial import training_totals_of
from planner.costs.memory.peak import inference_bytes, inference_memory
from planner.costs.windows import Windows, together, windows_of
from planner.errors import InputError
from planner.words.catalogue import BUILT_IN, Wav2Vec2, backbone
from planner.words.records import Adaptation, Optimisation, Reduction, Trial

CUTS = ("none", "stem:2", "output:3", "layer2:4", "layer1:2:mean-pool")
names = st.sampled_from(sorted(BUILT_IN.names))
lengths = st.lists(
    st.tuples(st.floats(0.5, 30.0), st.integers(1, 150)), min_size=1, max_size=6, unique=True
)


def asked(name, cut, rows, padding="dynamic"):
    """Windows of those rows, and what asks for one of them."""
    shape, cut = backbone(name), Reduction.parse(cut)
    many = windows_of(
        shape, [s for s, _ in rows], cut, n_output_tokens=[n for _, n in rows], padding=padding
    )
    task = "emotion" if isinstance(shape, Wav2Vec2) else "asr"
    return many, {"reduction": cut, "task": task, "padding": padding}


@given(names, st.sampled_from(CUTS), lengths, st.sampled_from(("dynamic", "padded30")))
@settings(max_examples=60, deadline=None)
def test_flops_of_many_windows_are_those_of_each(name, cut, rows, padding):
    many, common = asked(name, cut, rows, padding)
    parts = forward_parts(many, task=common["task"])
    assert sum(parts.values()).tolist() == [
        forward_flops(many.backbone, audio_seconds=s, n_output_tokens=k, **common).total
        for s, k in rows
    ]


@given(names, st.sampled_from(CUTS), lengths)
@settings(max_examples=60, deadline=None)
def test_memory_of_many_windows_is_that_of_each(name, cut, rows):
    many, common = asked(name, cut, rows)
    assert inference_bytes(many, common["task"]).tolist() == [
        inference_memory(many.backbone, audio_seconds=s, n_output_tokens=k, **common).total
        for s, k in rows
    ]


@given(names, st.sampled_from(CUTS), lengths, st.sampled_from(("lora:8", "lora:4+top1", "full")))
@settings(max_examples=60, deadline=None)
def test_training_of_many_windows_costs_what_each_does(name, cut, rows, adaptation):
    many, common = asked(name, cut, rows)
    trial = Trial(
        task=common["task"], dataset="d", dataset_digest="0", split_policy="s", n_train=4, n_test=2,
        backbone=name, audio_seconds=9.0, adaptation=Adaptation.parse(adaptation),
        optimisation=Optimisation(steps=50, batch_size=4),
    )  # fmt: skip
    assert training_totals_of(trial, many).tolist() == [
        200.0 * training_flops(
            many.backbone, audio_seconds=s, adaptation=trial.adaptation, n_label_tokens=k, **common
        ).total
        for s, k in rows
    ]  # fmt: skip


def test_windows_that_are_counted_together_keep_their_places():
    small, tiny = backbone("whisper-small"), backbone("whisper-tiny")
    mixed = [windows_of(small, 5.0), windows_of(tiny, [6.0, 7.0]), windows_of(small, [8.0, 9.0])]
    groups = {w.backbone.name: (at.tolist(), w.audio_seconds.tolist()) for at, w in together(mixed)}
    assert groups == {
        "whisper-small": ([0, 3, 4], [5.0, 8.0, 9.0]), "whisper-tiny": ([1, 2], [6.0, 7.0]),
    }  # fmt: skip


def test_windows_with_and_without_output_tokens_are_not_counted_together():
    with pytest.raises(ValueError, match="positive for all windows or 0 for all"):
        windows_of(backbone("whisper-tiny"), [5.0, 6.0], n_output_tokens=[0, 3])
    with pytest.raises(ValueError, match="one shape"):
        Windows(
            backbone=backbone("whisper-tiny"), reduction=Reduction(), audio_seconds=np.ones(2),
            n_output_tokens=np.ones(3, dtype=np.int64),
        )  # fmt: skip
    apart = together([windows_of(backbone("whisper-tiny"), 5.0, n_output_tokens=n) for n in (0, 3)])
    assert [w.generates for _, w in apart] == [False, True]


@pytest.mark.parametrize("name", sorted(BUILT_IN.names))
def test_the_costliest_window_is_far_below_the_largest_integer(name):
    shape = backbone(name)
    n = max(0, getattr(shape, "max_target_positions", 0) - 3)
    longest = windows_of(shape, shape.max_audio_seconds, n_output_tokens=n)
    scoring = sum(forward_parts(longest, kv_cache=False).values())[0]
    training = training_totals(longest, Adaptation.parse("full"))[0]
    assert 0 < max(scoring, training) < 1e16 < np.iinfo(np.int64).max / 900


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_both_conventions_count_many_windows(convention):
    rows = [(2.5, 9), (29.99, 40), (11.117, 3)]
    many = windows_of(
        backbone("whisper-small"), [s for s, _ in rows], Reduction.parse("output:2"),
        n_output_tokens=[n for _, n in rows],
    )  # fmt: skip
    parts = forward_parts(many, convention=convention)
    assert sum(parts.values()).tolist() == [
        forward_flops(
            backbone("whisper-small"), audio_seconds=s, reduction=Reduction.parse("output:2"),
            n_output_tokens=n, convention=convention,
        ).total
        for s, n in rows
    ]  # fmt: skip


def test_one_window_that_is_too_long_among_many_is_named():
    with pytest.raises(InputError, match="audio_seconds 31 is longer"):
        forward_parts(windows_of(backbone("whisper-tiny"), [3.0, 31.0]))
