"""Training FLOPs of the trial's own module equal the closed form, forward and backward."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from planner.costs.flops.forward import encoder_positions
from planner.costs.flops.training import training_flops
from planner.words.catalogue import Wav2Vec2, backbone
from planner.words.records import Adaptation
from runner.models.adapt import adapt
from tests.models.micro import make_model, make_trial, speechlike

FAMILIES = (
    ("asr", "whisper-micro"),
    ("emotion", "whisper-micro"),
    ("emotion", "wav2vec2-micro"),
    ("emotion", "wavlm-micro"),
    ("asr", "wav2vec2-micro"),
)
ADAPTATIONS = ("lora:4", "lora:2+top1", "full")


def overcounted(model, adaptation, reduction, seconds=1.2):
    """torch counts the weight gradient of a grouped convolution as if it had one group."""
    if adaptation != "full" or not isinstance(model.backbone, Wav2Vec2):
        return 0
    b = model.backbone
    n = encoder_positions(b, seconds, reduction)
    once = 2 * (n + 1) * b.pos_conv_kernel * (b.d_model // b.pos_conv_groups) * b.d_model
    return (b.pos_conv_groups - 1) * once


DECODER = Adaptation(lora_rank=4, targets="decoder.q_proj, decoder.fc1")
CASES = [(*family, a) for family in FAMILIES for a in ADAPTATIONS] + [(*FAMILIES[0], DECODER)]


@pytest.mark.parametrize("reduction", ["none", "stem:2", "layer1:2"])
@pytest.mark.parametrize(("task", "name", "adaptation"), CASES)
def test_one_step_costs_what_is_counted(task, name, adaptation, reduction):
    trial = make_trial(name, task, reduction, adaptation, audio_seconds=1.2)
    model = make_model(trial, attention="eager", labels=tuple("abcdef"))
    adapt(model, trial.adaptation, 0)
    model.module.train()
    targets = model.targets(["hello" if task == "asr" else "c"])
    features = model.features([speechlike(1.2)])
    counter = FlopCounterMode(display=False)
    with counter, torch.enable_grad():
        model.loss(features, targets).backward()
    closed = training_flops(
        backbone(name), audio_seconds=1.2, reduction=trial.reduction,
        adaptation=trial.adaptation, n_label_tokens=len(targets[0]), task=task,
    )  # fmt: skip
    assert (
        counter.get_total_flops() - overcounted(model, adaptation, trial.reduction) == closed.total
    )
