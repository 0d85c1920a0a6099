"""Many windows at once cost, to the last bit, what each of them costs alone."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.costs.flops.forward import CONVENTIONS, forward_flops, forward_parts
from planner.costs.flops.trial import training_totals_of, trial_cost
from planner.costs.latency.stages import Window, alike
from planner.costs.memory.peak import inference_bytes, inference_memory
from planner.errors import InputError
from planner.plan.configurations import Columns, Config
from planner.plan.workload import Workload
from planner.words.catalogue import Whisper, backbone, backbone_names
from planner.words.records import Adaptation, Reduction, Trial

CUTS = ("none", "stem:2", "output:3", "layer2:4", "layer1:2:mean-pool")
names = st.sampled_from(sorted(backbone_names()))
windows = st.lists(
    st.tuples(st.floats(0.5, 30.0), st.integers(1, 200)), min_size=1, max_size=6, unique=True
)


def asked(name, cut, rows):
    shape = backbone(name)
    task = "asr" if isinstance(shape, Whisper) else "emotion"
    common = {"reduction": Reduction.parse(cut), "task": task}
    return shape, common, np.array([s for s, _ in rows]), np.array([n for _, n in rows])


@given(names, st.sampled_from(CUTS), windows, st.sampled_from(("dynamic", "padded30")))
@settings(max_examples=60, deadline=None)
def test_flops_of_many_windows_are_those_of_each(name, cut, rows, padding):
    shape, common, seconds, n = asked(name, cut, rows)
    common |= {"padding": padding}
    parts = forward_parts(shape, audio_seconds=seconds, n_output_tokens=n, **common)
    total = np.broadcast_to(sum(parts.values()), len(rows)).tolist()
    assert total == [
        forward_flops(shape, audio_seconds=s, n_output_tokens=k, **common).total for s, k in rows
    ]


@given(names, st.sampled_from(CUTS), windows)
@settings(max_examples=60, deadline=None)
def test_memory_of_many_windows_is_that_of_each(name, cut, rows):
    shape, common, seconds, n = asked(name, cut, rows)
    many = inference_bytes(shape, audio_seconds=seconds, n_output_tokens=n, **common)
    assert np.broadcast_to(many, len(rows)).tolist() == [
        inference_memory(shape, audio_seconds=s, n_output_tokens=k, **common).total for s, k in rows
    ]


@given(names, st.sampled_from(CUTS), windows, st.sampled_from(("lora:8", "lora:4+top1", "full")))
@settings(max_examples=60, deadline=None)
def test_training_of_many_windows_costs_what_each_does(name, cut, rows, adaptation):
    shape, common, _, _ = asked(name, cut, rows)
    trial = Trial(
        task=common["task"], dataset="d", dataset_digest="0", split_policy="s", n_train=4, n_test=2,
        backbone=name, audio_seconds=9.0, adaptation=Adaptation.parse(adaptation),
    )  # fmt: skip
    cut = common["reduction"]
    (group,) = alike(
        [Window(backbone=shape, reduction=cut, audio_seconds=s, n_output_tokens=k) for s, k in rows]
    )
    each = [dataclasses.replace(trial, audio_seconds=s, reduction=cut) for s, _ in rows]
    assert training_totals_of(trial, group).tolist() == [
        float(trial_cost(t, k).total) for t, (_, k) in zip(each, rows, strict=True)
    ]


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_both_conventions_count_many_windows(convention):
    rows = [(2.5, 9), (29.99, 40), (11.117, 3)]
    parts = forward_parts(
        backbone("whisper-small"), audio_seconds=np.array([s for s, _ in rows]),
        reduction=Reduction.parse("output:2"), n_output_tokens=np.array([n for _, n in rows]),
        convention=convention,
    )  # fmt: skip
    assert sum(parts.values()).tolist() == [
        forward_flops(
            backbone("whisper-small"), audio_seconds=s, reduction=Reduction.parse("output:2"),
            n_output_tokens=n, convention=convention,
        ).total
        for s, n in rows
    ]  # fmt: skip


def test_one_window_that_is_too_long_among_many_is_named():
    with pytest.raises(InputError, match="audio_seconds 31 is longer"):
        forward_parts(
            backbone("whisper-tiny"), audio_seconds=np.array([3.0, 31.0]), reduction=Reduction()
        )


@given(st.lists(st.floats(0.1, 90.0), max_size=400), st.lists(st.floats(0.5, 30.0), min_size=1))
def test_windows_of_many_lengths_are_the_means_of_each(utterances, lengths):
    workload = Workload(
        seconds=tuple(utterances), output_tokens=1.0, source="", windows_at={5.0: 2.25}
    )
    alone = [workload.windows(s) for s in lengths]
    assert workload.windows_of(np.array(lengths)).tolist() == alone
    whole = [max(1, math.ceil(s / 5.0 - 1e-9)) for s in utterances] or [1]
    surplus = 2.25 / float(np.mean(whole))
    by_hand = [max(1, math.ceil(s / lengths[0] - 1e-9)) for s in utterances] or [1]
    wanted = 2.25 if lengths[0] == 5.0 else max(1.0, float(np.mean(by_hand)) * surplus)
    assert alone[0] == wanted


def test_configurations_are_found_among_many_by_their_values():
    def config(name, seconds, cut):
        return Config(
            backbone=name, audio_seconds=seconds, reduction=Reduction.parse(cut),
            adaptation=Adaptation.parse("lora:8"), extra=(("bits", seconds),),
        )  # fmt: skip

    many = [config(n, s, c) for n in ("a", "b") for s in (1.0, 2.0) for c in ("none", "stem:2")]
    columns = Columns.of(many)
    assert columns.places([config("b", 1.0, "stem:2"), config("c", 1.0, "none"), many[0]]) == [
        5, None, 0,
    ]  # fmt: skip
    half = columns.kept(np.array([i % 2 == 1 for i in range(8)]))
    assert half.places(many[:4]) == [None, 0, None, 1]
    assert half.audio_seconds.tolist() == [1.0, 2.0, 1.0, 2.0]
