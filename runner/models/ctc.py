"""Encoders that write by CTC: wav2vec2, HuBERT and WavLM with a head on each state, in transformers' classes.

The head names a token or the blank at every encoder token; the most probable ones are the text, repeats
joined and blanks dropped (Graves et al. 2006, best path). Its vocabulary is the checkpoint's, or the
characters of the training texts. The head is always trained in full.

Windows are of x_T seconds, short ones filled with silence, so that a clip's text does not depend on its
batch: in models with a group norm a padded clip changes, masked or not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from planner.costs.flops.lengths import SAMPLE_RATE, encoder_tokens
from planner.errors import InputError
from planner.words.catalogue import Wav2Vec2
from planner.words.families.base import Conformer
from planner.words.records import Decoding, Trial
from runner.models.base import Audio, BuildRequest, Prediction, own_length
from runner.models.characters import ENGLISH, Characters, Pieces, collapsed, needed_frames
from runner.models.wav2vec2 import WaveLengths, module_of

HEAD = "lm_head"


class Lengths(Protocol):
    """Features of windows at x_T's length, or as long as the longest of them."""

    varies: bool
    full_length: int
    features_per_second: float

    def features(self, windows: Sequence[Audio]) -> Tensor:
        """At x_T's length."""
        ...

    def own_features(self, windows: Sequence[Audio]) -> Tensor:
        """As long as the longest window."""
        ...

    def lengthen(self, features: Tensor, length: int) -> Tensor:
        """With silence up to a length."""
        ...


class CtcRecogniser:
    """An encoder that writes text: features, CTC loss and greedy decoding at the trial's x_T and x_V."""

    n_prompt_tokens = 1
    head_name = HEAD
    layers_within = "encoder.layers"
    """Name of the transformer layers inside the encoder."""

    def __init__(
        self,
        module: nn.Module,
        backbone: Wav2Vec2 | Conformer,
        labels: Sequence[str],
        vocabulary: Characters | Pieces,
        trial: Trial,
        lengths: Lengths,
        device: torch.device,
        encoder_name: str,
    ) -> None:
        self.module = module.to(device)
        self.backbone = backbone
        self.labels = tuple(labels)
        self.device = device
        self.features, self.own_features = lengths.features, lengths.own_features
        self.lengthen = lengths.lengthen
        self.varies, self.full_length = lengths.varies, lengths.full_length
        self.features_per_second = lengths.features_per_second
        self.encoder_root = encoder_name
        self._text = vocabulary
        self._trial = trial

    @property
    def vocabulary(self) -> Characters | Pieces:
        """The tokens that the head names."""
        return self._text

    def targets(self, references: Sequence[str]) -> list[list[int]]:
        """Token ids of each text; empty for a text without spoken characters."""
        return [self._text.encode(text) for text in references]

    def frames(self, n_samples: int) -> int:
        """Encoder tokens of a training window that holds so many samples."""
        seconds = self._trial.audio_seconds
        if self.varies:
            window: Audio = np.empty(n_samples, dtype=np.float32)
            seconds = own_length([window], SAMPLE_RATE, 1, self.full_length) / SAMPLE_RATE
        return encoder_tokens(self.backbone, seconds, self._trial.reduction, self._trial.padding)

    def needed_frames(self, reference: str) -> int:
        """Encoder tokens that writing a reference takes: one a label, one more between equal ones."""
        return needed_frames(self._text.encode(reference))

    def loss(self, features: Tensor, targets: Sequence[Sequence[int]]) -> Tensor:
        """CTC's negative log-likelihood in nats, summed over the windows."""
        return self.loss_from_states(self.encode(features), targets)

    def loss_from_states(self, states: Tensor, targets: Sequence[Sequence[int]]) -> Tensor:
        """The loss, from encoder states.

        A window without room for its labels adds 0 and no gradient, where it would add infinity and NaN;
        training leaves such windows out beforehand and counts them (`runner.trial.alignable`).
        """
        scores = self.logits(states).float().log_softmax(-1).transpose(0, 1)
        labels = torch.tensor([i for target in targets for i in target], dtype=torch.long)
        return nn.functional.ctc_loss(
            scores,
            labels.to(self.device),
            self.heard(states),
            torch.tensor([len(target) for target in targets], dtype=torch.long),
            blank=self._text.blank,
            reduction="sum",
            zero_infinity=True,
        )

    def encode(self, features: Tensor) -> Tensor:
        """Encoder states after all reductions, shape (n, tokens, width)."""
        states: Tensor = getattr(self.module, self.encoder_root)(features).last_hidden_state
        return states

    def heard(self, states: Tensor) -> Tensor:
        """Encoder tokens of each window that hear its clip, shape (n,), on the CPU: all of them."""
        return torch.full((len(states),), states.shape[1], dtype=torch.long)

    def logits(self, states: Tensor) -> Tensor:
        """Scores of the tokens before the softmax, shape (n, tokens, vocabulary)."""
        logits: Tensor = getattr(self.module, self.head_name)(states)
        return logits

    @torch.inference_mode()
    def decode(
        self,
        encoded: Tensor,
        decoding: Decoding,
        limits: Sequence[int] | None = None,
        exactly: int | None = None,
    ) -> list[Prediction]:
        """Greedy texts; their length is the encoder's own, so limits say nothing here."""
        scores = self.logits(encoded).float().log_softmax(-1)
        best, ids = scores.max(-1)
        return [
            self._prediction(row[:n].tolist(), chosen[:n].tolist())
            for row, chosen, n in zip(
                best.cpu(), ids.cpu(), self.heard(encoded).tolist(), strict=True
            )
        ]

    def _prediction(self, scores: Sequence[float], ids: Sequence[int]) -> Prediction:
        kept, held = collapsed(ids, scores, self._text.blank)
        return Prediction(
            text=self._text.decode(kept),
            n_tokens=max(1, len(kept)),
            token_ids=tuple(kept),
            token_log_probabilities=tuple(held),
        )

    def encoder_layers(self) -> Sequence[tuple[str, nn.Module]]:
        """The transformer layers, lowest first."""
        name = f"{self.encoder_root}.{self.layers_within}"
        layers: Any = self.module.get_submodule(name)
        return [(f"{name}.{i}", layer) for i, layer in enumerate(layers)]

    def head_names(self) -> tuple[str, ...]:
        """The projection to the vocabulary: trained in full."""
        return (self.head_name,)

    def frozen_linear_names(self) -> tuple[str, ...]:
        """The gates of WavLM's position bias: tables of distances, not projections."""
        gate = "gru_rel_pos_linear"
        return tuple(name for name, _ in self.module.named_modules() if name.endswith(gate))


