"""Elements that autograd keeps for the backward pass of one training example.

A linear keeps its input where its weight or its adapter is trained; a layer norm its input; attention its
queries, keys and values and, if eager, its weights, if fused, its output; the feed-forward its inner
activation before and, where needed, after the non-linearity; the loss its log-probabilities. Each tensor
counts once however many operations keep it. Normalisation statistics (2 per token) are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.costs.flops.forward import prompt_tokens
from planner.costs.flops.layers import Treatment, runs_of_layers
from planner.costs.flops.lengths import (
    ceil_div,
    conv_lengths_of,
    mel_frames_of,
    positions_of,
    tokens_of,
)
from planner.costs.flops.modules import CLASSIFIER_PROJECTION, decodes
from planner.costs.windows import Ints, Windows
from planner.words.catalogue import Backbone, Wav2Vec2, Whisper
from planner.words.families.base import Conformer, SampleListener


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedTensors:
    """What decides which tensors are kept.

    Attributes:
        treatment: what is trained.
        eager: whether attention keeps its square of weights.
        dropout: whether adapters have dropout.
        checkpointing: whether the layers' inputs alone are kept, and the layers run again.
    """

    treatment: Treatment
    eager: bool
    dropout: bool
    checkpointing: bool


@dataclass(frozen=True, slots=True)
class _Block:
    """What the layers of one stack keep, in elements for one example of each window."""

    backbone: Backbone
    kept: SavedTensors
    trained: bool

    @property
    def _adapted(self) -> frozenset[str]:
        return self.kept.treatment.adapted

    def _keeps(self, *names: str) -> bool:
        return self.trained or bool(self._adapted & set(names))

    def _adapters(self, n: Ints, names: set[str], n_in: int) -> Ints:
        """Inner activations of adapters and, with dropout, each one's own input and mask."""
        adapted = 0 if self.trained else len(self._adapted & names)
        own = n_in + ceil_div(n_in, 4) if self.kept.dropout else 0
        return adapted * n * (self.kept.treatment.rank + own)

    def attention(self, n_query: Ints, n_key: Ints, *, crossed: bool = False) -> Ints:
        d, eager = self.backbone.d_model, self.kept.eager
        kept = n_query * d + 2 * n_key * d  # query, keys, values
        kept += n_query * d  # input of the layer norm
        kept += n_query * d if self._keeps(*(("q",) if crossed else ("q", "k", "v"))) else 0
        kept += self.backbone.n_heads * n_query * (n_key if eager else 1)
        kept += n_query * d if self._keeps("o") or not eager else 0
        adapters = self._adapters(n_query, {"q", "o"}, d) + self._adapters(n_key, {"k", "v"}, d)
        return kept + adapters

    def feed_forward(self, n: Ints) -> Ints:
        d, f = self.backbone.d_model, self.backbone.ffn_dim
        kept = n * d + (n * d if self._keeps("fc1") else 0)
        kept += n * f + (n * f if self._keeps("fc2") else 0)
        return kept + self._adapters(n, {"fc1"}, d) + self._adapters(n, {"fc2"}, f)

    def layer(self, n: Ints) -> Ints:
        """All that one encoder layer keeps."""
        own = self.attention(n, n) + self.feed_forward(n)
        if not isinstance(self.backbone, Conformer):
            return own
        return own + self.feed_forward(n) + self._conformer(n, self.backbone)

    def _conformer(self, n: Ints, shape: Conformer) -> Ints:
        """Positions, the convolution module, and the input of the norm that ends the layer.

        The module keeps its norm's input, both halves of the gate, the gated, the convolved (before and
        after its norm) and, where it is trained, the inputs of both outer convolutions.
        """
        d, trained = shape.d_model, self.trained
        positions = shape.n_heads * n * n  # added to the scores, padded and cut
        if shape.projects_positions:
            positions = (
                positions + 2 * n * d + (2 * n - 1) * d
            )  # both biased queries, projected distances
            positions = positions + self._adapters(2 * n - 1, {"position"}, d)
        else:
            positions = positions + n * n * (d // shape.n_heads)  # a key of each pair
        module = n * d * (6 + (2 if trained else 0))
        return positions + module + n * d

    def working(self, n: Ints) -> Ints:
        """Gradients that are alive at once in the backward pass of the widest operation."""
        squares = 2 * self.backbone.n_heads * n * n if self.kept.eager else 0
        feeding = 2 * n * self.backbone.ffn_dim
        return np.maximum(squares + 3 * n * self.backbone.d_model, feeding)


@dataclass(slots=True)
class _Saved:
    """Elements so far: saved, of the widest layer, and of the widest working set, each (m,)."""

    elements: Ints
    widest: Ints
    working: Ints

    def add(self, own: Ints, inputs: Ints, working: Ints, times: int, kept: SavedTensors) -> None:
        """Equal layers: what each keeps, what its input takes, and its working set."""
        self.elements = self.elements + times * (inputs if kept.checkpointing else own)
        self.widest = np.maximum(self.widest, own)
        self.working = np.maximum(self.working, working)


def saved_elements(windows: Windows, task: str, kept: SavedTensors) -> tuple[Ints, Ints]:
    """Elements saved for the backward pass, and elements of its widest working set, each (m,).

    With checkpointing only the layers' inputs are saved, and one layer's own tensors at a time. Labels are
    the windows' output tokens.
    """
    backbone, treatment = windows.backbone, kept.treatment
    saved, after = _encoder(windows, kept), tokens_of(windows)
    if treatment.decoder_only and not treatment.top_k:
        zeros = np.zeros_like(after)
        saved = _Saved(zeros, zeros, zeros)  # nothing is propagated through the encoder
    if decodes(backbone, task):
        _decoder(saved, backbone, after, windows.n_output_tokens, kept)
    elif isinstance(backbone, Wav2Vec2 | Conformer) and task == "asr":
        # The head's input, log-probabilities, and CTC's table of 2 S + 1 states a frame for S labels.
        table = backbone.vocab_size + 2 * windows.n_output_tokens + 1
        saved.elements = saved.elements + after * (backbone.d_model + table)
    else:
        saved.elements = saved.elements + after * (backbone.d_model + CLASSIFIER_PROJECTION)
    again = saved.widest if kept.checkpointing else 0
    return saved.elements + again, saved.working


def _encoder(windows: Windows, kept: SavedTensors) -> _Saved:
    backbone, reduction, treatment = windows.backbone, windows.reduction, kept.treatment
    n, after, d = positions_of(windows), tokens_of(windows), backbone.d_model
    saved = _Saved(_stem(windows, n, treatment), np.zeros_like(n), np.zeros_like(n))
    reduced_from = backbone.encoder_layers if reduction.layer is None else reduction.layer
    top_from = backbone.encoder_layers - treatment.top_k
    for first, last in runs_of_layers(backbone.encoder_layers, reduced_from, top_from):
        tokens = after if first >= reduced_from else n
        block = _Block(backbone, kept, treatment.full or first >= top_from)
        own = block.layer(tokens)
        saved.add(own, tokens * d, block.working(tokens), last - first, kept)
    saved.elements = saved.elements + after * d  # input of the last layer norm
    return saved


def _decoder(
    saved: _Saved,
    backbone: Whisper | SampleListener,
    after: Ints,
    n_labels: Ints,
    kept: SavedTensors,
) -> None:
    """Add the decoder's layers and the loss."""
    block, d = _Block(backbone, kept, kept.treatment.full), backbone.d_model
    # The prompt's first token has no label. Counted as Whisper's four, as its stored costs were.
    fed = n_labels + (3 if isinstance(backbone, Whisper) else prompt_tokens(backbone) - 1)
    own = block.attention(fed, fed) + block.attention(fed, after, crossed=True)
    own += block.feed_forward(fed)
    logits = n_labels * backbone.vocab_size
    saved.add(own, fed * d, logits, backbone.decoder_layers, kept)
    saved.elements = saved.elements + after * d  # encoder states, input of every key and value
    saved.elements = saved.elements + 2 * fed * d + 2 * logits
    # The tied embedding has two gradients, as input and as output, until they are added.
    saved.working = saved.working + (backbone.vocab_size * d if kept.treatment.full else 0)


def _stem(windows: Windows, n: Ints, treatment: Treatment) -> Ints:
    """Inputs and outputs of the front end's convolutions where gradients pass them, shape (m,).

    wav2vec2's positional convolution also keeps its kernel, which weight normalisation computes.
    """
    backbone = windows.backbone
    d, passed = backbone.d_model, treatment.full or "projection" in treatment.adapted
    kernel = 0
    if isinstance(backbone, Wav2Vec2) and passed:
        kernel = d * d // backbone.pos_conv_groups * backbone.pos_conv_kernel
    if not treatment.full:
        return np.full_like(n, kernel)
    if isinstance(backbone, Conformer):
        lengths = (*conv_lengths_of(windows)[:-1], n)
        kept = [2 * lengths[s.at] * s.n_outputs for s in backbone.stem]
        return sum(kept, np.zeros_like(n)) + n * backbone.projection_width
    if isinstance(backbone, SampleListener):
        widths = zip((*conv_lengths_of(windows)[:-1], n), backbone.conv_dim, strict=True)
        return 2 * sum((a * b for a, b in widths), np.zeros_like(n))
    if isinstance(backbone, Wav2Vec2):
        kept = [a * b for a, b in zip(conv_lengths_of(windows), backbone.conv_dim, strict=True)]
        per_layer = 3 if backbone.layer_norm_each_conv else 2
        first = kept[0] * (3 - per_layer)  # the only norm of the group-norm variant
        return per_layer * sum(kept, np.zeros_like(n)) + first + 3 * n * d + kernel
    return mel_frames_of(windows) * (backbone.n_mels + 2 * d) + n * d
