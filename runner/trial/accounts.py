"""What a run's record says beside its results: parameters and FLOPs, and how it was trained."""

from __future__ import annotations

from typing import Any

import torch

from planner.costs.flops.training import training_flops
from planner.errors import InputError
from planner.words.catalogue import Backbone, Whisper
from planner.words.records import Resources, Trial
from runner.data.clips import Corpus
from runner.models.base import SpeechModel
from runner.trial.counting import counted_flops
from runner.trial.features import FeatureCache
from runner.trial.train import Training


def n_params(model: SpeechModel) -> int:
    """Parameters of what is run (x_N): a classifier on Whisper's encoder has no decoder."""
    backbone, heads = model.backbone, model.head_names()
    if not (isinstance(backbone, Whisper) and heads):
        return backbone.n_params
    parts = (model.module.get_submodule(name) for name in heads)
    return backbone.encoder_params + sum(p.numel() for part in parts for p in part.parameters())


def train_flops_of(
    trial: Trial, model: SpeechModel, training: Training, resources: Resources
) -> float | None:
    """Training FLOPs by the closed forms, or None for what they do not count (DoRA, own families).

    Windows count at their full length, and a frozen encoder once an epoch, though its states are kept.
    """
    if not training.n_examples:
        return 0.0
    per_example = training.n_target_units / training.n_examples
    try:
        counted = training_flops(
            model.backbone,
            audio_seconds=trial.audio_seconds,
            reduction=trial.reduction,
            adaptation=trial.adaptation,
            n_label_tokens=round(per_example),
            padding=trial.padding,
            task=trial.task,
            gradient_checkpointing=resources.gradient_checkpointing,
        )
    except InputError:
        return None
    return float(counted.total) * training.n_examples


def window_flops_counted(
    backbone: Backbone, trial: Trial, n_output_tokens: int, corpus: Corpus
) -> dict[str, int] | None:
    """FLOPs of one window as torch counts them on this module; None for families it cannot count."""
    try:
        return counted_flops(backbone, trial, n_output_tokens, corpus.labels)
    except InputError:
        return None


def run_details(cache: FeatureCache, training: Training, corpus: Corpus) -> dict[str, Any]:
    """How it was trained: windows, broken files, epochs, determinism, padding."""
    faults = [clip.fault for clip in corpus.train if clip.fault is not None]
    return {
        "n_train_windows": len(cache),
        "n_broken_train": len(cache.broken) + len(faults),
        "broken_train": sorted([*cache.broken.values(), *faults])[:5],
        "epochs": training.n_examples / len(cache) if len(cache) else 0.0,
        "mean_target_units": (
            training.n_target_units / training.n_examples if training.n_examples else None
        ),
        "resumed_at_steps": training.resumed_at,
        "determinism": {
            "algorithms": torch.are_deterministic_algorithms_enabled(),
            "cudnn": torch.backends.cudnn.deterministic,
            "cudnn_benchmark": torch.backends.cudnn.benchmark,
            "float32_matmul": torch.get_float32_matmul_precision(),
        },
        "encoder_states_kept": cache.holds_states,
        "padding_fraction": (
            1.0 - training.audio_seconds / training.encoder_seconds
            if training.encoder_seconds
            else None
        ),
        "batch_audio_seconds": (
            training.audio_seconds / len(training.steps) if training.steps else None
        ),
    }