def build(request: BuildRequest) -> CtcRecogniser:
    """A wav2vec2, HuBERT or WavLM that writes text, for the trial's axes.

    `request.labels` are the tokens; without any, English letters. The head has a row for each token, and
    at least as many as the catalogue says: a row without a token is never a label.

    Raises:
        InputError: the backbone is of another family, x_T too long, or a checkpoint's head has another size.
    """
    backbone = request.backbone
    if not isinstance(backbone, Wav2Vec2):
        raise InputError(f"backbone {backbone.name!r} is not of the wav2vec2 family")
    tokens = request.labels or ENGLISH
    size = max(len(tokens), backbone.vocab_size)
    # Of models that are only timed the tokens have any names.
    padding = tuple(f"<{i}>" for i in range(len(tokens), size))
    blank = next((i for i, t in enumerate(tokens) if t in ("<pad>", "[PAD]")), 0)
    vocabulary = characters_of((*tokens, *padding), blank)
    state = with_head(request.state, size, len(tokens), backbone.name)
    module, shape, kind = module_of(
        replace(request, state=state, backbone=replace(backbone, vocab_size=size)),
        "CTC", vocab_size=size, pad_token_id=blank,
    )  # fmt: skip
    lengths = WaveLengths(request.trial, request.device)
    return CtcRecogniser(
        module, shape, tokens, vocabulary, request.trial, lengths, request.device, kind
    )


def characters_of(tokens: Sequence[str], blank: int) -> Characters:
    """A vocabulary of those tokens; names of several characters, as of classes, stand for themselves alone."""
    named = (t if len(t) == 1 or t[0] in "<[" else f"<{t}>" for t in tokens)
    return Characters(tuple(named), blank)


def with_head(
    state: Mapping[str, Tensor] | None, size: int, n_tokens: int, name: str, head_name: str = HEAD
) -> Mapping[str, Tensor] | None:
    """The checkpoint's tensors, with its head.

    Raises:
        InputError: its head has another size than the vocabulary.
    """
    head = None if state is None else state.get(f"{head_name}.weight")
    if head is not None and head.shape[0] != size:
        raise InputError(
            f"the CTC head of the weights of {name} has {head.shape[0]} rows and its vocabulary {n_tokens} "
            "tokens; give the checkpoint's own vocab.json beside its weights"
        )
    return state
