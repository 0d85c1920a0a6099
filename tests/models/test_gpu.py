"""The same path on a CUDA device: close to the CPU in float32, in bfloat16, and across an interruption."""

from __future__ import annotations

import pytest
import torch

from planner.words.records import Optimisation, Resources
from runner.models.adapt import adapt, execute_as
from runner.trial.checkpoint import Saving
from runner.trial.features import Example, FeatureCache
from runner.trial.train import train
from tests.models.micro import make_model, make_trial, speechlike

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

TEXTS = ("one", "press two now", "three", "the number is four", "five")


class Killed(BaseException):
    """The end of the process, as far as the loop can tell."""


def losses(device="cuda", precision="float32", folder=None, killed_at=None, **execution):
    trial = make_trial(adaptation="lora:2")
    model = make_model(trial, device=device)
    groups = adapt(model, trial.adaptation, 0)
    execute_as(model, Resources(**execution))
    examples = [
        Example(name=str(i), read=lambda i=i: (speechlike(1.0 + 0.2 * i, seed=i), TEXTS[i]))
        for i in range(5)
    ]

    def report(now):
        if now.step == killed_at:
            raise Killed

    saving = folder and Saving(folder=folder, fingerprint="f", every_steps=2)
    done = train(
        model, groups, FeatureCache(model, examples, precision=precision),
        Optimisation(steps=8, batch_size=4, learning_rate=1e-2),
        seed=3, micro_batch=4, precision=precision, report=report, saving=saving,
    )  # fmt: skip
    return [step.loss for step in done.steps]


def test_training_follows_the_cpu_in_float32():
    assert losses() == pytest.approx(losses("cpu"), rel=1e-3)


def test_bfloat16_and_checkpointed_layers_stay_close():
    wanted = losses()
    assert losses(precision="bfloat16") == pytest.approx(wanted, rel=0.03)
    assert losses(gradient_checkpointing=True) == pytest.approx(wanted, rel=1e-4)


def test_a_run_that_was_killed_goes_on_as_if_it_had_not_been(tmp_path):
    with pytest.raises(Killed):
        losses(folder=tmp_path, killed_at=5)
    assert losses(folder=tmp_path) == pytest.approx(losses(), rel=1e-6)
