"""w2v-BERT 2.0 with a CTC head, as transformers' Wav2Vec2BertForCTC has it (Seamless, arXiv 2312.05187).

Kaldi's mel features every 10 ms, two frames stacked to one: 50 tokens a second without a convolution. Attention
looks its relative keys up in a table of distances; the convolution module is causal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from planner.errors import InputError
from planner.words.families.base import (
    Conformer,
    Family,
    StemConvolution,
    Whole,
    require_heads,
    require_plain,
    whole_sizes,
)

WINDOW, HOP, STACKED = 400, 160, 2
"""Samples of a frame, samples between frames, frames of a token (SeamlessM4TFeatureExtractor)."""

SIZES = (
    "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "feature_projection_input_dim",
    "conv_depthwise_kernel_size", "left_max_position_embeddings", "right_max_position_embeddings",
)  # fmt: skip

PLAIN = {
    "add_adapter": False,
    "position_embeddings_type": "relative_key",
    "use_intermediate_ffn_before_adapter": False,
}
"""Keys that change the model, and their values in what is counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class W2vBert(Conformer):
    """Dimensions of a w2v-BERT 2.0; `left` and `right` are the farthest distances with a key of their own."""

    depthwise_kernel: int = 31
    left: int = 64
    right: int = 8
    family: str = "w2v_bert"

    @property
    def stem(self) -> tuple[StemConvolution, ...]:
        """None: stacked features are projected as they are."""
        return ()

    @property
    def projection_width(self) -> int:
        """Bands of the stacked frames."""
        return STACKED * self.n_mels

    @property
    def stem_strides(self) -> bool:
        """Stacked frames are reduced by any operator before the projection."""
        return False

    @property
    def projects_positions(self) -> bool:
        """Keys of distances stand in a table."""
        return False

    def lengths(self, n_samples: Whole) -> tuple[Whole, ...]:
        """Frames of the features, and stacked (an odd one out is stacked with silence).

        >>> W2V_BERT.lengths(160_000)
        (998, 499)
        """
        frames = (n_samples - WINDOW) // HOP + 1
        return (frames, -(-frames // STACKED))

    @property
    def shortest_samples(self) -> int:
        """Two frames, which have a variance and fill a token."""
        return WINDOW + HOP

    @property
    def encoder_layer_params(self) -> int:
        """Two feed-forwards, attention with its table, the convolution module without biases, six norms."""
        d, f = self.d_model, self.ffn_dim
        attention = 4 * (d * d + d) + (self.left + self.right + 1) * (d // self.n_heads)
        module = 3 * d * d + self.depthwise_kernel * d
        return 2 * (2 * d * f + f + d) + attention + module + 6 * 2 * d

    @property
    def encoder_params(self) -> int:
        """Projection with its norm, the embedding of masked frames, and the layers."""
        n_in, d = self.projection_width, self.d_model
        return 2 * n_in + (n_in + 1) * d + d + self.encoder_layers * self.encoder_layer_params


def read(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a w2v-BERT by its `config.json`; a checkpoint without a head has the 32 characters of English.

    Raises:
        InputError: a size cannot be, or something that changes the counts is not counted.
        KeyError: a size is missing.
    """
    sizes = whole_sizes(name, config, SIZES)
    vocabulary = 32
    if config.get("vocab_size") is not None:
        vocabulary = whole_sizes(name, config, ("vocab_size",))["vocab_size"]
    require_heads(name, sizes["hidden_size"], sizes["num_attention_heads"])
    require_plain(name, config, PLAIN)
    if (
        sizes["feature_projection_input_dim"] % STACKED
        or not sizes["conv_depthwise_kernel_size"] % 2
    ):
        raise InputError(
            f"config of {name!r}: feature_projection_input_dim must be even and conv_depthwise_kernel_size odd, got "
            f"{sizes['feature_projection_input_dim']} and {sizes['conv_depthwise_kernel_size']}"
        )
    return {
        "d_model": sizes["hidden_size"], "encoder_layers": sizes["num_hidden_layers"],
        "n_heads": sizes["num_attention_heads"], "ffn_dim": sizes["intermediate_size"], "vocab_size": vocabulary,
        "n_mels": sizes["feature_projection_input_dim"] // STACKED,
        "depthwise_kernel": sizes["conv_depthwise_kernel_size"],
        "left": sizes["left_max_position_embeddings"], "right": sizes["right_max_position_embeddings"],
    }  # fmt: skip


W2V_BERT = W2vBert(
    name="w2v-bert-2.0", d_model=1024, encoder_layers=24, n_heads=16, ffn_dim=4096, vocab_size=32,
    hub_id="facebook/w2v-bert-2.0",
)  # fmt: skip

FAMILY = Family(
    name="w2v_bert",
    shape=W2vBert,
    model_types=("wav2vec2-bert",),
    built_in=(
        W2V_BERT,
        # Test-sized; no weights exist for it anywhere: initialisation = "random".
        W2vBert(
            name="w2v-bert-micro", d_model=64, encoder_layers=2, n_heads=2, ffn_dim=128, vocab_size=32,
            n_mels=16, depthwise_kernel=7,
        ),
    ),
    read=read,
)  # fmt: skip
