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

import numpy as np

from planner.costs.flops.conformer import attention_products, layer_weights
from planner.costs.flops.forward import prompt_tokens
from planner.costs.flops.ledger import Ledger
from planner.costs.flops.lengths import (
    MEL_FRAMES_PER_SECOND,
    mel_frames_of,
    positions_of,
    tokens_of,
)
from planner.costs.flops.modules import encoder_walk, product_width
from planner.costs.windows import Floats, Ints, Placed, Windows, together
from planner.words.catalogue import Wav2Vec2, Whisper
from planner.words.families.base import Conformer, SampleListener

GROUPS: dict[str, tuple[str, ...]] = {
    "features": ("launch", "frames"),
    "encoder": ("launch", "flops", "attention", "layers", "elements", "weights"),
    "decode": ("launch", "steps", "layer_steps", "prefill", "weights", "vocabulary", "cache"),
}
"""Stages in the order that they run, and their columns."""
COLUMNS = tuple(f"{group}.{name}" for group, names in GROUPS.items() for name in names)


def columns_of(group: str) -> list[int]:
    """Indices into `COLUMNS` of a stage's quantities."""
    return [i for i, name in enumerate(COLUMNS) if name.startswith(group + ".")]


def regressors(windows: Sequence[Windows]) -> Floats:
    """Quantities, shape (m, len(COLUMNS)), columns in the order of COLUMNS; rows go through the windows."""
    return quantities(together(windows))


def quantities(groups: Sequence[Placed]) -> Floats:
    """As `regressors`, each row at its window's place."""
    x = np.empty((sum(len(at) for at, _ in groups), len(COLUMNS)))
    for at, windows in groups:
        for i, column in enumerate([*_features(windows), *_encoder(windows), *_decode(windows)]):
            x[at, i] = column
    return x


Column = Ints | Floats | float
"""Of each window, shape (m,), or the same of all."""


def _features(w: Windows) -> Sequence[Column]:
    if isinstance(w.backbone, Whisper):
        return [1.0, w.batch_size * mel_frames_of(w)]
    return [1.0, w.batch_size * MEL_FRAMES_PER_SECOND * w.audio_seconds]


def _encoder(w: Windows) -> Sequence[Column]:
    shape, x_v, ledger = w.backbone, w.reduction, Ledger(len(w))
    encoder_walk(ledger, w)
    before, after = positions_of(w), tokens_of(w)
    n_before = x_v.layer or shape.encoder_layers
    n_after = shape.encoder_layers - n_before
    d, f = shape.d_model, shape.ffn_dim
    attention = 4 * product_width(shape) * (n_before * before**2 + n_after * after**2)
    tokens = n_before * before + n_after * after
    # Residuals, norms, query, key, value, result, and both sides of the non-linearity.
    elements = tokens * (8 * d + 2 * f)
    weights = shape.encoder_layers * (4 * d * d + 2 * d * f)
    if isinstance(shape, Conformer):
        attention = n_before * attention_products(shape, before)
        attention = attention + n_after * attention_products(shape, after)
        # A second feed-forward; the convolution module's input, both halves of its gate, and its three results.
        elements = elements + tokens * (8 * d + 2 * f)
        weights = shape.encoder_layers * layer_weights(shape)
    products = ledger.forward["stem"] + ledger.forward["encoder"] - attention
    b = w.batch_size
    return [1.0, b * products, b * attention, shape.encoder_layers, b * elements, weights]


def _decode(w: Windows) -> Sequence[Column]:
    shape, n = w.backbone, w.n_output_tokens
    if isinstance(shape, Wav2Vec2 | Conformer) or not w.generates:
        # A head on an encoder, or nothing: launches, and the products of a CTC vocabulary.
        head = w.batch_size * 2 * tokens_of(w) * shape.d_model * shape.vocab_size
        products = head if w.generates else 0.0
        return [1.0, 0.0, 0.0, products] + [0.0] * (len(GROUPS["decode"]) - 4)
    source = tokens_of(w)
    prompt, layers, d, f = prompt_tokens(shape), shape.decoder_layers, shape.d_model, shape.ffn_dim
    gates = 3 if isinstance(shape, SampleListener) and shape.decoder_gated else 2
    weights = layers * (6 * d * d + gates * d * f)  # without cross-attention keys and values
    # Each step reads the keys and values of both attentions; its own grow from prompt to prompt + n.
    cache = 2 * layers * d * (n * source + n * prompt + n * (n - 1) // 2)
    prefill = 4 * layers * source * d * d + 2 * (prompt - 1) * weights
    b = w.batch_size
    return [1.0, n, n * layers, b * prefill, n * weights, n * shape.vocab_size * d, b * cache]
