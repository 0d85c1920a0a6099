"""A run that was killed at any step ends as the uninterrupted one, bit for bit."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn

from planner.errors import InputError
from planner.words.records import Adaptation, Optimisation
from runner.models.adapt import adapt, trainable
from runner.trial.checkpoint import (
    KEPT,
    Checkpoint,
    Saving,
    capture,
    cuda_generator,
    discard,
    latest,
    restore,
    save,
)
from runner.trial.features import Example, FeatureCache
from runner.trial.train import train
from tests.models.micro import make_model, make_trial, speechlike

N_STEPS = 20
NOISY = Adaptation(
    kind="lora+top-k", lora_rank=2, lora_dropout=0.2, top_k_layers=1, targets="q_proj,v_proj"
)
LABELS = ("joy", "fear", "joy", "anger", "fear")


class Killed(BaseException):
    """The end of the process, as far as the loop can tell."""


def reader(i):
    return lambda: (speechlike(0.3, seed=i), LABELS[i])


def fresh():
    trial = make_trial("wav2vec2-micro", "emotion", "stem:2", NOISY, audio_seconds=0.3)
    model = make_model(trial)
    groups = adapt(model, trial.adaptation, 0)
    examples = [Example(name=str(i), read=reader(i)) for i in range(5)]
    return model, groups, FeatureCache(model, examples)


def go(folder, killed_at=None, every_steps=1, die=None):
    """Train in a new process's place, until the end or until the step it dies at."""

    def report(now):
        if now.step == killed_at:
            raise Killed

    model, groups, cache = fresh()
    optimisation = Optimisation(
        steps=N_STEPS, batch_size=3, learning_rate=1e-2, schedule="cosine", weight_decay=0.01
    )
    saving = Saving(folder=folder, fingerprint="f", every_steps=every_steps, then=die)
    done = train(
        model, groups, cache, optimisation, seed=3, micro_batch=2, precision="float32",
        report=report, saving=saving,
    )  # fmt: skip
    return done, {name: p.detach().clone() for name, p in trainable(model.module)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    torch.set_num_threads(1)
    return go(tmp_path_factory.mktemp("whole"))


def require_equal(found, wanted):
    def curve(done):
        return [dataclasses.replace(s, seconds=0.0) for s in done.steps]

    assert curve(found[0]) == curve(wanted[0])
    assert (found[0].n_examples, found[0].audio_seconds) == (
        wanted[0].n_examples,
        wanted[0].audio_seconds,
    )
    assert found[1].keys() == wanted[1].keys()
    assert all(torch.equal(found[1][name], wanted[1][name]) for name in wanted[1])


def test_a_run_killed_after_each_of_its_steps_is_the_uninterrupted_run(whole, tmp_path):
    for step in range(1, N_STEPS + 1):
        with pytest.raises(Killed):
            go(tmp_path, killed_at=step)
    found = go(tmp_path)
    require_equal(found, whole)
    assert found[0].resumed_at == list(range(1, N_STEPS + 1))


EACH_STEP = [
    pytest.param(n, marks=[] if n in (1, 9, N_STEPS) else pytest.mark.slow)
    for n in range(1, N_STEPS + 1)
]


@pytest.mark.parametrize("step", EACH_STEP)
def test_a_run_killed_once_at_any_step_is_the_uninterrupted_run(step, whole, tmp_path):
    with pytest.raises(Killed):
        go(tmp_path, killed_at=step, every_steps=step)
    found = go(tmp_path, every_steps=N_STEPS)
    require_equal(found, whole)
    assert found[0].resumed_at == [step]


def test_steps_since_the_last_checkpoint_are_done_again_and_equal(whole, tmp_path):
    with pytest.raises(Killed):
        go(tmp_path, killed_at=13, every_steps=5)
    found = go(tmp_path, every_steps=7)
    require_equal(found, whole)
    assert found[0].resumed_at == [10]


def test_a_finished_run_is_not_trained_again(whole, tmp_path):
    go(tmp_path, every_steps=N_STEPS)
    found = go(tmp_path, killed_at=1)
    require_equal(found, whole)


def one(step, value=1.0, fingerprint="f"):
    tensors = {"model.x": torch.full((3,), value)}
    return Checkpoint(fingerprint=fingerprint, step=step, tensors=tensors, state={"run": {}})


DAMAGE = {
    "cut off": lambda b: b[: len(b) // 2],
    "one bit": lambda b: b[:-1] + bytes([b[-1] ^ 1]),
    "empty": lambda b: b"",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(damage, tmp_path):
    save(tmp_path, one(1))
    newest = save(tmp_path, one(2))
    newest.write_bytes(damage(newest.read_bytes()))
    assert latest(tmp_path, "f").step == 1


def test_what_a_dying_writer_leaves_behind_is_no_checkpoint(tmp_path):
    (tmp_path / ".part-1-ab").write_bytes(b"half a file")
    assert latest(tmp_path, "f") is None
    save(tmp_path, one(1))
    assert latest(tmp_path, "f").step == 1
    discard(tmp_path)
    assert not tmp_path.exists()


def test_only_the_newest_stay_and_writing_one_twice_is_the_same_file(tmp_path):
    paths = [save(tmp_path, one(step, float(step))) for step in (1, 2, 3, 3)]
    assert sorted(tmp_path.iterdir()) == sorted(set(paths[-KEPT - 1 :]))
    assert torch.equal(latest(tmp_path, "f").tensors["model.x"], torch.full((3,), 3.0))


def test_a_checkpoint_of_another_trial_is_refused(tmp_path):
    save(tmp_path, one(1, fingerprint="other"))
    with pytest.raises(InputError, match="belongs to trial other"):
        latest(tmp_path, "f")


def test_a_checkpoint_that_does_not_fit_the_module_is_refused(tmp_path):
    save(tmp_path, one(1))
    with pytest.raises(InputError, match="does not fit the module"):
        go(tmp_path)


def test_a_missing_folder_holds_no_checkpoint(tmp_path):
    assert latest(tmp_path / "none", "f") is None
    discard(tmp_path / "none")


def test_checkpoints_are_handed_on_as_they_are_written(tmp_path):
    seen = []
    go(tmp_path, every_steps=8, die=lambda path: seen.append(path.name[:13]))
    assert seen == ["step-00000008", "step-00000016", "step-00000020"]


def test_a_generator_goes_on_where_there_are_fewer_gpus_and_none_is_saved_of_unused_ones():
    model = nn.Linear(2, 2)
    adam = torch.optim.AdamW(model.parameters())
    kept = capture(model, adam, 1, "f", {})
    assert [name for name in kept.tensors if name.startswith("generator.")] == ["generator.cpu"]
    before = {f"generator.cuda.{i}": torch.full((1,), float(i)) for i in range(4)}
    assert cuda_generator(before, 2) == 2.0
    assert cuda_generator({"generator.cuda.7": torch.ones(1)}, 0) == 1.0
    assert cuda_generator({}, 0) is None


def test_a_checkpoint_of_a_host_with_gpus_goes_on_without_one():
    model = nn.Linear(2, 2)
    adam = torch.optim.AdamW(model.parameters())
    kept = capture(model, adam, 1, "f", {"n": 1})
    states = {f"generator.cuda.{i}": torch.zeros(16, dtype=torch.uint8) for i in range(8)}
    moved = dataclasses.replace(kept, tensors=dict(kept.tensors) | states)
    assert restore(moved, model, adam) == {"n": 1}
