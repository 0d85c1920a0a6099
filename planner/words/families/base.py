"""What a family of its own file tells the costs, by its dimensions.

The costs know two forms. An encoder-decoder that hears samples: convolutions without padding, transformer layers
with norms before them, and a decoder whose layers attend to themselves and to the encoder. And a conformer that
writes by CTC: a front end on mel features, and layers of two feed-forwards, attention with relative positions and
a convolution module. Where a family differs, it says so in a property.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from planner.errors import InputError
from planner.words.config_checks import LARGEST_SIZE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Whole = TypeVar("Whole", int, "NDArray[np.int64]")
"""A count, or one of each window."""


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
class StemConvolution:
    """A convolution of a conformer's front end, for each frame that leaves it.

    Attributes:
        n_outputs: numbers that leave it a frame, over all bands and channels.
        products: multiply-adds of each of them.
        at: place of its frames among the front end's lengths (`Conformer.lengths`).
    """

    n_outputs: int
    products: int
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Conformer(ABC):
    """Dimensions of a conformer on mel features that writes by CTC (arXiv 2005.08100).

    Each layer: feed-forward, attention with relative positions, convolution module, feed-forward.
    """

    name: str
    d_model: int
    encoder_layers: int
    n_heads: int
    ffn_dim: int
    vocab_size: int
    n_mels: int = 80
    depthwise_kernel: int
    hub_id: str | None = None
    family: str = ""
    task: str = "asr"

    @property
    @abstractmethod
    def stem(self) -> tuple[StemConvolution, ...]:
        """Convolutions of the front end, in order; none where the features are projected as they are."""

    @property
    @abstractmethod
    def projection_width(self) -> int:
        """Width of what is projected to the layers' width, behind the convolutions."""

    @property
    @abstractmethod
    def stem_strides(self) -> bool:
        """Whether `stem` widens a stride of the front end, which takes no other operator, or reduces its frames."""

    @property
    @abstractmethod
    def projects_positions(self) -> bool:
        """Whether attention projects all 2 T - 1 distances in each layer, or looks its keys up in a table."""

    @abstractmethod
    def lengths(self, n_samples: Whole) -> tuple[Whole, ...]:
        """Frames of the features and behind each step of the front end, the last one the tokens."""

    @property
    @abstractmethod
    def shortest_samples(self) -> int:
        """Fewest samples that give features of finite numbers and a token."""

    @property
    @abstractmethod
    def encoder_layer_params(self) -> int:
        """Parameters of one layer."""

    @property
    @abstractmethod
    def encoder_params(self) -> int:
        """Parameters of the encoder."""

    @property
    def head_params(self) -> int:
        """Parameters of the projection to the vocabulary."""
        return self.d_model * self.vocab_size + self.vocab_size

    @property
    def n_params(self) -> int:
        """All parameters, as transformers counts them (x_N); running statistics of norms are none."""
        return self.encoder_params + self.head_params

    @property
    def max_audio_seconds(self) -> float:
        """Longest x_T in seconds: 60 (assumption: attention memory, not the model, is the bound)."""
        return 60.0


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
    shape: type[SampleListener] | type[Conformer]
    model_types: tuple[str, ...]
    built_in: tuple[SampleListener | Conformer, ...]
    read: Callable[[str, Mapping[str, Any]], dict[str, Any]]


def whole_sizes(name: str, config: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, int]:
    """Sizes of a `config.json`.

    Raises:
        InputError: one is no positive whole number.
        KeyError: one is missing.
    """
    sizes = {key: config[key] for key in keys}
    for key, value in sizes.items():
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < LARGEST_SIZE:
            raise InputError(
                f"config of {name!r}: {key} must be a positive whole number, got {value!r}; correct config.json"
            )
    return sizes


def require_plain(name: str, config: Mapping[str, Any], plain: Mapping[str, Any]) -> None:
    """Refuse keys that change the model in a way that is not counted.

    Raises:
        InputError: a key has another value than the plain one.
    """
    for key, value in plain.items():
        if config.get(key, value) != value:
            raise InputError(
                f"config of {name!r}: {key} = {config[key]!r} changes the model in a way that is not counted; "
                f"supported is {value!r}"
            )


def require_heads(name: str, width: int, heads: int) -> None:
    """Refuse heads that do not divide the width.

    Raises:
        InputError: they do not.
    """
    if width % heads:
        raise InputError(f"config of {name!r}: width {width} is no multiple of its {heads} heads")
