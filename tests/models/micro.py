"""Real modules of test size, randomly initialised, at any setting of the axes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from planner.words.catalogue import backbone
from planner.words.records import Adaptation, Optimisation, Reduction, Trial
from runner.models.base import BuildRequest
from runner.models.builders import builder_for
from runner.models.whisper import ByteTokenizer

LABELS = ("anger", "fear", "joy")

TRIAL = Trial(
    task="asr", dataset="made", dataset_digest="0", split_policy="official", n_train=1, n_test=1,
    backbone="whisper-micro", audio_seconds=2.0, initialisation="random",
)  # fmt: skip


def make_trial(name="whisper-micro", task="asr", reduction="none", adaptation="none", **more):
    return replace(
        TRIAL,
        backbone=name,
        task=task,
        reduction=Reduction.parse(reduction),
        adaptation=Adaptation.parse(adaptation) if isinstance(adaptation, str) else adaptation,
        optimisation=Optimisation(steps=2, batch_size=4, learning_rate=1e-2),
        **more,
    )


def make_model(trial, device="cpu", attention="sdpa", labels=LABELS, shape=None):
    shape = shape or backbone(trial.backbone)
    return builder_for(shape.family, trial.task)(
        BuildRequest(
            trial=trial, backbone=shape, device=torch.device(device), tokenizer=ByteTokenizer(),
            labels=labels, attention=attention,
        )
    )  # fmt: skip


def speechlike(seconds, seed=0):
    """Noise under a slow envelope: any audio will do for shapes and gradients."""
    rng = np.random.default_rng(seed)
    n = round(seconds * 16_000)
    envelope = 0.5 + 0.5 * np.sin(np.linspace(0, 20 * seconds, n))
    return (0.1 * envelope * rng.standard_normal(n)).astype(np.float32)
