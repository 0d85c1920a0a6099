"""Windows of their own length: fewer encoder positions, hardly any padding, the same numbers."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.words.records import Adaptation
from runner.models.adapt import adapt, trainable
from runner.trial.features import (
    Example,
    FeatureCache,
    collate,
    encoder_is_frozen,
    encoder_seconds,
    micro_batches,
)
from runner.trial.recipe import MOST_PADDING, batch_indices, bucketed_indices, length_runs
from runner.trial.train import accumulate, train
from tests.models.micro import LABELS, make_model, make_trial, speechlike

FAMILIES = (
    ("asr", "whisper-micro"),
    ("emotion", "whisper-micro"),
    ("emotion", "wav2vec2-micro"),
    ("emotion", "wavlm-micro"),
)
SECONDS = (0.4, 1.0, 1.3, 1.9, 0.7, 2.0)
DECODER = Adaptation(lora_rank=2, targets="decoder.all-linear")


def reader(i, task):
    said = ("one", "press two now", "three", "four", "press five", "six")
    return lambda: (speechlike(SECONDS[i], seed=i), said[i] if task == "asr" else LABELS[i % 3])


def prepared(task="asr", name="whisper-micro", adaptation="lora:2", padding="bucketed", **more):
    trial = make_trial(name, task, "stem:2", adaptation, padding=padding, audio_seconds=2.0)
    model = make_model(trial)
    groups = adapt(model, trial.adaptation, 0)
    examples = [
        Example(name=str(i), read=reader(i, task), seconds=s) for i, s in enumerate(SECONDS)
    ]
    return model, groups, FeatureCache(model, examples, **more), trial.optimisation


def gradients(model):
    return {name: p.grad.clone() for name, p in trainable(model.module)}


@pytest.mark.parametrize(("task", "name"), FAMILIES)
def test_a_short_window_runs_over_fewer_positions(task, name):
    model, _, cache, _ = prepared(task, name)
    short, whole = (model.encode(cache.batch([i])[0].features[None]) for i in (0, 5))
    assert short.shape[1] < 0.25 * whole.shape[1]
    assert whole.shape[1] == model.encode(model.features([speechlike(2.0)])).shape[1]


@pytest.mark.parametrize(("task", "name"), FAMILIES)
def test_scoring_takes_whole_windows_all_the_same(task, name):
    bucketed, plain = (prepared(task, name, padding=p)[0] for p in ("bucketed", "dynamic"))
    audio = [speechlike(0.4), speechlike(1.0)]
    states = [m.encode(m.features(audio)) for m in (bucketed, plain)]
    assert torch.equal(*states)


@pytest.mark.parametrize("task_name", FAMILIES, ids=lambda f: "-".join(f))
def test_lengthened_features_are_those_of_audio_with_silence_after_it(task_name):
    model, _, _, _ = prepared(*task_name)
    audio = speechlike(1.0)
    if "whisper" not in task_name[1]:
        audio -= audio.mean()
    silent = np.concatenate([audio, np.zeros(8000, np.float32)])
    found = model.lengthen(model.own_features([audio])[0], model.own_features([silent]).shape[-1])
    wanted = model.own_features([silent])[0]
    if "whisper" not in task_name[1]:
        assert torch.count_nonzero(found[16_000:]) == 0
        return
    edge = found.shape[-1] * 2 // 3 - 2
    torch.testing.assert_close(found[:, :edge], wanted[:, :edge], atol=1e-5, rtol=0)
    torch.testing.assert_close(found[:, edge + 4 :], wanted[:, edge + 4 :], atol=1e-5, rtol=0)


def test_own_lengths_learn_what_windows_with_silence_learn():
    curves = []
    for padding in ("bucketed", "dynamic"):
        model, groups, cache, optimisation = prepared(padding=padding)
        done = train(model, groups, cache, optimisation, seed=0, micro_batch=4, precision="float32")
        curves.append([s.loss for s in done.steps])
    assert curves[0] == pytest.approx(curves[1], rel=0.05)


@pytest.mark.parametrize("micro_batch", [1, 2])
def test_gradients_hardly_depend_on_the_parts_of_a_batch(micro_batch):
    found = []
    for room in (6, micro_batch):
        model, _, cache, _ = prepared()
        accumulate(model, cache.batch(range(6)), room, "float32")
        found.append(torch.cat([g.flatten() for g in gradients(model).values()]))
    # Parts differ in which windows are padded, by 2 % of their positions at most.
    assert (found[1] - found[0]).norm() < 0.02 * found[0].norm()


@given(st.lists(st.integers(1, 1500), min_size=1, max_size=60), st.integers(1, 6000))
def test_runs_hold_each_length_once_within_room_and_padding(lengths, room):
    lengths = sorted(lengths)
    runs = length_runs(lengths, room)
    assert [i for first, last in runs for i in range(first, last)] == list(range(len(lengths)))
    for first, last in runs:
        padded = (last - first) * lengths[last - 1]
        assert padded <= room or last - first == 1
        assert sum(lengths[first:last]) >= (1 - MOST_PADDING) * padded


def test_padding_is_at_most_3_percent_of_positions_on_lognormal_lengths():
    mean, spread = 8.0, 6.0
    sigma = np.sqrt(np.log(1 + (spread / mean) ** 2))
    rng = np.random.default_rng(0)
    seconds = rng.lognormal(np.log(mean) - sigma**2 / 2, sigma, 4000).clip(0.5, 30.0)
    positions = 5 * np.ceil(seconds * 10).astype(int)
    used = whole = n_parts = 0
    for step in range(250):
        chosen = bucketed_indices(list(seconds), 16, 0, step)
        lengths = sorted(int(positions[i]) for i in chosen)
        runs = length_runs(lengths, 16 * 1500)
        n_parts += len(runs)
        whole += sum((last - first) * lengths[last - 1] for first, last in runs)
        used += 50 * seconds[chosen].sum()
    assert 1 - used / whole <= 0.03
    assert n_parts <= 2 * 250
    fixed, mixed = 1 - seconds.mean() / 30, []
    for step in range(250):
        drawn = positions[batch_indices(4000, 16, 0, step)]
        mixed.append(1 - drawn.sum() / (16 * drawn.max()))
    assert min(fixed, float(np.mean(mixed))) > 0.4


@given(st.integers(1, 24), st.integers(1, 6), st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_bucketed_batches_are_full_and_see_each_example_equally_often(n, batch, seed):
    seconds = list(np.random.default_rng(seed).uniform(0.5, 9.0, n))
    per_pool = max(1, min(64, n // batch))
    steps = n * per_pool
    drawn = [bucketed_indices(seconds, batch, seed, step) for step in range(steps)]
    assert all(len(one) == batch for one in drawn)
    seen = Counter(i for one in drawn for i in one)
    assert set(seen.values()) == {batch * per_pool}


def test_the_encoder_runs_over_less_padding_than_over_whole_windows():
    found = []
    for padding in ("bucketed", "dynamic"):
        model, _, cache, _ = prepared(padding=padding)
        items = cache.batch(range(6))
        ran = encoder_seconds(model, micro_batches(model, items, 4))
        found.append(1 - sum(i.seconds for i in items) / ran)
    assert found[0] < 0.05 < 0.3 < found[1]


@pytest.mark.parametrize("padding", ["dynamic", "bucketed"])
def test_a_frozen_encoder_runs_once_a_window_and_the_losses_stay_the_same(padding, monkeypatch):
    model, groups, cache, optimisation = prepared(adaptation=DECODER, padding=padding)
    assert encoder_is_frozen(model)
    runs = []
    monkeypatch.setattr(model, "encode", lambda f, own=model.encode: runs.append(len(f)) or own(f))
    options = {"seed": 0, "micro_batch": 1, "precision": "float32"}
    kept = train(model, groups, cache, optimisation, **options)
    kept_runs = len(runs)
    model, groups, cache, optimisation = prepared(adaptation=DECODER, padding=padding)
    cache.holds_states = False
    ran = train(model, groups, cache, optimisation, **options)
    assert [s.loss for s in kept.steps] == [s.loss for s in ran.steps]
    assert kept_runs <= len(cache)


def test_an_encoder_that_is_adapted_is_not_kept():
    for adaptation in ("lora:2", "full", "none"):
        model, _, cache, _ = prepared(adaptation=adaptation)
        assert not encoder_is_frozen(model)
        assert not cache.holds_states


@pytest.mark.parametrize("adaptation", ["lora:2", DECODER], ids=["features", "states"])
def test_windows_computed_together_are_those_computed_alone(adaptation):
    _, _, alone, _ = prepared(adaptation=adaptation, padding="dynamic")
    _, _, together, _ = prepared(adaptation=adaptation, padding="dynamic")
    together.compute_together([3, 1, 3, 0])
    for one, other in zip(alone.batch([0, 1, 3]), together.batch([0, 1, 3]), strict=True):
        torch.testing.assert_close(one.features, other.features, atol=1e-5, rtol=1e-4)
        assert one.targets == other.targets


def test_parts_are_padded_to_their_longest_only():
    model, _, cache, _ = prepared()
    parts = micro_batches(model, cache.batch(range(6)), 6)
    shapes = [collate(model, part).shape[-1] for part in parts]
    assert shapes == sorted(shapes)
    assert shapes[0] < 60
    assert shapes[-1] == 200
