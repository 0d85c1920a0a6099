"""Whisper as two plain graphs: the encoder up to the cross keys and values, and one decoder step.

Cache objects do not pass `torch.onnx.export`, and transformers' masks make graphs that engines run
slowly, so the forward is written out here on the module's own weights (tests compare tokens with the
module's). Queries, keys and values are one product; keys are kept transposed, so that no step transposes
them; the caller writes the cache, so that no step copies it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from planner.words.records import Reduction
from runner.models.reduction import reduce_tokens


def _product(weight: Tensor, bias: Tensor | None) -> tuple[nn.Parameter, nn.Parameter | None]:
    # Transposed here: exporters then store a constant right-hand side, which quantisers look for.
    kept = nn.Parameter(weight.detach().t().contiguous(), requires_grad=False)
    return kept, None if bias is None else nn.Parameter(bias.detach().clone(), requires_grad=False)


class Product(nn.Module):
    """x @ weight + bias, weight of shape (inputs, outputs)."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight, self.bias = _product(weight, bias)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (…, inputs) to (…, outputs)."""
        out = x @ self.weight
        return out if self.bias is None else out + self.bias


def _stacked(*linears: Any) -> Product:
    """Several linear layers of the same input as one product; a missing bias counts as zeros."""
    biases = [
        torch.zeros(one.weight.shape[0], dtype=one.weight.dtype) if one.bias is None else one.bias
        for one in linears
    ]
    return Product(torch.cat([one.weight for one in linears]), torch.cat(biases))


def _plain(linear: Any) -> Product:
    return Product(linear.weight, linear.bias)


