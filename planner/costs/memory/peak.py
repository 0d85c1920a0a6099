"""Peak memory of a configuration as closed forms, by part and element type.

Weights, adapters, gradients, optimiser state and key/value cache are exact element counts. Activations
are the tensors that a layer keeps alive, counted from transformers' modules (tests/costs/memory/test_peak.py
compares them with the tensors that autograd saves, and with the peak of live tensors at inference).

Assumptions: batch elements are alike; AdamW with two moments in the weights' type; gradients in
the weights' type; the allocator's fragmentation, CUDA's context and the libraries' workspaces are left
out; under bfloat16 training is autocast: weights stay float32 and those that gradients pass are kept once
more as bfloat16.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.costs.flops.forward import check_task, prompt_tokens
from planner.costs.flops.layers import Treatment
from planner.costs.flops.lengths import (
    SAMPLE_RATE,
    Whole,
    checked_seconds,
    conv_lengths_of,
    mel_frames_of,
    positions_of,
    rounded,
    tokens_of,
)
from planner.costs.flops.modules import decodes
from planner.costs.flops.training import lora_parameters, treatment_of
from planner.costs.memory.activations import SavedTensors, saved_elements
from planner.costs.memory.parameters import held_parameters, trainable_parameters
from planner.costs.windows import NO_REDUCTION, Ints, Windows, windows_of
from planner.errors import InputError, UnknownNameError
from planner.words.catalogue import Backbone, Wav2Vec2, Whisper
from planner.words.families.base import Conformer, SampleListener
from planner.words.records import Adaptation, Reduction

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "int8": 1}
"""Bytes of one element."""
ATTENTIONS = ("eager", "sdpa")
"""`eager` keeps the whole square of attention weights, `sdpa` (fused kernels) does not."""
ADAM_MOMENTS = 2
"""AdamW keeps two moments for each trained parameter."""


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


def kv_cache_elements(
    backbone: Whisper | SampleListener, n_source: Whole, n_prompt: int, n_output: Whole
) -> Whole:
    """Elements of the key/value cache of a window when its last token is written."""
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
    one = windows_of(
        backbone, audio_seconds, reduction or NO_REDUCTION, n_output_tokens=n_output_tokens,
        padding=padding,
    )  # fmt: skip
    n_prompt = prompt_tokens(backbone) if n_prompt_tokens is None else n_prompt_tokens
    size, chosen = element_bytes(dtype), check_task(backbone, task)
    elements = _inference_elements(one, n_prompt, attention, kv_cache, chosen)
    # In Python's own integers, as a batch of any size is asked about.
    parts = {
        name: int(n[0]) * size * (1 if name == "weights" else batch_size)
        for name, n in elements.items()
    }
    total = parts["weights"] + max(parts["encoder"], parts["decoder"] + parts["kv_cache"])
    return Memory(total=total, parts=parts)


def inference_bytes(windows: Windows, task: str | None = None) -> Ints:
    """Total of `inference_memory` of each window alone, float32, fused attention, cached, shape (m,).

    Raises:
        InputError: an argument lies outside what the backbone allows.
    """
    backbone = windows.backbone
    n = _inference_elements(
        windows, prompt_tokens(backbone), "sdpa", True, check_task(backbone, task)
    )
    widest = np.maximum(n["encoder"], n["decoder"] + n["kv_cache"])
    return np.asarray(element_bytes("float32") * (n["weights"] + widest))


def _inference_elements(
    windows: Windows, n_prompt: int, attention: str, kv_cache: bool, task: str
) -> dict[str, Ints]:
    """Elements by part of one window each, shape (m,)."""
    backbone, n_output = windows.backbone, windows.n_output_tokens
    parts = {
        "weights": held_parameters(windows, task),
        "encoder": _encoder_live(windows, attention),
        "decoder": np.zeros_like(n_output),
        "kv_cache": np.zeros_like(n_output),
    }
    if decodes(backbone, task) and windows.generates:
        source = tokens_of(windows)
        if kv_cache:
            parts["kv_cache"] = kv_cache_elements(backbone, source, n_prompt, n_output)
        parts["decoder"] = _decoder_live(backbone, source, n_prompt, n_output, kv_cache)
    return parts


def _encoder_live(windows: Windows, attention: str) -> Ints:
    """Most elements alive at once in stem and layers, for one window each, shape (m,)."""
    backbone = windows.backbone
    d, f, n = backbone.d_model, backbone.ffn_dim, positions_of(windows)
    if isinstance(backbone, Whisper):
        frames = mel_frames_of(windows)
        given = frames * backbone.n_mels
        stem = 2 * frames * d  # a convolution's output and its activation
    elif isinstance(backbone, Conformer):
        given, stem = _front_end_live(windows, backbone, n)
    else:
        lengths = conv_lengths_of(windows)
        given = rounded(SAMPLE_RATE * checked_seconds(windows))
        widths = [n * c for n, c in zip(lengths, backbone.conv_dim, strict=True)]
        stem = 2 * np.maximum.reduce(widths)
    # Attending: residual, normed input, query, key, value, result; eager adds scores and weights.
    # Feeding: embeddings, layer input, residual, normed input, both sides of the non-linearity; the
    # eager weights are still held by the layer's frame.
    square = backbone.n_heads * n * n if attention == "eager" else 0
    attending = 6 * n * d + 2 * square
    feeding = 4 * n * d + 2 * n * f + square
    if isinstance(backbone, Conformer):
        attending = attending + _positions_live(backbone, n)
    return np.asarray(given + np.maximum(np.maximum(stem, attending), feeding))


def _front_end_live(windows: Windows, backbone: Conformer, n: Ints) -> tuple[Ints, Ints]:
    """Elements of the features, and of the widest convolution with its activation."""
    lengths = (*conv_lengths_of(windows)[:-1], n)
    widths = [2 * lengths[s.at] * s.n_outputs for s in backbone.stem]
    return lengths[0] * backbone.n_mels, np.maximum.reduce([np.zeros_like(n), *widths])


def _positions_live(backbone: Conformer, n: Ints) -> Ints:
    """Scores of distances while they are shifted, and what they are of: projected distances or keys of pairs."""
    d, heads = backbone.d_model, backbone.n_heads
    if backbone.projects_positions:
        return 2 * heads * n * 2 * n + 2 * (2 * n - 1) * d
    return 2 * heads * n * n + 2 * n * n * (d // heads)


def _decoder_live(
    backbone: Whisper | SampleListener,
    n_source: Ints,
    n_prompt: int,
    n_output: Ints,
    kv_cache: bool,
) -> Ints:
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
    bfloat16 (autocast), `weight_copies`. Adaptation `none` needs no more than a forward pass; labels are
    those of one window, end token included; with checkpointing each layer's input alone is kept.

    Raises:
        InputError: an argument lies outside what the backbone allows.
    """
    _check(micro_batch, attention)
    size, chosen = _autocast_bytes(precision), check_task(backbone, task)
    x_v = reduction or NO_REDUCTION
    if adaptation.kind == "none":
        return inference_memory(
            backbone, audio_seconds=audio_seconds, reduction=x_v, n_output_tokens=n_label_tokens,
            batch_size=micro_batch, dtype=precision, attention=attention, padding=padding, task=chosen,
        )  # fmt: skip
    one = windows_of(backbone, audio_seconds, x_v, n_output_tokens=n_label_tokens, padding=padding)
    kept = SavedTensors(
        treatment=treatment_of(backbone, adaptation, chosen), eager=attention == "eager",
        dropout=adaptation.lora_dropout > 0, checkpointing=gradient_checkpointing,
    )  # fmt: skip
    saved, workspace = (int(n[0]) for n in saved_elements(one, chosen, kept))
    parts = _parameter_bytes(one, adaptation, chosen) | {
        "activations": size * micro_batch * saved,
        "workspace": size * micro_batch * workspace,
    }
    if precision == "bfloat16":
        parts["weight_copies"] = size * _passed(backbone, kept.treatment, parts["weights"] // 4)
    return Memory(total=sum(parts.values()), parts=parts)


def _autocast_bytes(precision: str) -> int:
    size = element_bytes(precision)
    if precision not in ("float32", "bfloat16"):
        raise InputError(f"precision must be float32 or bfloat16, got {precision!r}")
    return size


def _parameter_bytes(one: Windows, adaptation: Adaptation, task: str) -> dict[str, int]:
    """Bytes of the parameters, held as float32, and of what goes with those that are trained."""
    trained = trainable_parameters(one.backbone, adaptation, task)
    return {
        "weights": 4 * int(held_parameters(one, task)[0]),
        "adapters": 4 * lora_parameters(one.backbone, adaptation, task),
        "gradients": 4 * trained,
        "optimiser": 4 * ADAM_MOMENTS * trained,
    }


def _passed(backbone: Backbone, treatment: Treatment, held: int) -> int:
    """Weights that gradients pass, which autocast keeps as a copy: all but a frozen front end."""
    if treatment.full or not isinstance(backbone, Wav2Vec2):
        return held
    return held - sum(
        k * a * b
        for k, a, b in zip(
            backbone.conv_kernel, (1, *backbone.conv_dim[:-1]), backbone.conv_dim, strict=True
        )
    )
