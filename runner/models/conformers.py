"""Conformers that write by CTC, whatever their features: what Parakeet and w2v-BERT share.

A clip that is shorter than its window ends where its mask does: features carry it as one more row, and what the
encoder makes of the rest is set to zero, so that neither the loss nor the text hears it. So a clip is read alike
alone, in company, and in a window of its own length.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from planner.costs.flops.lengths import ceil_div
from planner.words.families.base import Conformer
from planner.words.records import Reduction, Trial
from runner.models.base import SAMPLE_RATE, Audio, BuildRequest, own_length
from runner.models.characters import ENGLISH, Characters, Pieces, is_of_pieces
from runner.models.ctc import CtcRecogniser, characters_of, with_head
from runner.models.reduction import attach_to_layers
from runner.models.whisper import instantiate

FRAMES_PER_SECOND = 100
"""Mel frames of both families: a hop of 10 ms."""

UNREGULARISED = {"activation_dropout": 0.0, "attention_dropout": 0.0, "layerdrop": 0.0}
"""Assumption, as for wav2vec2: short fine-tunes are regularised by the adaptation alone. With layerdrop a step's
FLOPs would be random."""


class MaskedMel(ABC):
    """Features of windows and the mask of what they hear, shape (n, width + 1, frames): the mask is the last row."""

    def __init__(self, backbone: Conformer, trial: Trial, device: torch.device) -> None:
        self.backbone = backbone
        self.varies = trial.padding == "bucketed"
        self.n_samples = round(trial.audio_seconds * SAMPLE_RATE)
        self.full_length = self.length(self.n_samples)
        self.features_per_second = self.length(60 * SAMPLE_RATE) / 60
        self._device = device

    @abstractmethod
    def length(self, n_samples: int) -> int:
        """Feature frames of a window, as the encoder is given them."""

    @abstractmethod
    def heard(self, n_samples: int) -> int:
        """Feature frames of a window that hear the clip."""

    @abstractmethod
    def tokens(self, frames: Any) -> Any:
        """Encoder tokens without a reduction that so many heard frames give."""

    @abstractmethod
    def extract(self, windows: Sequence[Audio], n_samples: int) -> tuple[Tensor, Tensor]:
        """Features (n, frames, width) and mask (n, frames) of windows, lengthened to n_samples."""

    def features(self, windows: Sequence[Audio]) -> Tensor:
        """Windows at x_T."""
        return self._of(windows, self.n_samples)

    def own_features(self, windows: Sequence[Audio]) -> Tensor:
        """Windows as long as the longest of them."""
        return self._of(windows, own_length(windows, SAMPLE_RATE, 1, self.n_samples))

    def _of(self, windows: Sequence[Audio], n_samples: int) -> Tensor:
        least = self.backbone.shortest_samples  # what is shorter has no variance
        cut = [_at_least(w[:n_samples], least) for w in windows]
        found, mask = self.extract(cut, max(n_samples, least))
        rows = torch.cat([found, mask.to(found.dtype)[..., None]], dim=-1)
        return rows.transpose(1, 2).contiguous().to(self._device)

    def lengthen(self, features: Tensor, length: int) -> Tensor:
        """Frames of zeros behind the last one, which the mask says are not heard."""
        return nn.functional.pad(features, (0, length - features.shape[-1]))


def _at_least(window: Audio, n_samples: int) -> Audio:
    return np.pad(window, (0, max(0, n_samples - len(window))))


class ConformerRecogniser(CtcRecogniser):
    """A conformer with a CTC head at the trial's x_T and x_V."""

    def __init__(
        self,
        module: nn.Module,
        backbone: Conformer,
        vocabulary: Characters | Pieces,
        request: BuildRequest,
        mel: MaskedMel,
        encoder_name: str,
    ) -> None:
        labels, device = request.labels or ENGLISH, request.device
        super().__init__(
            module, backbone, labels, vocabulary, request.trial, mel, device, encoder_name
        )
        self._mel = mel

    def frames(self, n_samples: int) -> int:
        """Encoder tokens that hear a training window of so many samples."""
        n = min(max(n_samples, self._mel.backbone.shortest_samples), self._mel.n_samples)
        return ceil_div(int(self._mel.tokens(self._mel.heard(n))), self._trial.reduction.factor)

    def encode(self, features: Tensor) -> Tensor:
        """Encoder states after all reductions, shape (n, tokens, width); zero where nothing is heard."""
        found, mask = features[:, :-1].transpose(1, 2), features[:, -1] > 0.5
        encoder, x_v = getattr(self.module, self.encoder_root), self._trial.reduction
        found, given = self.reduce_features(found, mask)
        # transformers asks a mask for its values, which tensors without any do not have.
        mask_or_none = None if features.device.type == "meta" else given
        states: Tensor = encoder(found, attention_mask=mask_or_none).last_hidden_state
        n_heard: Tensor = -(-self._mel.tokens(mask.sum(-1)) // x_v.factor)
        unheard = torch.arange(states.shape[1], device=states.device) >= n_heard[:, None]
        return states.masked_fill(unheard[..., None], 0.0)

    def reduce_features(self, found: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """What is given to the encoder: all of it, unless the stem reduces frames."""
        return found, mask

    def heard(self, states: Tensor) -> Tensor:
        """Encoder tokens up to the last one that is not zero."""
        return (states != 0).any(-1).sum(-1).clamp(min=1).cpu()


def vocabulary_of(
    request: BuildRequest, backbone: Conformer
) -> tuple[Characters | Pieces, Conformer]:
    """The tokens that the head names, and the backbone with a head of as many rows.

    A checkpoint of pieces names its blank in its `config.json`, else the head's last row is it.
    """
    tokens = request.labels or ENGLISH
    size = max(len(tokens), backbone.vocab_size)
    whole = (*tokens, *(f"<{i}>" for i in range(len(tokens), size)))
    shape = replace(backbone, vocab_size=size)
    if is_of_pieces(tokens):
        assert request.tokenizer is not None
        blank = request.config.get("pad_token_id")
        encode = request.tokenizer.encode
        return Pieces(whole, size - 1 if blank is None else int(blank), encode), shape
    blank = next((i for i, t in enumerate(tokens) if t in ("<pad>", "[PAD]")), 0)
    return characters_of(whole, blank), shape


def module_of(
    cls: Any, config: Any, request: BuildRequest, shape: Conformer, n_tokens: int, head: str
) -> Any:
    """The module, from the checkpoint's tensors or the seed.

    Raises:
        InputError: the checkpoint's head has another size, or tensors are missing.
    """
    state = with_head(request.state, shape.vocab_size, n_tokens, shape.name, head)
    return instantiate(cls, config, state, request.trial.seed, request.attention, request.device)


def thin_behind(
    encoder: nn.Module, layers: nn.ModuleList, reduction: Reduction, name: str, thin: Any
) -> None:
    """Apply a `layer` or `output` reduction; layers behind it get masks and positions of the tokens that are left.

    Args:
        encoder: whose output is reduced at `output`.
        layers: the conformer's layers.
        reduction: x_V.
        name: the backbone's name.
        thin: keyword arguments of a layer for all tokens, and the factor, to those for the ones that are left.
    """
    attach_to_layers(encoder, layers, reduction, name)
    if reduction.place != "layer":
        return

    def hook(_module: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
        return args, kwargs | thin(kwargs, reduction.factor)

    for layer in layers[reduction.layer or 0 :]:
        layer.register_forward_pre_hook(hook, with_kwargs=True)
