"""What a window's latency is made of: the regressors of the stage model, from dimensions alone.

    overhead   1                                        launch and glue of one utterance
    frontend   mel frames or samples / 160              features and the stem
    encoder    FLOPs of stem and encoder
    layers     encoder layers                           launches that do not shrink with the tokens
    steps      output tokens x decoder layers           launches of the decode loop
    decoder    FLOPs of cross-attention, decoder, head
    traffic    bytes of decoder weights and caches read in the decode loop (4 bytes a value)

Batch size 1, key/value cache on. Each is 0 or more, and so is its cost: a latency is a sum of times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.catalogue import Backbone, Whisper
from planner.costs.flops import forward_flops
from planner.costs.tokens import MEL_FRAMES_PER_SECOND, encoder_tokens
from planner.records import Reduction

Floats = NDArray[np.float64]

STAGES = ("overhead", "frontend", "encoder", "layers", "steps", "decoder", "traffic")
BYTES_PER_VALUE = 4.0
"""float32 (bytes); another width scales the fitted rate, not the shape."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One window of audio on one backbone: what a latency is predicted for."""

    backbone: Backbone
    audio_seconds: float
    reduction: Reduction
    n_output_tokens: int


def regressors(windows: Sequence[Window]) -> Floats:
    """Stage quantities, shape (m, len(STAGES)), columns in the order of STAGES."""
    return np.array([_row(w) for w in windows], dtype=np.float64).reshape(-1, len(STAGES))


def _row(w: Window) -> list[float]:
    speech = isinstance(w.backbone, Whisper) and w.n_output_tokens > 0
    n_out = w.n_output_tokens if speech else 0
    flops = forward_flops(
        w.backbone,
        audio_seconds=w.audio_seconds,
        reduction=w.reduction,
        n_output_tokens=n_out,
        task="asr" if speech else "emotion",
    ).parts
    encoder = flops["stem"] + flops["encoder"]
    decoder = flops["cross_attention"] + flops["decoder"] + flops["head"]
    layers = w.backbone.decoder_layers if isinstance(w.backbone, Whisper) else 0
    return [
        1.0,
        MEL_FRAMES_PER_SECOND * w.audio_seconds,
        float(encoder),
        float(w.backbone.encoder_layers),
        float(n_out * layers),
        float(decoder),
        _traffic(w, n_out),
    ]


def _traffic(w: Window, n_out: int) -> float:
    """Bytes read in the decode loop: all decoder weights and the cross-attention cache each step."""
    if not isinstance(w.backbone, Whisper) or n_out == 0:
        return 0.0
    tokens = encoder_tokens(w.backbone, w.audio_seconds, w.reduction)
    cache = 2 * w.backbone.decoder_layers * tokens * w.backbone.d_model
    return BYTES_PER_VALUE * n_out * (w.backbone.decoder_params + cache)
