"""What a whole trial costs to train: FLOPs of all its steps."""

from __future__ import annotations

import dataclasses

import numpy as np

from planner.costs.flops.forward import prompt_tokens
from planner.costs.flops.training import training_totals
from planner.costs.windows import Floats, Windows
from planner.words.catalogue import Backbone, Wav2Vec2
from planner.words.families.base import Conformer
from planner.words.records import Trial


def training_totals_of(trial: Trial, windows: Windows) -> Floats:
    """Training FLOPs of the trial with each of those windows in place of its own, shape (m,).

    One example's FLOPs times the examples seen, repeats counted: steps * effective batch; 0 for adaptation
    none. Every example is taken at the window's full length x_T, as it is run, its labels being the
    window's output tokens; padding of labels inside a batch is left out. An empty transcript still has its
    end token. In floating point, as examples times FLOPs may be above 2^63.

    Raises:
        InputError: the trial cannot be counted (window too long, DoRA, …).
    """
    n_labels = np.zeros_like(windows.n_output_tokens)
    if trial.task == "asr":
        n_labels = np.clip(windows.n_output_tokens, 1, _most_labels(windows.backbone))
    examples = dataclasses.replace(windows, n_output_tokens=n_labels, padding=trial.padding)
    one = training_totals(examples, trial.adaptation, trial.task)
    return one.astype(np.float64) * _n_examples(trial)


def _most_labels(backbone: Backbone) -> int | None:
    """Labels that a decoder has positions for; None without one."""
    if isinstance(backbone, Wav2Vec2 | Conformer):
        return None
    return backbone.max_target_positions - prompt_tokens(backbone) + 1


def _n_examples(trial: Trial) -> int:
    trained = trial.adaptation.kind != "none"
    return trial.optimisation.steps * trial.optimisation.batch_size if trained else 0
