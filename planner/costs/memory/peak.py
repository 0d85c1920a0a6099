"""Peak memory of a configuration as closed forms, by part and element type.

Weights, adapters, gradients, optimiser state and key/value cache are exact element counts. Activations
are the tensors that a layer keeps alive, counted from transformers' modules (tests/costs/test_memory.py
compares them with the tensors that autograd saves, and with the peak of live tensors at inference).

Assumptions: batch elements are alike; AdamW with two moments in the weights' type; gradients in
the weights' type; the allocator's fragmentation, CUDA's context and the libraries' workspaces are left
out; under bfloat16 training is autocast: weights stay float32 and those that gradients pass are kept once
more as bfloat16.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast, overload

from planner.costs.flops.forward import check_task, prompt_tokens
from planner.costs.flops.lengths import (
    SAMPLE_RATE,
    Count,
    Seconds,
    check_all_seconds,
    conv_lengths,
    encoder_positions,
    encoder_tokens,
    largest,
    least,
    mel_frames,
    rounded,
)
from planner.costs.flops.modules import CLASSIFIER_LABELS, CLASSIFIER_PROJECTION, Treatment
from planner.costs.flops.training import lora_parameters, treatment_of
from planner.costs.memory.activations import saved_elements
from planner.errors import InputError, UnknownNameError
from planner.words.catalogue import Backbone, Wav2Vec2, Whisper
from planner.words.records import Adaptation, Reduction

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "int8": 1}
"""Bytes of one element."""
ATTENTIONS = ("eager", "sdpa")
"""`eager` keeps the whole square of attention weights, `sdpa` (fused kernels) does not."""
ADAM_MOMENTS = 2
"""AdamW keeps two moments for each trained parameter."""

_NONE = Reduction()


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Peak bytes, and the parts that they consist of.

    In training the total is the sum of the parts. At inference the encoder's activations and the
    decoder's with its cache follow one another: total = weights + max(encoder, decoder + kv_cache).
    """

    total: int
    parts: dict[str, int]


def element_bytes(dtype: str) -> int:
    """Bytes of one element.

    Raises:
        UnknownNameError: the type is not known.
    """
    if dtype not in BYTES:
        raise UnknownNameError("dtype", dtype, BYTES)
    return BYTES[dtype]


def _check(batch_size: int, attention: str) -> None:
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise InputError(f"batch size must be an integer of at least 1, got {batch_size!r}")
    if attention not in ATTENTIONS:
        raise UnknownNameError("attention", attention, ATTENTIONS)


@overload
def model_parameters(
    backbone: Backbone,
    audio_seconds: float,
    reduction: Reduction = ...,
    padding: str = ...,
    task: str | None = ...,
) -> int: ...
@overload
def model_parameters(
    backbone: Backbone,
    audio_seconds: Seconds,
    reduction: Reduction = ...,
    padding: str = ...,
    task: str | None = ...,
) -> Count: ...
def model_parameters(
    backbone: Backbone,
    audio_seconds: Seconds,
    reduction: Reduction = _NONE,
    padding: str = "dynamic",
    task: str | None = None,
) -> Count:
    """Parameters that are held for this x_T: the position table is cut to the window's positions."""
    chosen = check_task(backbone, task)
    if isinstance(backbone, Wav2Vec2):
        return backbone.n_params
    rows = encoder_positions(backbone, audio_seconds, reduction, padding)
    cut = (backbone.max_source_positions - rows) * backbone.d_model
    if chosen == "asr":
        return backbone.n_params - cut
    return backbone.encoder_params + _head_parameters(backbone) - cut


def _head_parameters(backbone: Backbone) -> int:
    width, labels = CLASSIFIER_PROJECTION, CLASSIFIER_LABELS
    if isinstance(backbone, Wav2Vec2):
        width, labels = backbone.projection_size, backbone.n_labels
    return backbone.d_model * width + width + width * labels + labels


def trainable_parameters(
    backbone: Backbone, adaptation: Adaptation, task: str | None = None
) -> int:
    """Parameters that receive a gradient: adapters, top-k layers, head, or everything.

    Whisper's sinusoidal position table is a constant and never trained.

    >>> from planner.words.catalogue import backbone
    >>> targets = Adaptation(lora_rank=32, targets="q_proj,v_proj")
    >>> trainable_parameters(backbone("whisper-small"), targets)
    3538944
    """
    treatment, chosen = treatment_of(backbone, adaptation, task), check_task(backbone, task)
    if treatment.full:
        if isinstance(backbone, Wav2Vec2):
            return backbone.n_params
        table = backbone.max_source_positions * backbone.d_model
        whole = (
            backbone.n_params
            if chosen == "asr"
            else backbone.encoder_params + _head_parameters(backbone)
        )
        return whole - table  # fmt: skip
    d, f = backbone.d_model, backbone.ffn_dim
    key_bias = d if isinstance(backbone, Wav2Vec2) else 0  # Whisper's key has no bias
    layer = 4 * d * d + 3 * d + key_bias + 2 * d * f + f + d + 4 * d
    head = _head_parameters(backbone) if treatment.head else 0
    return lora_parameters(backbone, adaptation, task) + treatment.top_k * layer + head


