"""Elements that autograd keeps for the backward pass of one training example.

A linear keeps its input where its weight or its adapter is trained; a layer norm its input; attention its
queries, keys and values and, if eager, its weights, if fused, its output; the feed-forward its inner
activation before and, where needed, after the non-linearity; the loss its log-probabilities. Each tensor
counts once however many operations keep it. Normalisation statistics (2 per token) are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

from planner.costs.flops.lengths import (
    ceil_div,
    conv_lengths,
    encoder_positions,
    encoder_tokens,
    mel_frames,
)
from planner.costs.flops.modules import CLASSIFIER_PROJECTION, Treatment
from planner.words.catalogue import Backbone, Wav2Vec2, Whisper
from planner.words.records import Reduction


@dataclass(frozen=True, slots=True)
class _Block:
    """What the layers of one stack keep, in elements for one example."""

    width: int
    inner: int
    heads: int
    treatment: Treatment
    trained: bool
    eager: bool
    dropout: bool

    def _keeps(self, *names: str) -> bool:
        return self.trained or bool(self.treatment.adapted & set(names))

    def _adapters(self, n: int, names: set[str], n_in: int) -> int:
        """Inner activations of adapters and, with dropout, each one's own input and mask."""
        adapted = 0 if self.trained else len(self.treatment.adapted & names)
        own = n_in + ceil_div(n_in, 4) if self.dropout else 0
        return adapted * n * (self.treatment.rank + own)

    def attention(self, n_query: int, n_key: int, *, crossed: bool = False) -> int:
        d = self.width
        kept = n_query * d + 2 * n_key * d  # query, keys, values
        kept += n_query * d  # input of the layer norm
        kept += n_query * d if self._keeps(*(("q",) if crossed else ("q", "k", "v"))) else 0
        kept += self.heads * n_query * (n_key if self.eager else 1)
        kept += n_query * d if self._keeps("o") or not self.eager else 0
        adapters = self._adapters(n_query, {"q", "o"}, d) + self._adapters(n_key, {"k", "v"}, d)
        return kept + adapters

    def feed_forward(self, n: int) -> int:
        d, f = self.width, self.inner
        kept = n * d + (n * d if self._keeps("fc1") else 0)
        kept += n * f + (n * f if self._keeps("fc2") else 0)
        return kept + self._adapters(n, {"fc1"}, d) + self._adapters(n, {"fc2"}, f)

    def working(self, n_query: int, n_key: int) -> int:
        """Gradients that are alive at once in the backward pass of the widest operation."""
        squares = 2 * self.heads * n_query * n_key if self.eager else 0
        return max(squares + 3 * n_query * self.width, 2 * n_query * self.inner)


def saved_elements(
    backbone: Backbone,
    audio_seconds: float,
    reduction: Reduction,
    treatment: Treatment,
    n_labels: int,
    padding: str,
    task: str,
    eager: bool,
    checkpointing: bool,
    dropout: bool,
) -> tuple[int, int]:
    """Elements saved for the backward pass, and elements of its widest working set.

    With checkpointing only the layers' inputs are saved, and one layer's own tensors at a time.
    """
    n = encoder_positions(backbone, audio_seconds, reduction, padding)
    after = encoder_tokens(backbone, audio_seconds, reduction, padding)
    saved = _stem(backbone, audio_seconds, reduction, padding, n, treatment)
    widest, working = 0, 0
    for index in range(1, backbone.encoder_layers + 1):
        reduced = reduction.layer is not None and index > reduction.layer
        tokens = after if reduced else n
        top = index > backbone.encoder_layers - treatment.top_k
        block = _block(backbone, treatment, treatment.full or top, eager, dropout)
        own = block.attention(tokens, tokens) + block.feed_forward(tokens)
        widest, working = max(widest, own), max(working, block.working(tokens, tokens))
        saved += tokens * backbone.d_model if checkpointing else own
    saved += after * backbone.d_model  # input of the last layer norm
    if treatment.decoder_only and not treatment.top_k:
        saved, widest, working = 0, 0, 0  # nothing is propagated through the encoder
    if task == "asr" and isinstance(backbone, Whisper):
        block = _block(backbone, treatment, treatment.full, eager, dropout)
        fed = n_labels + 3  # a prompt of 4 without its first token's label
        own = block.attention(fed, fed) + block.attention(fed, after, crossed=True)
        own += block.feed_forward(fed)
        saved += backbone.decoder_layers * (fed * backbone.d_model if checkpointing else own)
        saved += after * backbone.d_model  # encoder states, input of every key and value
        saved += 2 * fed * backbone.d_model + 2 * n_labels * backbone.vocab_size
        widest, working = max(widest, own), max(working, n_labels * backbone.vocab_size)
        # The tied embedding has two gradients, as input and as output, until they are added.
        working += backbone.vocab_size * backbone.d_model if treatment.full else 0
    else:
        saved += after * (backbone.d_model + CLASSIFIER_PROJECTION)
    return saved + (widest if checkpointing else 0), working


def _block(
    backbone: Backbone, treatment: Treatment, trained: bool, eager: bool, dropout: bool
) -> _Block:
    return _Block(
        backbone.d_model, backbone.ffn_dim, backbone.n_heads, treatment, trained, eager, dropout
    )


def _stem(
    backbone: Backbone,
    audio_seconds: float,
    reduction: Reduction,
    padding: str,
    n: int,
    treatment: Treatment,
) -> int:
    """Inputs and outputs of the front end's convolutions where gradients pass them.

    wav2vec2's positional convolution also keeps its kernel, which weight normalisation computes.
    """
    d, passed = backbone.d_model, treatment.full or "projection" in treatment.adapted
    kernel = 0
    if isinstance(backbone, Wav2Vec2) and passed:
        kernel = d * d // backbone.pos_conv_groups * backbone.pos_conv_kernel
    if not treatment.full:
        return kernel
    if isinstance(backbone, Wav2Vec2):
        lengths = conv_lengths(backbone, audio_seconds, padding)
        kept = [a * b for a, b in zip(lengths, backbone.conv_dim, strict=True)]
        per_layer = 3 if backbone.layer_norm_each_conv else 2
        first = kept[0] * (3 - per_layer)  # the only norm of the group-norm variant
        return per_layer * sum(kept) + first + 3 * n * d + kernel
    frames = mel_frames(backbone, audio_seconds, reduction, padding)
    return frames * (backbone.n_mels + 2 * d) + n * d
