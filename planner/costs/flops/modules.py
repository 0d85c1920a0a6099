"""The families, operation by operation, entered in a `Ledger`: nothing but dimensions.

A walk follows the modules of transformers (`WhisperForConditionalGeneration`,
`WhisperForAudioClassification`, `Wav2Vec2ForSequenceClassification`, `Wav2Vec2ForCTC`) in eager attention,
batch 1; conformers have a walk of their own (planner/costs/flops/conformer.py).
Equal layers are entered once with a multiplier, so a walk costs the same for 4 layers and for 32; and
lengths are arrays, so that it costs about the same for one window and for thousands.
tests/costs/flops/test_flops_against_torch.py compares every walk, as integers, with torch's own counter.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeGuard

from planner.costs.flops.conformer import conformer_walk
from planner.costs.flops.layers import FROZEN, Layer, Treatment, runs_of_layers
from planner.costs.flops.ledger import Count, Ledger
from planner.costs.flops.lengths import (
    Whole,
    after_reduction,
    conv_lengths_of,
    mel_frames_of,
    positions_of,
)
from planner.costs.windows import Ints, Windows
from planner.words.catalogue import GATE_WIDTH, Backbone, Wav2Vec2, Whisper, writes_by_ctc
from planner.words.families.base import Conformer, SampleListener
from planner.words.records import Reduction

CLASSIFIER_PROJECTION = 256
"""Width of the classification head on a Whisper encoder (`classifier_proj_size` in transformers)."""
CLASSIFIER_LABELS = 6
"""Classes of that head (assumption: CREMA-D's six emotions; below 1e-6 of any count)."""


def encoder_walk(
    ledger: Ledger, windows: Windows, treatment: Treatment = FROZEN
) -> tuple[Ints, bool]:
    """Enter stem and transformer layers.

    Returns:
        Tokens that leave the encoder, shape (m,), and whether they need a gradient.
    """
    backbone, reduction, n = windows.backbone, windows.reduction, positions_of(windows)
    if treatment.decoder_only:
        treatment = replace(treatment, adapted=frozenset())
    if isinstance(backbone, Conformer):
        return conformer_walk(ledger, windows, backbone, treatment)
    if isinstance(backbone, Whisper):
        grad = _whisper_stem(ledger, backbone, mel_frames_of(windows), reduction, treatment)
        pre_norm = True
    elif isinstance(backbone, SampleListener):
        grad = _sample_stem(ledger, backbone, conv_lengths_of(windows), n, treatment)
        pre_norm = True
    else:
        grad = _wav2vec2_stem(ledger, backbone, conv_lengths_of(windows), n, treatment)
        # Models with a layer norm in each convolution are the ones with pre-norm layers.
        pre_norm = backbone.layer_norm_each_conv
    reduced_from = reduction.layer or backbone.encoder_layers
    top_from = 0 if treatment.full else backbone.encoder_layers - treatment.top_k
    after = after_reduction(windows, n)
    # The first layer stands alone: its input may need no gradient, the others' always alike.
    for first, last in runs_of_layers(backbone.encoder_layers, 1, reduced_from, top_from):
        trained = first >= top_from
        layer = Layer(
            ledger, backbone.d_model, treatment, trained, last - first, product_width(backbone)
        )
        tokens = after if reduction.place == "layer" and first >= reduced_from else n
        x_grad = grad or (trained and pre_norm)
        ledger.begin_layer()
        if isinstance(backbone, Wav2Vec2) and backbone.relative_buckets:
            layer.linear("encoder", "gate", tokens, backbone.d_model, GATE_WIDTH, x_grad)
        grad = layer.attention("encoder", tokens, tokens, x_grad, x_grad) or grad
        grad = layer.feed_forward("encoder", tokens, backbone.ffn_dim, grad or trained) or grad
        ledger.save(grad and not pre_norm)  # a reduction acts outside of the checkpoint
        ledger.end_layer()
    return after, grad


def _whisper_stem(
    ledger: Ledger, backbone: Whisper, frames: Ints, reduction: Reduction, treatment: Treatment
) -> bool:
    d, full = backbone.d_model, treatment.full
    ledger.convolution("stem", frames, 3, backbone.n_mels, d, trained=full)
    outputs = frames // (2 * reduction.factor if reduction.place == "stem" else 2)
    return ledger.convolution("stem", outputs, 3, d, d, grad=full, trained=full)


def product_width(backbone: Backbone) -> int:
    """Width of both attention products over all heads."""
    return backbone.attention_width if isinstance(backbone, SampleListener) else backbone.d_model


def decodes(backbone: Backbone, task: str) -> TypeGuard[Whisper | SampleListener]:
    """Whether text is written by a decoder that attends to the encoder."""
    return task == "asr" and isinstance(backbone, Whisper | SampleListener)


def _gated(backbone: Whisper | SampleListener) -> bool:
    return isinstance(backbone, SampleListener) and backbone.decoder_gated


def _sample_stem(
    ledger: Ledger,
    backbone: SampleListener,
    lengths: tuple[Ints, ...],
    n: Ints,
    treatment: Treatment,
) -> bool:
    """Convolutions on samples, the last one with the stem's stride: n positions."""
    full, previous = treatment.full, 1
    lengths = (*lengths[:-1], n)
    for i, (length, kernel, width) in enumerate(
        zip(lengths, backbone.conv_kernel, backbone.conv_dim, strict=True)
    ):
        ledger.convolution(
            "stem", length, kernel, previous, width, grad=full and i > 0, trained=full
        )
        previous = width
    return full


def _wav2vec2_stem(
    ledger: Ledger, backbone: Wav2Vec2, lengths: tuple[Ints, ...], n: Ints, treatment: Treatment
) -> bool:
    full, previous = treatment.full, 1
    for length, kernel, width in zip(lengths, backbone.conv_kernel, backbone.conv_dim, strict=True):
        # transformers marks the waveform as needing a gradient unless the front end is frozen.
        # Each is a checkpointed layer of its own, with its norm and activation behind the product.
        ledger.begin_layer()
        ledger.convolution("stem", length, kernel, previous, width, grad=full, trained=full)
        ledger.save(full)
        ledger.end_layer()
        previous = width
    d = backbone.d_model
    rank = treatment.rank if "projection" in treatment.adapted else 0
    grad = ledger.linear("stem", n, previous, d, grad=full, rank=rank, trained=full)
    # Padding of kernel // 2 on both sides: an even kernel gives one output more, which is dropped.
    outputs = n + 2 * (backbone.pos_conv_kernel // 2) - backbone.pos_conv_kernel + 1
    return ledger.convolution(
        "stem", outputs, backbone.pos_conv_kernel, d, d,
        groups=backbone.pos_conv_groups, grad=grad, trained=full,
    )  # fmt: skip


def decoder_walk(
    ledger: Ledger,
    backbone: Whisper | SampleListener,
    n_source: Ints,
    source_grad: bool,
    n_tokens: Ints,
    n_labels: Ints,
    treatment: Treatment,
) -> None:
    """Enter one teacher-forced pass of n_tokens over n_source encoder tokens, causal mask not halved.

    The vocabulary projection runs on the n_labels positions that have a label.
    """
    grad = treatment.full
    for first, last in runs_of_layers(backbone.decoder_layers, 1):
        layer = Layer(
            ledger,
            backbone.d_model,
            treatment,
            treatment.full,
            last - first,
            product_width(backbone),
        )
        ledger.begin_layer()
        grad = layer.attention("decoder", n_tokens, n_tokens, grad, grad) or grad
        grad = layer.attention("cross_attention", n_tokens, n_source, grad, source_grad) or grad
        gated = _gated(backbone)
        grad = layer.feed_forward("decoder", n_tokens, backbone.ffn_dim, grad, gated=gated) or grad
        ledger.end_layer()
    ledger.linear(
        "head", n_labels, backbone.d_model, backbone.vocab_size, grad=grad, trained=treatment.full
    )


def head_walk(
    ledger: Ledger, backbone: Backbone, task: str, n_tokens: Ints, grad: bool, treatment: Treatment
) -> None:
    """Enter the head on an encoder.

    CTC: a projection of every token to the vocabulary. Classes: a projector on every token, the mean,
    one more projection.
    """
    trained = treatment.full or treatment.head
    if writes_by_ctc(backbone, task):
        assert isinstance(backbone, Wav2Vec2 | Conformer)
        ledger.linear(
            "head", n_tokens, backbone.d_model, backbone.vocab_size, grad=grad, trained=trained
        )
        return
    width, labels = CLASSIFIER_PROJECTION, CLASSIFIER_LABELS
    if isinstance(backbone, Wav2Vec2):
        width, labels = backbone.projection_size, backbone.n_labels
    grad = ledger.linear("head", n_tokens, backbone.d_model, width, grad=grad, trained=trained)
    ledger.linear("head", 1, width, labels, grad=grad, trained=trained)


def generation_entries(
    ledger: Ledger,
    backbone: Whisper | SampleListener,
    n_source: Ints,
    n_prompt: int,
    n_output: Ints,
    kv_cache: bool,
) -> None:
    """Enter greedy decoding: a prefill of n_prompt tokens, then n_output - 1 steps.

    The prefill yields the first output token, so the last one is never fed back. With a cache, a step
    at length t attends to t tokens and cross-attention keys and values are formed once; without one,
    every step runs the whole prefix again and forms them again. The vocabulary projection runs once for
    each output token (transformers' own `generate` projects the whole prefill).
    """
    d, layers, steps = backbone.d_model, backbone.decoder_layers, n_output - 1
    fed = n_prompt + steps  # tokens that pass the decoder, each once
    # Sum over steps of the length attended to: p + 1, …, p + steps.
    attended = n_prompt**2 + steps * n_prompt + steps * (steps + 1) // 2
    source_passes: Count = 1
    if not kv_cache:
        first, last = n_prompt, n_prompt + steps
        fed = _sum(last) - _sum(first - 1)
        attended = _sum_of_squares(last) - _sum_of_squares(first - 1)
        source_passes = n_output
    ledger.linear("decoder", 4 * fed, d, d, times=layers)
    products = product_width(backbone)
    ledger.matmul("decoder", 2 * attended * products, (False, False), times=layers)
    ledger.linear(
        "decoder", (3 if _gated(backbone) else 2) * fed, d, backbone.ffn_dim, times=layers
    )
    ledger.linear("cross_attention", 2 * n_source * source_passes, d, d, times=layers)
    ledger.linear("cross_attention", 2 * fed, d, d, times=layers)
    ledger.matmul("cross_attention", 2 * fed * n_source * products, (False, False), times=layers)
    ledger.linear("head", n_output, d, backbone.vocab_size)


def _sum(n: Whole) -> Whole:
    return n * (n + 1) // 2


def _sum_of_squares(n: Whole) -> Whole:
    return n * (n + 1) * (2 * n + 1) // 6
