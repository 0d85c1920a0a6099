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

from planner.costs.flops.forward import forward_parts, prompt_tokens
from planner.costs.flops.lengths import (
    MEL_FRAMES_PER_SECOND,
    Count,
    Ints,
    encoder_positions,
    encoder_tokens,
    mel_frames,
)
from planner.words.catalogue import Backbone, Whisper
from planner.words.records import Reduction

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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Alike:
    """Windows that differ in their seconds and output tokens alone: what is counted at once.

    Attributes:
        at: their places in the list that they were taken from, shape (m,).
        audio_seconds: shape (m,).
        n_output_tokens: shape (m,), all positive; or 0 for all.
    """

    backbone: Backbone
    reduction: Reduction
    at: Ints
    audio_seconds: Floats
    n_output_tokens: Count
    padding: str = "dynamic"
    batch_size: int = 1


def alike(windows: Sequence[Window]) -> tuple[Alike, ...]:
    """The windows in groups that are counted at once."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for i, w in enumerate(windows):
        key = (w.backbone, w.reduction, w.padding, w.batch_size, w.n_output_tokens == 0)
        groups.setdefault(key, []).append(i)
    out = []
    for places in groups.values():
        first = windows[places[0]]
        tokens = np.array([windows[i].n_output_tokens for i in places], dtype=np.int64)
        out.append(
            Alike(
                backbone=first.backbone, reduction=first.reduction, at=np.array(places),
                audio_seconds=np.array([windows[i].audio_seconds for i in places], dtype=np.float64),
                n_output_tokens=tokens if first.n_output_tokens else 0,
                padding=first.padding, batch_size=first.batch_size,
            )
        )  # fmt: skip
    return tuple(out)


def regressors(windows: Sequence[Window]) -> Floats:
    """Quantities, shape (m, len(COLUMNS)), columns in the order of COLUMNS."""
    return quantities(alike(windows))


def quantities(groups: Sequence[Alike]) -> Floats:
    """As `regressors`, of windows in groups."""
    x = np.empty((sum(len(g.at) for g in groups), len(COLUMNS)))
    for g in groups:
        for i, column in enumerate([*_features(g), *_encoder(g), *_decode(g)]):
            x[g.at, i] = column
    return x


def _features(w: Alike) -> Sequence[Count | Floats | float]:
    if isinstance(w.backbone, Whisper):
        frames = mel_frames(w.backbone, w.audio_seconds, w.reduction, w.padding)
        return [1.0, w.batch_size * frames]
    return [1.0, w.batch_size * MEL_FRAMES_PER_SECOND * w.audio_seconds]


def _encoder(w: Alike) -> Sequence[Count | Floats | float]:
    shape, x_v = w.backbone, w.reduction
    parts = forward_parts(
        shape, audio_seconds=w.audio_seconds, reduction=x_v, padding=w.padding, task="emotion"
    )
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


def _decode(w: Alike) -> Sequence[Count | Floats | float]:
    shape, n = w.backbone, w.n_output_tokens
    if not isinstance(shape, Whisper) or (isinstance(n, int) and n == 0):
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
