"""What a whole trial costs: training FLOPs over all steps, and the FLOPs of scoring its test set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.costs.flops.forward import forward_flops, prompt_tokens
from planner.costs.flops.training import TrainingFlops, training_flops, training_totals
from planner.costs.latency.stages import Alike
from planner.errors import InputError
from planner.words.catalogue import Backbone
from planner.words.catalogue import backbone as find_backbone
from planner.words.records import Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialCost:
    """Training and scoring FLOPs of one trial under convention `exact/1`.

    Attributes:
        convention: how it was counted.
        per_example: FLOPs of one training example (one window).
        n_examples: examples seen, repeats counted: steps * effective batch; 0 for adaptation none.
        total: training FLOPs of the trial: per_example.total * n_examples.
        scoring_flops: forward FLOPs of n_test windows.
        audio_hours: hours of audio that pass the encoder in training, padding included.
    """

    convention: str
    per_example: TrainingFlops
    n_examples: int
    total: int
    scoring_flops: int
    audio_hours: float


def trial_cost(
    trial: Trial, n_label_tokens: int, *, gradient_checkpointing: bool = False
) -> TrialCost:
    """FLOPs of a whole trial, from its fields and the mean number of label tokens of a window.

    Every example is taken at the window's full length x_T, as it is run, and at the mean number of
    labels; padding of labels inside a batch is left out. Scoring assumes one window an utterance and as
    many output tokens as labels. An empty transcript still has its end token.

    Args:
        trial: what is trained.
        n_label_tokens: labels of one window, end token included; without meaning for emotion.
        gradient_checkpointing: whether layers are run again in the backward pass.

    Raises:
        InputError: the trial cannot be counted (unknown backbone, window too long, DoRA, …).
    """
    if isinstance(n_label_tokens, bool) or not isinstance(n_label_tokens, int):
        raise InputError(f"n_label_tokens must be an integer, got {n_label_tokens!r}")
    backbone = find_backbone(trial.backbone)
    n_labels = min(max(n_label_tokens, 1), _most_labels(backbone)) if trial.task == "asr" else 0
    per_example = training_flops(
        backbone,
        audio_seconds=trial.audio_seconds,
        reduction=trial.reduction,
        adaptation=trial.adaptation,
        n_label_tokens=n_labels,
        padding=trial.padding,
        task=trial.task,
        gradient_checkpointing=gradient_checkpointing,
    )
    scored = forward_flops(
        backbone,
        audio_seconds=trial.audio_seconds,
        reduction=trial.reduction,
        n_output_tokens=n_labels,
        padding=trial.padding,
        kv_cache=trial.decoding.kv_cache,
        task=trial.task,
    )
    n_examples = _n_examples(trial)
    return TrialCost(
        convention=per_example.convention,
        per_example=per_example,
        n_examples=n_examples,
        total=per_example.total * n_examples,
        scoring_flops=scored.total * trial.n_test,
        audio_hours=n_examples * trial.audio_seconds / 3600.0,
    )


def training_totals_of(trial: Trial, windows: Alike) -> NDArray[np.float64]:
    """Training FLOPs of the trial with each of those windows in place of its own, shape (m,).

    As `trial_cost(...).total` of each, its labels being the window's output tokens.

    Raises:
        InputError: the trial cannot be counted.
    """
    asr = trial.task == "asr"
    n_labels = np.clip(windows.n_output_tokens, 1, _most_labels(windows.backbone)) if asr else 0
    one = training_totals(
        windows.backbone,
        audio_seconds=windows.audio_seconds,
        reduction=windows.reduction,
        adaptation=trial.adaptation,
        n_label_tokens=n_labels,
        padding=trial.padding,
        task=trial.task,
    )
    # In floating point, as examples times FLOPs may be above 2^63.
    total = np.asarray(one, dtype=np.float64) * _n_examples(trial)
    return np.broadcast_to(total, windows.at.shape)


def _most_labels(backbone: Backbone) -> int:
    return getattr(backbone, "max_target_positions", 1) - prompt_tokens(backbone) + 1


def _n_examples(trial: Trial) -> int:
    trained = trial.adaptation.kind != "none"
    return trial.optimisation.steps * trial.optimisation.batch_size if trained else 0
