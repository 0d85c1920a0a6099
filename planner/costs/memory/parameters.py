"""How many parameters are held and how many are trained: exact counts, as the real modules have."""

from __future__ import annotations

import numpy as np

from planner.costs.flops.forward import check_task
from planner.costs.flops.lengths import positions_of
from planner.costs.flops.modules import CLASSIFIER_LABELS, CLASSIFIER_PROJECTION
from planner.costs.flops.training import lora_parameters, treatment_of
from planner.costs.windows import Ints, Windows
from planner.words.catalogue import Backbone, Wav2Vec2
from planner.words.families.base import Conformer, SampleListener
from planner.words.records import Adaptation


def held_parameters(windows: Windows, task: str | None = None) -> Ints:
    """Parameters that are held for each window, shape (m,): the position table is cut to its positions."""
    backbone, chosen = windows.backbone, check_task(windows.backbone, task)
    if isinstance(backbone, Wav2Vec2):
        n = backbone.encoder_params + backbone.head_params(chosen)
        return np.full(len(windows), n, dtype=np.int64)
    if isinstance(backbone, SampleListener | Conformer):
        return np.full(len(windows), backbone.n_params, dtype=np.int64)
    cut = (backbone.max_source_positions - positions_of(windows)) * backbone.d_model
    if chosen == "asr":
        return backbone.n_params - cut
    return backbone.encoder_params + _head_parameters(backbone, chosen) - cut


def _head_parameters(backbone: Backbone, task: str) -> int:
    if isinstance(backbone, Wav2Vec2):
        return backbone.head_params(task)
    if isinstance(backbone, Conformer):
        return backbone.head_params
    width, labels = CLASSIFIER_PROJECTION, CLASSIFIER_LABELS
    return backbone.d_model * width + width + width * labels + labels


def trainable_parameters(
    backbone: Backbone, adaptation: Adaptation, task: str | None = None
) -> int:
    """Parameters that receive a gradient: adapters, top-k layers, head, or everything.

    Whisper's sinusoidal position table is a constant and never trained.

    >>> from planner.words.catalogue import backbone
    >>> targets = Adaptation(lora_rank=32, targets="q_proj,v_proj")
    >>> trainable_parameters(backbone("whisper-small"), targets)
    3538944
    """
    treatment, chosen = treatment_of(backbone, adaptation, task), check_task(backbone, task)
    if treatment.full:
        if isinstance(backbone, Wav2Vec2):
            return backbone.encoder_params + backbone.head_params(chosen)
        if isinstance(backbone, SampleListener | Conformer):
            return backbone.n_params
        table = backbone.max_source_positions * backbone.d_model
        whole = (
            backbone.n_params
            if chosen == "asr"
            else backbone.encoder_params + _head_parameters(backbone, chosen)
        )
        return whole - table  # fmt: skip
    d, f = backbone.d_model, backbone.ffn_dim
    key_bias = d if isinstance(backbone, Wav2Vec2) else 0  # Whisper's key has no bias
    layer = 4 * d * d + 3 * d + key_bias + 2 * d * f + f + d + 4 * d
    if isinstance(backbone, SampleListener | Conformer):
        layer = backbone.encoder_layer_params
    head = _head_parameters(backbone, chosen) if treatment.head else 0
    return lora_parameters(backbone, adaptation, task) + treatment.top_k * layer + head