def kv_cache_elements(backbone: Whisper, n_source: Count, n_prompt: int, n_output: Count) -> Count:
    """Elements of the key/value cache of one window when its last token is written."""
    if least(n_output) == 0:
        return 0
    fed = n_prompt + n_output - 1
    return 2 * backbone.decoder_layers * backbone.d_model * (fed + n_source)


def inference_memory(
    backbone: Backbone,
    *,
    audio_seconds: float,
    reduction: Reduction | None = None,
    n_output_tokens: int = 0,
    n_prompt_tokens: int | None = None,
    batch_size: int = 1,
    dtype: str = "float32",
    attention: str = "sdpa",
    padding: str = "dynamic",
    kv_cache: bool = True,
    task: str | None = None,
) -> Memory:
    """Peak bytes of transcribing (or classifying) a batch of windows, adapters merged.

    Parts: `weights`; `encoder` and `decoder` activations at their widest moment; `kv_cache`.

    Raises:
        InputError: an argument lies outside what the backbone allows.
    """
    _check(batch_size, attention)
    parts = _inference_parts(
        backbone, audio_seconds, reduction or _NONE, n_output_tokens,
        prompt_tokens(backbone) if n_prompt_tokens is None else n_prompt_tokens,
        batch_size * element_bytes(dtype), element_bytes(dtype), attention, padding, kv_cache,
        check_task(backbone, task),
    )  # fmt: skip
    counted = cast("dict[str, int]", parts)
    return Memory(total=cast("int", _peak(parts)), parts=counted)


def inference_bytes(
    backbone: Backbone,
    *,
    audio_seconds: Seconds,
    reduction: Reduction,
    n_output_tokens: Count = 0,
    padding: str = "dynamic",
    task: str | None = None,
) -> Count:
    """Total of `inference_memory` of many windows, each alone, float32, fused attention, cached.

    Args:
        backbone: dimensions.
        audio_seconds: of each window, shape (m,).
        reduction: x_V of all.
        n_output_tokens: of each window, shape (m,), all positive; or 0 for all.
        padding: of all.
        task: the backbone's own by default.

    Raises:
        InputError: an argument lies outside what the backbone allows.
    """
    size = element_bytes("float32")
    return _peak(
        _inference_parts(
            backbone, audio_seconds, reduction, n_output_tokens, prompt_tokens(backbone), size,
            size, "sdpa", padding, True, check_task(backbone, task),
        )
    )  # fmt: skip


def _peak(parts: dict[str, Count]) -> Count:
    return parts["weights"] + largest(parts["encoder"], parts["decoder"] + parts["kv_cache"])


def _inference_parts(
    backbone: Backbone,
    audio_seconds: Seconds,
    reduction: Reduction,
    n_output: Count,
    n_prompt: int,
    batch_bytes: int,
    weight_bytes: int,
    attention: str,
    padding: str,
    kv_cache: bool,
    task: str,
) -> dict[str, Count]:
    """Bytes by part; `batch_bytes` are those of one element in every window of a batch."""
    weights = model_parameters(backbone, audio_seconds, reduction, padding, task)
    cache: Count = 0
    decoding: Count = 0
    encoding = _encoder_live(backbone, audio_seconds, reduction, padding, attention)
    if task == "asr" and isinstance(backbone, Whisper) and least(n_output):
        source = encoder_tokens(backbone, audio_seconds, reduction, padding)
        if kv_cache:
            cache = kv_cache_elements(backbone, source, n_prompt, n_output)
        decoding = _decoder_live(backbone, source, n_prompt, n_output, kv_cache)
    return {
        "weights": weights * weight_bytes,
        "encoder": encoding * batch_bytes,
        "decoder": decoding * batch_bytes,
        "kv_cache": cache * batch_bytes,
    }


