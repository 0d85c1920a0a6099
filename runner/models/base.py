"""What every speech model offers to training, scoring and probing, whatever its class.

A model of one's own needs a builder of this shape, named in the entry-point group
`soundscale.models` by the `family` of its catalogue backbone:

    [project.entry-points."soundscale.models"]
    my-family = "my_package.models:build"
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from planner.words.catalogue import Backbone
from planner.words.records import Decoding, Trial

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Audio = npt.NDArray[np.float32]
"""Mono samples at 16 kHz, shape (n,)."""

SAMPLE_RATE = 16_000
"""Samples per second of every waveform inside the runner (Hz)."""


BUCKET_SECONDS = 0.1
"""Windows of their own length are lengthened to a multiple of this (s), so that few shapes occur."""


def own_length(windows: Sequence[Audio], per_second: int, unit: int, full: int) -> int:
    """Last dimension of features as long as the longest window, a multiple of `unit`, at most `full`.

    >>> own_length([np.zeros(16_000, np.float32)], 100, 4, 3000)
    108
    """
    step = unit * -(-round(BUCKET_SECONDS * per_second) // unit)
    longest = max(len(window) for window in windows)
    needed = -(-longest * per_second // SAMPLE_RATE)
    return min(full, step * max(1, -(-needed // step)))


class Tokenizer(Protocol):
    """Text to ids and back, without special tokens."""

    def encode(self, text: str) -> list[int]:
        """Token ids of a text."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a model says about one window.

    Attributes:
        text: the words, or the class label.
        n_tokens: output tokens that were generated, the end token included; 1 for a class.
        log_probabilities: of the classes, in the order of the model's labels; empty for text.
        token_ids: the generated ids without the end token; empty for a class.
        fell_back: whether the window was decoded a second time; `n_tokens` counts both.
        token_log_probabilities: of each id of `token_ids` (nats), where the decoder keeps them.
        repeats_cut: whether what it repeated to its end was cut off; `n_tokens` counts that too.
    """

    text: str
    n_tokens: int
    log_probabilities: tuple[float, ...] = ()
    token_ids: tuple[int, ...] = ()
    fell_back: bool = False
    token_log_probabilities: tuple[float, ...] = ()
    repeats_cut: bool = False


class SpeechModel(Protocol):
    """A backbone with its axes applied. `loss` sums over units, so that micro-batches add up."""

    @property
    def module(self) -> nn.Module:
        """The torch module that is adapted and trained."""
        ...

    @property
    def backbone(self) -> Backbone:
        """Its dimensions."""
        ...

    @property
    def n_prompt_tokens(self) -> int:
        """Tokens that a decoder is given before its first output (1 where there is none)."""
        ...

    def features(self, windows: Sequence[Audio]) -> Tensor:
        """Input of the encoder for windows of at most x_T seconds, shape (n, …), on the model's device."""
        ...

    def targets(self, references: Sequence[str]) -> list[list[int]]:
        """What is learnt for each reference: token ids to be produced, or one class index."""
        ...

    def loss(self, features: Tensor, targets: Sequence[Sequence[int]]) -> Tensor:
        """Cross-entropy in nats, summed over all target units of the batch (scalar)."""
        ...

    def encode(self, features: Tensor) -> Tensor:
        """Encoder states after all reductions, shape (n, tokens, width)."""
        ...

    def decode(
        self,
        encoded: Tensor,
        decoding: Decoding,
        limits: Sequence[int] | None = None,
        exactly: int | None = None,
    ) -> list[Prediction]:
        """Predictions from encoder states; `limits` bounds the output tokens of each window.

        `exactly` forces that many output tokens, for latency measurements.
        """
        ...

    def encoder_layers(self) -> Sequence[tuple[str, nn.Module]]:
        """The encoder's layers with their names inside `module`, lowest first (for top-k)."""
        ...

    def head_names(self) -> tuple[str, ...]:
        """Names inside `module` of new layers that are always trained in full (a classifier)."""
        ...

    def frozen_linear_names(self) -> tuple[str, ...]:
        """Names of linear layers that LoRA's `all-linear` leaves out (the output projection)."""
        ...


@runtime_checkable
class SplitModel(SpeechModel, Protocol):
    """A model whose loss can start from encoder states, so that a frozen encoder runs once a window.

    Optional. The encoder must give a window the same states each time: no dropout in it.
    """

    @property
    def encoder_root(self) -> str:
        """Name of the encoder inside `module`."""
        ...

    def loss_from_states(self, states: Tensor, targets: Sequence[Sequence[int]]) -> Tensor:
        """What `loss` gives for the features that `encode` made these states of."""
        ...


@runtime_checkable
class VariableLength(SpeechModel, Protocol):
    """A model that can train on windows shorter than x_T (`padding = "bucketed"`). Optional.

    Scoring and latency probes take windows of x_T from `features` all the same: that is what is deployed.
    """

    @property
    def varies(self) -> bool:
        """Whether the trial asks for windows of their own length in training."""
        ...

    def own_features(self, windows: Sequence[Audio]) -> Tensor:
        """Input of the encoder, as long as the longest of these windows (`own_length`)."""
        ...

    @property
    def full_length(self) -> int:
        """Last dimension of the features at x_T."""
        ...

    @property
    def features_per_second(self) -> float:
        """Entries of the features' last dimension for a second of audio."""
        ...

    def lengthen(self, features: Tensor, length: int) -> Tensor:
        """One window's features with silence added up to `length` in the last dimension."""
        ...


@runtime_checkable
class FrameWriter(SpeechModel, Protocol):
    """A model that writes at most one token a frame (CTC), so that a text needs frames enough. Optional."""

    def frames(self, n_samples: int) -> int:
        """Encoder tokens of a training window that holds so many samples."""
        ...

    def needed_frames(self, reference: str) -> int:
        """Encoder tokens that writing a reference takes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """All that a builder needs. `state` None means random initialisation from `trial.seed`.

    `labels` are what a head names: classes, or CTC's tokens in the order of their ids. `state` holds the
    tensors under transformers' names; they are shared between trials of one process and must not be
    changed in place. `config` is the checkpoint's own.
    """

    trial: Trial
    backbone: Backbone
    device: torch.device
    state: Mapping[str, Tensor] | None = None
    tokenizer: Tokenizer | None = None
    labels: tuple[str, ...] = ()
    attention: str = "sdpa"
    config: Mapping[str, Any] = field(default_factory=dict)
