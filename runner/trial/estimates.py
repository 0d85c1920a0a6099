"""What a trial takes, from its words and its data alone."""

from __future__ import annotations

import math

from planner.costs.flops.forward import forward_flops
from planner.costs.flops.training import training_flops as count_training
from planner.words.catalogue import BUILT_IN, Catalogue
from planner.words.records import Trial
from runner.data.clips import Corpus

CHARACTERS_PER_TOKEN = 4.0
"""English text per token of Whisper's vocabulary (characters; assumption, for estimates alone)."""


def n_label_tokens(trial: Trial, corpus: Corpus) -> int:
    """Label tokens of one training window, estimated from the transcripts' mean rate of speech.

    At least the end token; 1 for a class.
    """
    seconds = sum(clip.audio_seconds for clip in corpus.clips)
    if trial.task != "asr" or not seconds:
        return 1
    characters = sum(len(clip.reference) for clip in corpus.clips)
    tokens = trial.audio_seconds * characters / seconds / CHARACTERS_PER_TOKEN
    return min(MOST_LABEL_TOKENS, 1 + round(tokens))


MOST_LABEL_TOKENS = 440
"""Labels that fit Whisper's 448 decoder positions beside the prompt (tokens)."""


def training_flops(trial: Trial, corpus: Corpus, catalogue: Catalogue = BUILT_IN) -> float:
    """Training FLOPs of a whole trial, estimated (convention `exact`): a full batch at each step."""
    each = count_training(
        catalogue.backbone(trial.backbone),
        audio_seconds=trial.audio_seconds,
        reduction=trial.reduction,
        adaptation=trial.adaptation,
        n_label_tokens=n_label_tokens(trial, corpus),
        padding=trial.padding,
        task=trial.task,
    )
    return float(each.total) * trial.optimisation.batch_size * trial.optimisation.steps


def scoring_flops(trial: Trial, corpus: Corpus, catalogue: Catalogue = BUILT_IN) -> float:
    """FLOPs of hearing the test clips once, estimated (convention `exact`): whole windows, one after the other."""
    window = forward_flops(
        catalogue.backbone(trial.backbone),
        audio_seconds=trial.audio_seconds,
        reduction=trial.reduction,
        n_output_tokens=n_label_tokens(trial, corpus) if trial.task == "asr" else 0,
        padding=trial.padding,
        task=trial.task,
    )
    windows = sum(max(1, math.ceil(c.audio_seconds / trial.audio_seconds)) for c in corpus.test)
    return float(window.total) * windows