def _encoder_live(
    backbone: Backbone, audio_seconds: Seconds, reduction: Reduction, padding: str, attention: str
) -> Count:
    """Most elements alive at once in stem and layers, for one window."""
    d, f = backbone.d_model, backbone.ffn_dim
    n = encoder_positions(backbone, audio_seconds, reduction, padding)
    if isinstance(backbone, Whisper):
        frames = mel_frames(backbone, audio_seconds, reduction, padding)
        given = frames * backbone.n_mels
        stem = 2 * frames * d  # a convolution's output and its activation
    else:
        lengths = conv_lengths(backbone, audio_seconds, padding)
        given = rounded(SAMPLE_RATE * check_all_seconds(backbone, audio_seconds))
        stem = 2 * largest(*(n * c for n, c in zip(lengths, backbone.conv_dim, strict=True)))
    # Attending: residual, normed input, query, key, value, result; eager adds scores and weights.
    # Feeding: embeddings, layer input, residual, normed input, both sides of the non-linearity; the
    # eager weights are still held by the layer's frame.
    square = backbone.n_heads * n * n if attention == "eager" else 0
    attending = 6 * n * d + 2 * square
    feeding = 4 * n * d + 2 * n * f + square
    return given + largest(stem, attending, feeding)


def _decoder_live(
    backbone: Whisper, n_source: Count, n_prompt: int, n_output: Count, kv_cache: bool
) -> Count:
    """Encoder states, one layer's keys and values while they grow, and the logits."""
    fed = n_prompt + n_output - 1
    d, width = backbone.d_model, n_prompt if kv_cache else fed
    growing = 2 * d * (fed if kv_cache else n_source)
    layer = width * (4 * d + 2 * backbone.ffn_dim) + backbone.n_heads * width * n_source
    return n_source * d + growing + layer + 2 * backbone.vocab_size


def training_memory(
    backbone: Backbone,
    *,
    audio_seconds: float,
    reduction: Reduction | None = None,
    adaptation: Adaptation,
    n_label_tokens: int = 0,
    micro_batch: int = 1,
    precision: str = "float32",
    attention: str = "sdpa",
    gradient_checkpointing: bool = False,
    padding: str = "dynamic",
    task: str | None = None,
) -> Memory:
    """Peak bytes of a training step with AdamW.

    Parts: `weights` (frozen and trained), `adapters`, `gradients`, `optimiser`, `activations` (saved for
    the backward pass), `workspace` (gradients of the widest layer and of the logits) and, under
    bfloat16, `weight_copies`.

    Args:
        backbone: dimensions.
        audio_seconds: x_T.
        reduction: x_V.
        adaptation: what is trained; `none` needs no more than a forward pass.
        n_label_tokens: label tokens of one window, end token included.
        micro_batch: windows in one forward and backward.
        precision: `float32`, or `bfloat16` for autocast.
        attention: `eager` or `sdpa`.
        gradient_checkpointing: keep each layer's input alone and run the layer again.
        padding: `dynamic` or `padded30`.
        task: the backbone's own by default.

    Raises:
        InputError: an argument lies outside what the backbone allows.
    """
    _check(micro_batch, attention)
    size, x_v, chosen = element_bytes(precision), reduction or _NONE, check_task(backbone, task)
    if precision not in ("float32", "bfloat16"):
        raise InputError(f"precision must be float32 or bfloat16, got {precision!r}")
    if adaptation.kind == "none":
        return inference_memory(
            backbone, audio_seconds=audio_seconds, reduction=x_v, n_output_tokens=n_label_tokens,
            batch_size=micro_batch, dtype=precision, attention=attention, padding=padding, task=chosen,
        )  # fmt: skip
    treatment = treatment_of(backbone, adaptation, chosen)
    held = model_parameters(backbone, audio_seconds, x_v, padding, chosen)
    adapters = lora_parameters(backbone, adaptation, chosen)
    trained = trainable_parameters(backbone, adaptation, chosen)
    saved, workspace = saved_elements(
        backbone, audio_seconds, x_v, treatment, n_label_tokens, padding, chosen,
        attention == "eager", gradient_checkpointing, adaptation.lora_dropout > 0,
    )  # fmt: skip
    parts = {
        "weights": 4 * held,
        "adapters": 4 * adapters,
        "gradients": 4 * trained,
        "optimiser": 4 * ADAM_MOMENTS * trained,
        "activations": size * micro_batch * saved,
        "workspace": size * micro_batch * workspace,
    }
    if precision == "bfloat16":
        parts["weight_copies"] = size * _passed_weights(backbone, treatment, held)
    return Memory(total=sum(parts.values()), parts=parts)


def _passed_weights(backbone: Backbone, treatment: Treatment, held: int) -> int:
    """Weights that gradients pass, which autocast keeps as a copy: all but a frozen front end."""
    if treatment.full or isinstance(backbone, Whisper):
        return held
    return held - sum(
        k * a * b
        for k, a, b in zip(
            backbone.conv_kernel, (1, *backbone.conv_dim[:-1]), backbone.conv_dim, strict=True
        )
    )