def _split_heads(x: Tensor, n_heads: int) -> Tensor:
    """(B, T, D) to (B, H, T, D / H)."""
    batch, length, width = x.shape
    return x.reshape(batch, length, n_heads, width // n_heads).transpose(1, 2)


def _join_heads(x: Tensor) -> Tensor:
    """(B, H, T, D / H) to (B, T, D)."""
    batch, heads, length, width = x.shape
    return x.transpose(1, 2).reshape(batch, length, heads * width)


class _LayerGraph(nn.Module):
    """What encoder and decoder layers share: norms, the stacked projections, the feed-forward part."""

    def __init__(self, layer: Any, n_heads: int) -> None:
        super().__init__()
        own = layer.self_attn
        self.n_heads, self.scale = n_heads, own.scaling
        self.before, self.stacked = (
            layer.self_attn_layer_norm,
            _stacked(own.q_proj, own.k_proj, own.v_proj),
        )
        self.out = _plain(own.out_proj)
        self.before_wide, self.wide, self.narrow = (
            layer.final_layer_norm,
            _plain(layer.fc1),
            _plain(layer.fc2),
        )

    def heads(self, x: Tensor) -> list[Tensor]:
        """Queries, keys and values of normalised states, each (B, H, T, D / H)."""
        return [
            _split_heads(part, self.n_heads) for part in self.stacked(self.before(x)).chunk(3, -1)
        ]

    def feed_forward(self, x: Tensor) -> Tensor:
        """The layer's second half with its residual."""
        out: Tensor = x + self.narrow(nn.functional.gelu(self.wide(self.before_wide(x))))
        return out


class _EncoderLayer(_LayerGraph):
    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.heads(x)
        weights = ((query * self.scale) @ key.transpose(2, 3)).softmax(-1)
        return self.feed_forward(x + self.out(_join_heads(weights @ value)))


class Encoder(nn.Module):
    """Features to encoder states after all reductions, (B, mel, frames) to (B, T, D)."""

    def __init__(self, encoder: Any, reduction: Reduction) -> None:
        super().__init__()
        self.conv1, self.conv2 = encoder.conv1, encoder.conv2
        self.positions = nn.Parameter(encoder.embed_positions.weight.detach(), requires_grad=False)
        heads = encoder.config.encoder_attention_heads
        self.layers = nn.ModuleList(_EncoderLayer(layer, heads) for layer in encoder.layers)
        self.norm, self.reduction = encoder.layer_norm, reduction

    def forward(self, features: Tensor) -> Tensor:
        """Stem, positions, layers and reductions."""
        gelu, cut = nn.functional.gelu, self.reduction
        x = gelu(self.conv2(gelu(self.conv1(features)))).transpose(1, 2)
        x = x + self.positions
        for number, layer in enumerate(self.layers, 1):
            x = layer(x)
            if cut.place == "layer" and cut.layer == number:
                x = reduce_tokens(x, cut.operator, cut.factor)
        x = self.norm(x)
        return reduce_tokens(x, cut.operator, cut.factor) if cut.place == "output" else x


class CrossEncoder(nn.Module):
    """Features to each decoder layer's cross keys (B, H, D / H, T), then each one's values (B, H, T, D / H)."""

    def __init__(self, module: Any, reduction: Reduction) -> None:
        super().__init__()
        decoder = module.model.decoder
        self.encoder = Encoder(module.model.encoder, reduction)
        cross = [layer.encoder_attn for layer in decoder.layers]
        self.keys = nn.ModuleList(_plain(one.k_proj) for one in cross)
        self.values = nn.ModuleList(_plain(one.v_proj) for one in cross)
        self.n_heads = decoder.config.decoder_attention_heads

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        """Encoder, then the layers' projections."""
        states = self.encoder(features)
        keys = [_split_heads(one(states), self.n_heads).transpose(2, 3) for one in self.keys]
        values = [_split_heads(one(states), self.n_heads) for one in self.values]
        return (*keys, *values)


class _DecoderLayer(_LayerGraph):
    def __init__(self, layer: Any, n_heads: int) -> None:
        super().__init__(layer, n_heads)
        self.before_cross = layer.encoder_attn_layer_norm
        self.query, self.cross_out = (
            _plain(layer.encoder_attn.q_proj),
            _plain(layer.encoder_attn.out_proj),
        )

    def forward(
        self,
        x: Tensor,
        mask: Tensor,
        past_key: Tensor,
        past_value: Tensor,
        key: Tensor,
        value: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        query, new_key, new_value = self.heads(x)
        new_key, query = new_key.transpose(2, 3), query * self.scale
        scores = torch.cat([query @ past_key, query @ new_key], -1) + mask
        weights, n_past = scores.softmax(-1), past_key.shape[-1]
        heard = weights[..., :n_past] @ past_value + weights[..., n_past:] @ new_value
        x = x + self.out(_join_heads(heard))
        query = _split_heads(self.query(self.before_cross(x)), self.n_heads) * self.scale
        x = x + self.cross_out(_join_heads((query @ key).softmax(-1) @ value))
        return self.feed_forward(x), new_key, new_value


class Step(nn.Module):
    """The decoder over some new ids: the last one's states, and what each layer's cache gains.

    Shapes: tokens (B, n), positions (n,), mask (n, S + n) added to the attention scores; of each layer past keys
    (B, H, D / H, S), past values (B, H, S, D / H), and cross keys and values as `CrossEncoder` gives them. Layers
    are inputs of their own: taken out of one array, an engine copies the whole array in every step. Returns
    the last id's states (B, D), which the vocabulary is projected from (`runner.engines.writing.vocabulary` adds that),
    then each layer's new keys (B, H, D / H, n), then its new values.
    """

    def __init__(self, module: Any) -> None:
        super().__init__()
        decoder = module.model.decoder
        heads = decoder.config.decoder_attention_heads
        self.layers = nn.ModuleList(_DecoderLayer(layer, heads) for layer in decoder.layers)
        self.norm = decoder.layer_norm
        # One matrix (V, D) for look-up and projection, as it is tied in Whisper.
        self.vocabulary = nn.Parameter(decoder.embed_tokens.weight.detach(), requires_grad=False)
        self.positions = nn.Parameter(decoder.embed_positions.weight.detach(), requires_grad=False)

    def forward(
        self, tokens: Tensor, positions: Tensor, mask: Tensor, past_keys: list[Tensor],
        past_values: list[Tensor], keys: list[Tensor], values: list[Tensor],
    ) -> tuple[Tensor, ...]:  # fmt: skip
        """One pass over the new ids."""
        looked_up = self.vocabulary.index_select(0, tokens.reshape(-1))
        batch, length = tokens.shape
        x = looked_up.reshape(batch, length, -1) + self.positions.index_select(0, positions)
        new_keys, new_values = [], []
        every = zip(self.layers, past_keys, past_values, keys, values, strict=True)
        for layer, past_key, past_value, key, value in every:
            x, new_key, new_value = layer(x, mask, past_key, past_value, key, value)
            new_keys.append(new_key)
            new_values.append(new_value)
        return (self.norm(x[:, -1]), *new_keys, *new_values)


class Classified(nn.Module):
    """Encoder input to the scores of the classes before the softmax, (B, …) to (B, labels)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.module, self._model = model.module, model

    def forward(self, features: Tensor) -> Tensor:
        """Encoder and head."""
        scores: Tensor = self._model.logits(self._model.encode(features))
        return scores
