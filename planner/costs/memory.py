"""Peak memory of inference as a closed form, by part: weights, caches, activations.

Batch size 1. Attention is taken as computed without its square matrix (SDPA or flash); `eager` adds it.
Left out: the framework itself, the allocator's slack, features of the audio (below 1 MB a window).
"""

from __future__ import annotations

from dataclasses import dataclass

from planner.catalogue import Backbone, Whisper
from planner.costs.tokens import encoder_positions, encoder_tokens
from planner.errors import UnknownNameError
from planner.records import Reduction

DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes of one value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Peak bytes by part; `total` is their sum."""

    total: int
    parts: dict[str, int]


def value_bytes(dtype: str) -> int:
    """Bytes of one value of a dtype.

    Raises:
        UnknownNameError: the dtype is not supported.
    """
    if dtype not in DTYPE_BYTES:
        raise UnknownNameError("dtype", dtype, DTYPE_BYTES)
    return DTYPE_BYTES[dtype]


def inference_memory(
    backbone: Backbone,
    *,
    audio_seconds: float,
    reduction: Reduction | None = None,
    n_output_tokens: int = 0,
    n_prompt_tokens: int = 4,
    padding: str = "dynamic",
    dtype: str = "float32",
    attention: str = "sdpa",
) -> Memory:
    """Peak memory of one window, batch 1.

    weights n_params * b; cross-attention cache 2 * layers * tokens * d * b; self-attention cache
    2 * layers * (prompt + output) * d * b; activations: the widest moment of an encoder layer, its
    input, the feed-forward's hidden states before and after the activation: tokens * (2 d + 2 ffn) * b,
    or with `eager` heads * tokens^2 * 2 b where that is larger.

    Raises:
        InputError: seconds, reduction or padding are not allowed for this backbone.
        UnknownNameError: the dtype is not supported.
    """
    b = value_bytes(dtype)
    cut = reduction or Reduction()
    positions = encoder_positions(backbone, audio_seconds, cut, padding)
    d = backbone.d_model
    wide = positions * (2 * d + 2 * backbone.ffn_dim) * b
    if attention == "eager":
        wide = max(wide, positions * 4 * d * b + 2 * backbone.n_heads * positions**2 * b)
    parts = {"weights": backbone.n_params * b, "activations": wide}
    if isinstance(backbone, Whisper) and n_output_tokens > 0:
        tokens = encoder_tokens(backbone, audio_seconds, cut, padding)
        kept = n_prompt_tokens + n_output_tokens
        layers = backbone.decoder_layers
        parts["cross_attention_cache"] = 2 * layers * tokens * d * b
        parts["self_attention_cache"] = 2 * layers * kept * d * b
    return Memory(total=sum(parts.values()), parts=parts)
