"""The FLOP formula of the study (arXiv 2606.22790), as its code documents it: convention `same2026/1`.

Kept to reproduce its published figures, never the default: it charges cross-attention keys and values
once per output token, half of the encoder's attention, no front end and no vocabulary, and lets the
encoder shrink with audio that its code pads back to 30 s. Against an exact count it is wrong by up to
2x, by an amount that depends on the axis.
"""

from __future__ import annotations

import numpy as np

from planner.costs.flops.ledger import PARTS
from planner.costs.flops.lengths import checked_seconds
from planner.costs.windows import Ints, Windows
from planner.errors import InputError
from planner.words.catalogue import Wav2Vec2
from planner.words.families.base import Conformer, SampleListener

CONVENTION = "same2026/1"


def parts(windows: Windows) -> dict[str, Ints]:
    """FLOPs by part, each of shape (m,), with T = int(50 s) frames, s the output stride, L output tokens.

    Whisper: encoder `n_enc (2 T d (4 d + T) + 16 T d^2)`; decoder
    `n_dec (2 (T // s) d^2 + 10 d^2) L`, whose first term is entered under cross_attention.
    wav2vec2: `2 P T` with all P parameters, entered under encoder.

    Raises:
        InputError: the study has no such reduction.
    """
    if isinstance(windows.backbone, SampleListener | Conformer):
        raise InputError(
            f"convention {CONVENTION} does not define {windows.backbone.name}; use the convention exact"
        )
    backbone, reduction = windows.backbone, windows.reduction
    frames, d = (50 * checked_seconds(windows)).astype(np.int64), backbone.d_model
    allowed = ("none",) if isinstance(backbone, Wav2Vec2) else ("none", "output")
    if reduction.place not in allowed or reduction.operator != "stride":
        raise InputError(
            f"convention {CONVENTION} does not define reduction {reduction} for {backbone.name}; "
            f"use the convention exact, or reduce by {' or '.join(allowed)}"
        )
    counted = {part: np.zeros(len(windows), dtype=np.int64) for part in PARTS}
    if isinstance(backbone, Wav2Vec2):
        return counted | {"encoder": 2 * backbone.n_params * frames}
    encoder = 2 * frames * d * (4 * d + frames) + 16 * frames * d * d
    source = 2 * (frames // reduction.factor) * d * d
    layers, tokens = backbone.decoder_layers, windows.n_output_tokens
    return counted | {
        "encoder": backbone.encoder_layers * encoder,
        "cross_attention": layers * source * tokens,
        "decoder": layers * 10 * d * d * tokens,
    }
