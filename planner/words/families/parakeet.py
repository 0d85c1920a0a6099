"""Parakeet with a CTC head: NVIDIA's FastConformer (arXiv 2305.05084), as transformers' ParakeetForCTC has it.

Mel features every 10 ms pass a stack of convolutions that halves their rate three times: 12.5 tokens a second.
Counts of the encoder are those of its transducer and AED siblings too (TDT, Canary), whose decoders are not counted
here. Running statistics of the batch norms are buffers, and no parameters.
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

HOP = 160
"""Samples between frames, 10 ms (ParakeetFeatureExtractor)."""

KERNEL, STRIDE = 3, 2
"""Of the convolutions that halve the rate, over frames and bands alike (transformers' default)."""

SIZES = (
    "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "conv_kernel_size",
    "subsampling_factor", "subsampling_conv_channels", "num_mel_bins",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Parakeet(Conformer):
    """Dimensions of a Parakeet.

    Attributes:
        subsampling: frames a token, a power of 2.
        subsampling_channels: channels of the front end's convolutions.
        attention_bias: whether projections and feed-forwards have biases.
        convolution_bias: whether the convolution modules have.
    """

    depthwise_kernel: int = 9
    subsampling: int = 8
    subsampling_channels: int = 256
    attention_bias: bool = True
    convolution_bias: bool = True
    family: str = "parakeet"

    @property
    def n_halvings(self) -> int:
        """Convolutions of stride 2."""
        return self.subsampling.bit_length() - 1

    @property
    def stem(self) -> tuple[StemConvolution, ...]:
        """One on a single channel, then pairs over each channel and across them."""
        c, square, bands, steps = self.subsampling_channels, KERNEL**2, self.n_mels, []
        for i in range(self.n_halvings):
            bands = (bands - 1) // STRIDE + 1
            steps.append(StemConvolution(n_outputs=bands * c, products=square, at=i + 1))
            if i:
                steps.append(StemConvolution(n_outputs=bands * c, products=c, at=i + 1))
        return tuple(steps)

    @property
    def projection_width(self) -> int:
        """Channels times the bands that are left."""
        return self.subsampling_channels * (self.n_mels // self.subsampling)

    @property
    def stem_strides(self) -> bool:
        """The last halving's stride over frames is widened."""
        return True

    @property
    def projects_positions(self) -> bool:
        """As Transformer-XL does."""
        return True

    def lengths(self, n_samples: Whole) -> tuple[Whole, ...]:
        """Frames of the features, and after each halving.

        >>> PARAKEET_06B.lengths(160_000)
        (1001, 501, 251, 126)
        """
        found = [n_samples // HOP + 1]
        for _ in range(self.n_halvings):
            found.append((found[-1] - 1) // STRIDE + 1)
        return tuple(found)

    @property
    def shortest_samples(self) -> int:
        """Two frames, which have a variance."""
        return 2 * HOP

    @property
    def encoder_layer_params(self) -> int:
        """Two feed-forwards, attention with its positions, the convolution module, six norms."""
        d, f, k = self.d_model, self.ffn_dim, self.depthwise_kernel
        linear, conv = int(self.attention_bias), int(self.convolution_bias)
        feeding = 2 * (2 * d * f + linear * (f + d))
        attention = 4 * (d * d + linear * d) + d * d + 2 * d
        module = (2 * d * d + conv * 2 * d) + (k * d + conv * d) + (d * d + conv * d) + 2 * d
        return feeding + attention + module + 10 * d

    @property
    def encoder_params(self) -> int:
        """Front end, its projection, and the layers."""
        c, square = self.subsampling_channels, KERNEL**2
        pairs = (self.n_halvings - 1) * ((square + 1) * c + (c + 1) * c)
        front = (square + 1) * c + pairs + (self.projection_width + 1) * self.d_model
        return front + self.encoder_layers * self.encoder_layer_params


def read(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a Parakeet by its `config.json`.

    Raises:
        InputError: a size cannot be, or something that changes the counts is not counted.
        KeyError: a size is missing.
    """
    encoder = config["encoder_config"]
    if not isinstance(encoder, Mapping):
        raise InputError(
            f"config of {name!r}: encoder_config must be an object; correct config.json"
        )
    sizes = whole_sizes(name, encoder, SIZES)
    vocabulary = whole_sizes(name, config, ("vocab_size",))["vocab_size"]
    require_heads(name, sizes["hidden_size"], sizes["num_attention_heads"])
    require_plain(
        name, encoder, {"subsampling_conv_kernel_size": KERNEL, "subsampling_conv_stride": STRIDE}
    )
    factor, bands = sizes["subsampling_factor"], sizes["num_mel_bins"]
    if factor < 2 or factor & (factor - 1) or bands % factor:
        raise InputError(
            f"config of {name!r}: subsampling_factor must be a power of 2 that divides num_mel_bins {bands}, "
            f"got {factor}"
        )
    if sizes["conv_kernel_size"] % 2 == 0 or sizes["hidden_size"] % 2:
        raise InputError(
            f"config of {name!r}: conv_kernel_size must be odd and hidden_size even, got "
            f"{sizes['conv_kernel_size']} and {sizes['hidden_size']}"
        )
    return {
        "d_model": sizes["hidden_size"], "encoder_layers": sizes["num_hidden_layers"],
        "n_heads": sizes["num_attention_heads"], "ffn_dim": sizes["intermediate_size"], "vocab_size": vocabulary,
        "n_mels": bands, "depthwise_kernel": sizes["conv_kernel_size"], "subsampling": factor,
        "subsampling_channels": sizes["subsampling_conv_channels"],
        "attention_bias": bool(encoder.get("attention_bias", True)),
        "convolution_bias": bool(encoder.get("convolution_bias", True)),
    }  # fmt: skip


PARAKEET_06B = Parakeet(
    name="parakeet-ctc-0.6b", d_model=1024, encoder_layers=24, n_heads=8, ffn_dim=4096, vocab_size=1025,
    hub_id="nvidia/parakeet-ctc-0.6b",
)  # fmt: skip

FAMILY = Family(
    name="parakeet",
    shape=Parakeet,
    model_types=("parakeet_ctc",),
    built_in=(
        PARAKEET_06B,
        Parakeet(
            name="parakeet-ctc-1.1b", d_model=1024, encoder_layers=42, n_heads=8, ffn_dim=4096, vocab_size=1025,
            hub_id="nvidia/parakeet-ctc-1.1b",
        ),
        # Test-sized; no weights exist for it anywhere: initialisation = "random".
        Parakeet(
            name="parakeet-micro", d_model=64, encoder_layers=2, n_heads=2, ffn_dim=128, vocab_size=32,
            n_mels=16, subsampling_channels=8,
        ),
    ),
    read=read,
)  # fmt: skip
