"""What a family of its own file tells the costs: an encoder-decoder that hears samples, by its dimensions.

The costs know one form of it: convolutions without padding, transformer layers with norms before them, and a
decoder whose layers attend to themselves and to the encoder. Where a family differs, it says so in a property.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleListener(ABC):
    """Dimensions of an encoder-decoder on the waveform.

    A family's own class adds its family's name and its counts of parameters. Heads are as many as divide the
    width, in encoder and decoder alike.
    """

    name: str
    d_model: int
    encoder_layers: int
    decoder_layers: int
    n_heads: int
    ffn_dim: int
    vocab_size: int
    max_target_positions: int
    hub_id: str | None = None
    family: str = ""
    task: str = "asr"

    @property
    @abstractmethod
    def conv_kernel(self) -> tuple[int, ...]:
        """Kernels of the front end's convolutions, in order."""

    @property
    @abstractmethod
    def conv_stride(self) -> tuple[int, ...]:
        """Their strides; `stem` widens the last one."""

    @property
    @abstractmethod
    def conv_dim(self) -> tuple[int, ...]:
        """Their output channels, the last one the width."""

    @property
    @abstractmethod
    def attention_width(self) -> int:
        """Width of both attention products over all heads, padding of heads included."""

    @property
    @abstractmethod
    def decoder_gated(self) -> bool:
        """Whether the decoder's feed-forward has a gate: its first projection is twice as wide."""

    @property
    @abstractmethod
    def n_prompt_tokens(self) -> int:
        """Decoder tokens that are given."""

    @property
    @abstractmethod
    def encoder_layer_params(self) -> int:
        """Parameters of one encoder layer."""

    @property
    @abstractmethod
    def encoder_params(self) -> int:
        """Parameters of the encoder."""

    @property
    @abstractmethod
    def decoder_params(self) -> int:
        """Parameters of the decoder; the output projection is tied to the embedding."""

    @property
    def n_params(self) -> int:
        """All parameters, as transformers counts them (x_N)."""
        return self.encoder_params + self.decoder_params

    @property
    @abstractmethod
    def max_audio_seconds(self) -> float:
        """Longest x_T in seconds."""

    @property
    def tokens_per_second(self) -> float:
        """Encoder tokens a second without a reduction, of long windows."""
        samples = 1
        for stride in self.conv_stride:
            samples *= stride
        return 16_000 / samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A family as the catalogue knows it.

    Attributes:
        name: `family` of its backbones, and its module's name in `runner.models`.
        shape: the class of its backbones.
        model_types: `model_type`s of transformers that are of the family.
        built_in: its backbones by name.
        read: a backbone's fields from a `config.json`; it raises KeyError for a key that is missing and
            InputError for what is not counted.
    """

    name: str
    shape: type[SampleListener]
    model_types: tuple[str, ...]
    built_in: tuple[SampleListener, ...]
    read: Callable[[str, Mapping[str, Any]], dict[str, Any]]
