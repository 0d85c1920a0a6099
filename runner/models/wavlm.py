"""WavLM's attention through its own projections, so that adapters and reductions reach it.

transformers hands the projections' weights to torch's fused attention and never calls the layers: a LoRA
on them would change nothing, silently. It also computes the position bias once for the first layer's
tokens, which no longer fits after tokens were reduced between two layers. The numbers are the same
(tests/models compare).
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn


def call_projections(layers: Sequence[Any], attention: str) -> None:
    """Replace the attention of each encoder layer, in place.

    Args:
        layers: WavLM encoder layers.
        attention: `sdpa`, or `eager`, whose products a FLOP counter sees.
    """
    for layer in layers:
        layer.attention.attention_kind = attention
        layer.attention.forward = MethodType(_attend, layer.attention)


def _attend(
    self: Any,
    hidden_states: Tensor,
    attention_mask: Tensor | None = None,
    position_bias: Tensor | None = None,
    index: int = 0,
    **_: Any,
) -> tuple[Tensor, None, Tensor]:
    """Self-attention with a gated bias by distance; windows are whole, so there is no mask."""
    batch, length, width = hidden_states.shape
    bias = _bias_for(self, position_bias, length)
    heads = _split(hidden_states, self.num_heads)
    gates = self.gru_rel_pos_linear(heads).view(batch, self.num_heads, length, 2, 4).sum(-1)
    first, second = torch.sigmoid(gates).chunk(2, dim=-1)
    gated = (first * (second * self.gru_rel_pos_const - 1.0) + 2.0) * bias
    query, key, value = (
        _split(projection(hidden_states), self.num_heads)
        for projection in (self.q_proj, self.k_proj, self.v_proj)
    )
    if self.attention_kind == "eager":
        scores = query @ key.transpose(-1, -2) * self.scaling + gated
        mixed = scores.softmax(dim=-1) @ value
    else:
        mixed = nn.functional.scaled_dot_product_attention(
            query, key, value, attn_mask=gated.to(query.dtype)
        )
    joined = mixed.transpose(1, 2).reshape(batch, length, width)
    return self.out_proj(joined), None, bias


def _bias_for(attention: Any, bias: Tensor | None, length: int) -> Tensor:
    """The first layer's bias, shape (1, heads, T, T); thinned where tokens were reduced since.

    Kept tokens are taken as evenly spaced, which holds for strides and means.
    """
    if bias is None:
        fresh: Tensor = attention.compute_bias(length, length)
        return fresh.unsqueeze(0)
    step = -(-bias.shape[-1] // length)
    return bias[..., ::step, ::step]


def _split(states: Tensor, n_heads: int) -> Tensor:
    """(batch, T, width) to (batch, heads, T, width of a head)."""
    batch, length, width = states.shape
    return states.view(batch, length, n_heads, width // n_heads).transpose(1, 2)
