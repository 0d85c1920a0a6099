"""The loop: micro-batch, order, schedule and failures."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import InputError, UnknownNameError
from planner.words.records import Adaptation, Optimisation
from runner.data.audio import AudioError
from runner.data.clips import BrokenDataError
from runner.models.adapt import adapt, trainable
from runner.trial.features import Example, FeatureCache
from runner.trial.recipe import batch_indices, batch_size_for, learning_rates, schedule_factor
from runner.trial.train import DivergedError, OutOfMemoryError, accumulate, train
from tests.models.micro import make_model, make_trial, speechlike

TEXTS = ("one", "press two now", "three", "the number is four", "five")

EMOTION = {"task": "emotion", "name": "wav2vec2-micro"}


def reader(i, references):
    return lambda: (speechlike(1.0 + 0.2 * i, seed=i), references[i])


def prepared(task="asr", name="whisper-micro", adaptation="lora:2", model_type=None):
    trial = make_trial(name, task, "stem:2", adaptation)
    model = make_model(trial)
    groups = adapt(model, trial.adaptation, 0)
    references = TEXTS if task == "asr" else ("joy", "fear", "joy", "anger", "fear")
    if model_type is not None:
        model = model_type(model)
    examples = [Example(name=str(i), read=reader(i, references)) for i in range(5)]
    return model, groups, FeatureCache(model, examples), trial.optimisation


def run(model, groups, cache, optimisation, **more):
    options = {"seed": 3, "micro_batch": 4, "precision": "float32"} | more
    return train(model, groups, cache, optimisation, **options)


def gradients(micro_batch, **which):
    model, _, cache, _ = prepared(**which)
    loss = accumulate(model, cache.batch([0, 1, 2, 3]), micro_batch, "float32")
    return loss, {n: p.grad.clone() for n, p in trainable(model.module)}


@pytest.mark.parametrize("micro_batch", [1, 2, 3])
@pytest.mark.parametrize("which", [{}, EMOTION], ids=["asr", "emotion"])
def test_gradients_do_not_depend_on_the_micro_batch(micro_batch, which):
    whole, wanted = gradients(4, **which)
    loss, found = gradients(micro_batch, **which)
    assert math.isclose(loss, whole, rel_tol=1e-6)
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name], atol=1e-6, rtol=1e-4)


def test_the_loss_is_that_of_transformers_own_forward():
    model, _, cache, _ = prepared(adaptation="none")
    items = cache.batch([0, 3])
    ids = [[*model.special.prompt[1:], *targets] for _, targets, _ in items]
    labels = torch.tensor([row + [-100] * (max(map(len, ids)) - len(row)) for row in ids])
    n_given = model.n_prompt_tokens - 1
    out = model.module(input_features=torch.stack([f for f, _, _ in items]), labels=labels)
    logs = out.logits.log_softmax(-1).gather(-1, labels.clamp(min=0)[..., None])[..., 0]
    wanted = -(logs * (labels >= 0))[:, n_given:].sum()
    ours = model.loss(torch.stack([f for f, _, _ in items]), [t for _, t, _ in items])
    torch.testing.assert_close(ours, wanted, rtol=1e-5, atol=1e-4)


def test_two_runs_of_one_seed_are_equal_bit_for_bit():
    first, second = (prepared() for _ in range(2))
    losses = [[s.loss for s in run(*one).steps] for one in (first, second)]
    assert losses[0] == losses[1]
    for (_, a), (_, b) in zip(trainable(first[0].module), trainable(second[0].module), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("adaptation", ["lora:2", "lora:2+top1", "full"])
def test_training_lowers_the_loss_and_moves_every_group(adaptation):
    model, groups, cache, optimisation = prepared(adaptation=adaptation)
    before = [[p.clone() for p in g.parameters] for g in groups]
    done = run(model, groups, cache, dataclasses.replace(optimisation, steps=8, batch_size=5))
    assert done.steps[-1].loss < done.steps[0].loss
    for old, group in zip(before, groups, strict=True):
        assert any(not torch.equal(a, b) for a, b in zip(old, group.parameters, strict=True))


def test_a_loss_that_is_not_finite_ends_the_run_with_its_step():
    model, groups, cache, optimisation = prepared()
    with torch.no_grad():
        next(p for _, p in trainable(model.module)).fill_(math.inf)
    with pytest.raises(DivergedError, match="at step 0"):
        run(model, groups, cache, optimisation)


class Narrow:
    """A model on a device that has memory for `room` windows at once."""

    def __init__(self, model, room=1):
        self._model, self.room = model, room

    def __getattr__(self, name):
        return getattr(self._model, name)

    def loss(self, features, targets):
        if len(features) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self._model.loss(features, targets)


def test_out_of_memory_halves_the_micro_batch_and_changes_no_result():
    wide, narrow = prepared(), prepared(model_type=Narrow)
    done, halved = run(*wide), run(*narrow)
    assert (done.micro_batch, halved.micro_batch) == (4, 1)
    assert [s.loss for s in halved.steps] == pytest.approx([s.loss for s in done.steps], rel=1e-5)


def test_one_example_that_does_not_fit_is_out_of_memory():
    narrow = prepared(model_type=lambda model: Narrow(model, room=0))
    with pytest.raises(OutOfMemoryError, match="one example at a time"):
        run(*narrow)


def broken():
    raise AudioError("a.wav", "truncated")


def test_a_broken_training_file_is_left_out_and_named():
    model, groups, cache, optimisation = prepared()
    cache.examples[2] = Example(name="2", read=broken)
    run(model, groups, cache, dataclasses.replace(optimisation, steps=3))
    assert list(cache.broken) == [2]
    assert "a.wav is truncated" in cache.broken[2]


def test_no_readable_example_is_broken_data():
    model, groups, _, optimisation = prepared()
    cache = FeatureCache(model, [Example(name="0", read=broken)])
    with pytest.raises(BrokenDataError, match="none of 1 training examples"):
        run(model, groups, cache, optimisation)


def test_bfloat16_training_stays_close_to_float32():
    losses = [run(*prepared(), precision=p).steps[-1].loss for p in ("float32", "bfloat16")]
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_features_beyond_the_caches_limit_are_computed_again_and_equal():
    model, _, whole, _ = prepared()
    tight = FeatureCache(model, whole.examples, limit_bytes=1)
    for cached, fresh in zip(whole.batch([0, 1]), tight.batch([0, 1]), strict=True):
        assert torch.equal(cached[0], fresh[0])


@given(st.integers(1, 30), st.integers(1, 12), st.integers(-5, 5))
def test_every_example_is_seen_once_an_epoch(n, batch, seed):
    seen = [i for step in range(n) for i in batch_indices(n, batch, seed, step)]
    assert Counter(seen) == dict.fromkeys(range(n), batch)


def test_no_example_is_an_error_that_says_so():
    with pytest.raises(InputError, match="no training examples"):
        batch_indices(0, 4, 0, 0)


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
def test_a_schedule_warms_up_and_stays_within_its_peak(schedule):
    optimisation = Optimisation(steps=20, schedule=schedule, warmup_fraction=0.2)
    factors = [schedule_factor(optimisation, i) for i in range(20)]
    assert factors[:4] == [0.25, 0.5, 0.75, 1.0]
    assert all(0 < f <= 1 for f in factors)
    assert factors[4:] == sorted(factors[4:], reverse=True)


def test_unknown_schedules_and_optimisers_name_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean linear"):
        schedule_factor(Optimisation(schedule="liner"), 0)
    model, groups, cache, _ = prepared()
    with pytest.raises(UnknownNameError, match="did you mean adamw"):
        run(model, groups, cache, Optimisation(optimiser="adam"))


def test_each_group_has_its_own_rate():
    rates = learning_rates(Optimisation(learning_rate=2e-3))
    assert rates == pytest.approx({"lora": 2e-3, "top_k": 2e-4, "full": 2e-4, "head": 1e-3})
    own = learning_rates(Optimisation(top_k_learning_rate=5e-5, head_learning_rate=3e-3))
    assert (own["top_k"], own["head"]) == (5e-5, 3e-3)


@given(st.floats(1, 500), st.floats(0.5, 30))
def test_a_batch_holds_about_the_same_audio_at_every_length(audio, window):
    size = batch_size_for(audio, window)
    assert size == 1 or abs(size * window - audio) <= window / 2 + 1e-9


def test_nothing_is_trained_without_an_adaptation():
    model, groups, cache, optimisation = prepared(adaptation=Adaptation.parse("none"))
    assert run(model, groups, cache, optimisation).steps == []
