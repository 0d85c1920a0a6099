"""What gradient checkpointing computes twice, against torch's counter on the trial's own module."""

from __future__ import annotations

import random

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from planner.costs.flops.training import training_flops
from planner.words.catalogue import backbone
from planner.words.records import Adaptation, Resources
from runner.models.adapt import adapt, execute_as
from tests.models.micro import make_model, make_trial, speechlike
from tests.models.test_training_flops import overcounted

FAMILIES = (
    ("asr", "whisper-micro"),
    ("emotion", "whisper-micro"),
    ("asr", "wav2vec2-micro"),
    ("emotion", "wavlm-micro"),
    ("asr", "moonshine-micro"),
)
ADAPTATIONS = (
    Adaptation(lora_rank=4),
    Adaptation(lora_rank=2, targets="q_proj,v_proj"),
    Adaptation.parse("lora:2+top1"),
    Adaptation.parse("full"),
    Adaptation.parse("none"),
)
DECODER = (
    Adaptation(lora_rank=4, targets="decoder.q_proj,decoder.fc1"),
    Adaptation(lora_rank=4, targets="decoder.fc2"),
)
REDUCTIONS = ("none", "stem:2", "layer1:2", "layer2:2:mean-pool", "layer1:3:merge", "output:2:mean-pool")  # fmt: skip
EVERY = [
    (*family, adaptation, reduction)
    for family in FAMILIES
    for adaptation in ADAPTATIONS
    + (DECODER if family[1] == "whisper-micro" and family[0] == "asr" else ())
    for reduction in REDUCTIONS
]
SOME = random.Random(0).sample(EVERY, 10)


def check(task, name, adaptation, reduction, checkpointing):
    trial = make_trial(name, task, reduction, adaptation, audio_seconds=0.5)
    model = make_model(trial, attention="eager", labels=tuple("abcdef"))
    adapt(model, trial.adaptation, 0)
    execute_as(model, Resources(gradient_checkpointing=checkpointing))
    model.module.train()
    targets = model.targets(["hello" if task == "asr" else "c"])
    features = model.features([speechlike(0.5)])
    counter = FlopCounterMode(display=False)
    with counter, torch.enable_grad():
        loss = model.loss(features, targets)
        if loss.requires_grad:
            loss.backward()
    closed = training_flops(
        backbone(name), audio_seconds=0.5, reduction=trial.reduction, adaptation=adaptation,
        n_label_tokens=len(targets[0]), task=task, gradient_checkpointing=checkpointing,
    )  # fmt: skip
    counted = counter.get_total_flops()
    if adaptation.kind == "none":
        assert closed.total == 0  # nothing is trained, and no step is taken
        return
    n = overcounted(model, str(adaptation), trial.reduction, 0.5)
    assert counted - n == closed.total, (task, name, str(adaptation), reduction, checkpointing)


def test_a_checkpointed_step_costs_what_torch_counts():
    for case in SOME:
        check(*case, True)


@pytest.mark.slow
def test_every_step_costs_what_torch_counts_with_and_without_checkpoints():
    for case in EVERY:
        for checkpointing in (False, True):
            check(*case, checkpointing)


def test_a_frozen_encoder_is_not_run_again():
    asked = {"audio_seconds": 30.0, "n_label_tokens": 60, "gradient_checkpointing": True}
    whole = training_flops(backbone("whisper-small"), adaptation=ADAPTATIONS[0], **asked)
    frozen = training_flops(backbone("whisper-small"), adaptation=DECODER[0], **asked)
    assert frozen.recomputed < whole.recomputed / 5
    assert whole.recomputed < whole.forward
