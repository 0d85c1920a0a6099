"""Moonshine: an encoder-decoder whose length follows the audio (arXiv 2410.15608), as transformers has it.

Three convolutions on 16 kHz samples give 41.7 tokens a second; positions are rotary, so that any length is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from planner.errors import InputError
from planner.words.families.base import (
    Family,
    SampleListener,
    require_heads,
    require_plain,
    whole_sizes,
)

KERNELS, STRIDES = (127, 7, 3), (64, 3, 2)
"""Of the three convolutions (transformers' MoonshineEncoder)."""

LONGEST_SECONDS = 60.0
"""Longest x_T accepted (s; assumption: attention memory, not the model, is the bound)."""

SIZES = (
    "hidden_size", "intermediate_size", "encoder_num_hidden_layers", "decoder_num_hidden_layers",
    "encoder_num_attention_heads", "decoder_num_attention_heads", "vocab_size", "max_position_embeddings",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Moonshine(SampleListener):
    """Dimensions of a Moonshine; `head_multiple`: heads are padded to a multiple of it in attention's products."""

    head_multiple: int = 1
    family: str = "moonshine"

    @property
    def conv_kernel(self) -> tuple[int, ...]:
        """127, 7 and 3 samples or frames."""
        return KERNELS

    @property
    def conv_stride(self) -> tuple[int, ...]:
        """64, 3 and 2."""
        return STRIDES

    @property
    def conv_dim(self) -> tuple[int, ...]:
        """The width, twice it, and the width."""
        return (self.d_model, 2 * self.d_model, self.d_model)

    @property
    def attention_width(self) -> int:
        """Heads of the padded width, side by side."""
        head = self.d_model // self.n_heads
        return self.n_heads * self.head_multiple * -(-head // self.head_multiple)

    @property
    def decoder_gated(self) -> bool:
        """SwiGLU in the decoder, GELU in the encoder."""
        return True

    @property
    def n_prompt_tokens(self) -> int:
        """The start token alone."""
        return 1

    @property
    def encoder_layer_params(self) -> int:
        """Four projections without bias, two with, two norms without bias."""
        d, f = self.d_model, self.ffn_dim
        return 4 * d * d + 2 * d * f + f + d + 2 * d

    @property
    def encoder_params(self) -> int:
        """Convolutions (the first without bias), group norm, layers and the last norm."""
        d = self.d_model
        stem = 127 * d + (7 * d * 2 * d + 2 * d) + (3 * 2 * d * d + d) + 2 * d
        return stem + self.encoder_layers * self.encoder_layer_params + d

    @property
    def decoder_params(self) -> int:
        """Embedding, layers with a gated feed-forward, and the last norm."""
        d, f = self.d_model, self.ffn_dim
        layer = 8 * d * d + (2 * d * f + 2 * f) + (d * f + d) + 3 * d
        return self.vocab_size * d + self.decoder_layers * layer + d

    @property
    def max_audio_seconds(self) -> float:
        """Longest x_T in seconds."""
        return LONGEST_SECONDS


def read(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a Moonshine by its `config.json`.

    Raises:
        InputError: a size is no positive whole number, or something that changes the counts is not counted.
        KeyError: a size is missing.
    """
    sizes = whole_sizes(name, config, SIZES)
    heads, width = sizes["encoder_num_attention_heads"], sizes["hidden_size"]
    alike = ("decoder_num_attention_heads", "encoder_num_key_value_heads", "decoder_num_key_value_heads")  # fmt: skip
    for key in alike:
        if config.get(key) not in (None, heads):
            raise InputError(
                f"config of {name!r}: {key} {config[key]} is not encoder_num_attention_heads {heads}, and only "
                "equal ones are counted"
            )
    require_heads(name, width, heads)
    require_plain(name, config, {"attention_bias": False, "tie_word_embeddings": True})
    return {
        "d_model": width, "ffn_dim": sizes["intermediate_size"], "n_heads": heads,
        "encoder_layers": sizes["encoder_num_hidden_layers"],
        "decoder_layers": sizes["decoder_num_hidden_layers"], "vocab_size": sizes["vocab_size"],
        "max_target_positions": sizes["max_position_embeddings"],
        "head_multiple": config.get("pad_head_dim_to_multiple_of") or 1,
    }  # fmt: skip


def _moonshine(
    name: str, d: int, layers: int, hub_id: str | None, vocabulary: int, heads: int = 8
) -> Moonshine:
    return Moonshine(
        name=name, d_model=d, encoder_layers=layers, decoder_layers=layers, n_heads=heads, ffn_dim=4 * d,
        vocab_size=vocabulary, max_target_positions=194, head_multiple=8, hub_id=hub_id,
    )  # fmt: skip


FAMILY = Family(
    name="moonshine",
    shape=Moonshine,
    model_types=("moonshine",),
    built_in=(
        _moonshine("moonshine-tiny", 288, 6, "UsefulSensors/moonshine-tiny", 32_768),
        _moonshine("moonshine-base", 416, 8, "UsefulSensors/moonshine-base", 32_768),
        # Test-sized, initialised at random; its vocabulary has room for the bytes of a ByteTokenizer.
        _moonshine("moonshine-micro", 32, 2, None, 24_320, heads=2),
    ),
    read=read,
)
