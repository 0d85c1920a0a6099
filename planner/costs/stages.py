"""What a window's latency is made of: the columns of the stage model, from dimensions alone.

A latency is a sum of three stages, each a sum of quantities times a cost that is 0 or more:

    features  launch, frames                       log-mel features or normalisation
    encoder   launch, flops, attention, layers,    stem and layers: products, both attention products,
              elements, weights                    launches, element-wise traffic, weights read once
    decode    launch, steps, layer_steps, prefill, the token loop: launches, products of the prefill and
              weights, vocabulary, cache           of the cross-attention keys, values read each step

Counts are of values and FLOPs, not of bytes: a model is fitted for one element type. With a batch of b,
launches and weights are shared, everything else is b times as much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.catalogue import Backbone, Whisper
from planner.costs.flops import forward_flops, prompt_tokens
from planner.costs.tokens import (
    MEL_FRAMES_PER_SECOND,
    encoder_positions,
    encoder_tokens,
    mel_frames,
)
from planner.records import Reduction

Floats = NDArray[np.float64]

GROUPS: dict[str, tuple[str, ...]] = {
    "features": ("launch", "frames"),
    "encoder": ("launch", "flops", "attention", "layers", "elements", "weights"),
    "decode": ("launch", "steps", "layer_steps", "prefill", "weights", "vocabulary", "cache"),
}
"""Stages in the order that they run, and their columns."""
COLUMNS = tuple(f"{group}.{name}" for group, names in GROUPS.items() for name in names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One window of audio on one backbone (or a batch of such): what a latency is predicted for."""

    backbone: Backbone
    audio_seconds: float
    reduction: Reduction
    n_output_tokens: int
    padding: str = "dynamic"
    batch_size: int = 1


def columns_of(group: str) -> list[int]:
    """Indices into `COLUMNS` of a stage's quantities."""
    return [i for i, name in enumerate(COLUMNS) if name.startswith(group + ".")]


def regressors(windows: Sequence[Window]) -> Floats:
    """Quantities, shape (m, len(COLUMNS)), columns in the order of COLUMNS."""
    rows = [[*_features(w), *_encoder(w), *_decode(w)] for w in windows]
    return np.array(rows, dtype=np.float64).reshape(-1, len(COLUMNS))


def _features(w: Window) -> list[float]:
    if isinstance(w.backbone, Whisper):
        return [
            1.0,
            float(w.batch_size * mel_frames(w.backbone, w.audio_seconds, w.reduction, w.padding)),
        ]
    return [1.0, w.batch_size * MEL_FRAMES_PER_SECOND * w.audio_seconds]


def _encoder(w: Window) -> list[float]:
    shape, x_v = w.backbone, w.reduction
    parts = forward_flops(
        shape, audio_seconds=w.audio_seconds, reduction=x_v, padding=w.padding, task="emotion"
    ).parts
    before = encoder_positions(shape, w.audio_seconds, x_v, w.padding)
    after = encoder_tokens(shape, w.audio_seconds, x_v, w.padding)
    n_before = x_v.layer or shape.encoder_layers
    n_after = shape.encoder_layers - n_before
    d, f = shape.d_model, shape.ffn_dim
    attention = 4 * d * (n_before * before**2 + n_after * after**2)
    tokens = n_before * before + n_after * after
    # Residuals, norms, query, key, value, result, and both sides of the non-linearity.
    elements = tokens * (8 * d + 2 * f)
    weights = shape.encoder_layers * (4 * d * d + 2 * d * f)
    products = parts["stem"] + parts["encoder"] - attention
    b = w.batch_size
    return [1.0, b * products, b * attention, shape.encoder_layers, b * elements, weights]


def _decode(w: Window) -> list[float]:
    shape, n = w.backbone, w.n_output_tokens
    if not isinstance(shape, Whisper) or n == 0:
        # A classification head, or nothing: launches alone.
        return [1.0] + [0.0] * (len(GROUPS["decode"]) - 1)
    source = encoder_tokens(shape, w.audio_seconds, w.reduction, w.padding)
    prompt, layers, d, f = prompt_tokens(shape), shape.decoder_layers, shape.d_model, shape.ffn_dim
    weights = layers * (6 * d * d + 2 * d * f)  # without cross-attention keys and values
    # Each step reads the keys and values of both attentions; its own grow from prompt to prompt + n.
    cache = 2 * layers * d * (n * source + n * prompt + n * (n - 1) // 2)
    prefill = 4 * layers * source * d * d + 2 * (prompt - 1) * weights
    b = w.batch_size
    return [1.0, n, n * layers, b * prefill, n * weights, n * shape.vocab_size * d, b * cache]
