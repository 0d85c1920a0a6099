"""FLOPs of training: what an adaptation trains, and one example forward and backward.

Counted as `planner.costs.flops.forward` counts, convention `exact/1` alone; the loss and the optimiser's step are
left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from planner.costs.flops.forward import (
    CONVENTIONS,
    check_all_tokens,
    check_task,
    check_tokens,
    prompt_tokens,
    resolve_convention,
)
from planner.costs.flops.layers import FROZEN, Treatment
from planner.costs.flops.ledger import Ledger
from planner.costs.flops.modules import decoder_walk, decodes, encoder_walk, head_walk
from planner.costs.windows import NO_REDUCTION, Ints, Windows, windows_of
from planner.errors import InputError, UnknownNameError
from planner.words.catalogue import Backbone, Wav2Vec2
from planner.words.families.base import Conformer, SampleListener
from planner.words.records import Adaptation, Reduction
from planner.words.treatments import decoder_only

TARGETS = {
    "q": ("q", "q_proj", "linear_q"),
    "k": ("k", "k_proj", "linear_k"),
    "v": ("v", "v_proj", "linear_v"),
    "o": ("o", "out_proj", "o_proj", "linear_out"),
    "fc1": ("fc1", "intermediate_dense", "linear1"),
    "fc2": ("fc2", "output_dense", "linear2"),
    "position": ("relative_k_proj",),
    "projection": ("projection", "linear"),
}
"""Projections that LoRA may target, with the names of the families' modules; `projection` is the one of
wav2vec2's and w2v-BERT's features and behind Parakeet's convolutions, `position` that of Parakeet's distances."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingFlops:
    """FLOPs of one training example: forward, gradients of activations, gradients of weights.

    `recomputed` is what layers compute again under gradient checkpointing, as torch's non-reentrant form
    does (`planner.costs.flops.ledger`), else 0.
    """

    convention: str
    forward: int
    activation_gradients: int
    weight_gradients: int
    recomputed: int
    total: int


def treatment_of(backbone: Backbone, adaptation: Adaptation, task: str | None = None) -> Treatment:
    """What the adaptation trains, for the ledger.

    LoRA's `all-linear` means the six projections of every transformer layer (query, key, value, output,
    both of the feed-forward), in encoder and decoder, and wav2vec2's feature projection; a conformer has two
    feed-forwards a layer, and Parakeet a projection of distances. Other targets
    are a comma-separated list, and `decoder.` before each of them means the decoder alone. With LoRA a
    head on an encoder (of classes, or of a CTC vocabulary) is trained in full. Top-k layers are the last
    k of the encoder; they get no adapters.

    Raises:
        InputError: a target is not known, there are fewer than k layers, or DoRA is asked for.
    """
    if adaptation.kind == "full":
        return Treatment(full=True, head=True)
    if adaptation.kind == "none":
        return FROZEN
    if adaptation.dora:
        raise InputError("FLOPs of DoRA are not counted; use LoRA or rsLoRA for a planned cost")
    if adaptation.top_k_layers > backbone.encoder_layers:
        raise InputError(
            f"top_k_layers {adaptation.top_k_layers} is more than {backbone.name} has; "
            f"use at most {backbone.encoder_layers}"
        )
    return Treatment(
        adapted=_targets(adaptation.targets),
        rank=adaptation.lora_rank or 0,
        top_k=adaptation.top_k_layers,
        head=not decodes(backbone, check_task(backbone, task)),
        decoder_only=_decoder_only(backbone, adaptation.targets, task),
    )


def _decoder_only(backbone: Backbone, targets: str, task: str | None) -> bool:
    within = decoder_only(targets)
    if within and not decodes(backbone, check_task(backbone, task)):
        raise InputError(
            f"LoRA targets {targets!r} are the decoder's, and a head on {backbone.name} has none; "
            f"use {targets.replace('decoder.', '')}"
        )
    return within


def _targets(text: str) -> frozenset[str]:
    text = text.replace("decoder.", "")
    if text == "all-linear":
        return frozenset(TARGETS)
    chosen = set()
    for name in (part.strip() for part in text.split(",")):
        found = [key for key, names in TARGETS.items() if name in names]
        if not found:
            known = ["all-linear", *(n for names in TARGETS.values() for n in names)]
            raise UnknownNameError("LoRA target", name, known)
        chosen.update(found)
    return frozenset(chosen)


def training_flops(
    backbone: Backbone,
    *,
    audio_seconds: float,
    reduction: Reduction | None = None,
    adaptation: Adaptation,
    n_label_tokens: int = 0,
    n_prompt_tokens: int | None = None,
    padding: str = "dynamic",
    task: str | None = None,
    gradient_checkpointing: bool = False,
    convention: str = "exact/1",
) -> TrainingFlops:
    """FLOPs of one training example: forward, backward and, with checkpointing, the second forward.

    The decoder is teacher-forced on the prompt and n_label_tokens - 1 labels (the end token is a label and
    never an input), and the vocabulary is projected where there is a label. `none` trains nothing and
    costs 0. LoRA pays activation gradients through the frozen weights, but weight gradients of adapters only;
    where an input needs no gradient (the first layer's), none is counted, as none is formed.
    `full` trains every weight, the convolutional front end included; otherwise that is frozen and nothing
    is propagated through it.

    Raises:
        InputError: an argument lies outside what the backbone allows.
    """
    chosen, convention = check_task(backbone, task), resolve_convention(convention)
    if convention != CONVENTIONS[0]:
        raise InputError(f"convention {convention} does not define training FLOPs; use exact")
    n_prompt = prompt_tokens(backbone) if n_prompt_tokens is None else n_prompt_tokens
    if decodes(backbone, chosen):
        check_tokens(backbone, n_prompt, n_label_tokens)
    return _training(
        backbone, audio_seconds, reduction or NO_REDUCTION, adaptation, n_label_tokens, n_prompt,
        padding, chosen, gradient_checkpointing,
    )  # fmt: skip


@lru_cache(maxsize=16384)
def _training(
    backbone: Backbone,
    audio_seconds: float,
    reduction: Reduction,
    adaptation: Adaptation,
    n_label_tokens: int,
    n_prompt: int,
    padding: str,
    task: str,
    checkpointing: bool,
) -> TrainingFlops:
    one = windows_of(
        backbone, audio_seconds, reduction, n_output_tokens=n_label_tokens, padding=padding
    )
    counts = _trained(one, adaptation, n_prompt, task, checkpointing)
    forward, activation, weight, recomputed = (int(flops[0]) for flops in counts)
    return TrainingFlops(
        convention=CONVENTIONS[0],
        forward=forward,
        activation_gradients=activation,
        weight_gradients=weight,
        recomputed=recomputed,
        total=forward + activation + weight + recomputed,
    )


def training_totals(windows: Windows, adaptation: Adaptation, task: str | None = None) -> Ints:
    """Total FLOPs of one training example like each window, shape (m,), as `training_flops` counts them.

    Labels are the windows' output tokens.

    Raises:
        InputError: an argument lies outside what the backbone allows.
    """
    chosen, n_prompt = check_task(windows.backbone, task), prompt_tokens(windows.backbone)
    forward, activation, weight, _ = _trained(windows, adaptation, n_prompt, chosen, False)
    return forward + activation + weight


def _trained(
    windows: Windows, adaptation: Adaptation, n_prompt: int, task: str, checkpointing: bool
) -> tuple[Ints, Ints, Ints, Ints]:
    """Forward, activation gradients, weight gradients, and what is computed twice, each (m,)."""
    backbone, n_labels = windows.backbone, windows.n_output_tokens
    if decodes(backbone, task):
        check_all_tokens(windows, n_prompt)
        if n_labels.min() < 1:
            raise InputError(f"n_label_tokens must be at least 1, got {int(n_labels.min())!r}")
    treatment = treatment_of(backbone, adaptation, task)
    ledger = Ledger(len(windows), checkpointing=checkpointing)
    n_source, grad = encoder_walk(ledger, windows, treatment)
    if decodes(backbone, task):
        fed = n_prompt + n_labels - 1
        decoder_walk(ledger, backbone, n_source, grad, fed, n_labels, treatment)
    else:
        head_walk(ledger, backbone, task, n_source, grad, treatment)
    if treatment == FROZEN:
        ledger = Ledger(len(windows))
    return (
        _over_parts(ledger.forward.values(), len(windows)),
        _over_parts(ledger.activation.values(), len(windows)),
        _over_parts(ledger.weight.values(), len(windows)),
        ledger.recomputed,
    )


def _over_parts(parts: Iterable[Ints], m: int) -> Ints:
    """Their sum, shape (m,); zeros of none."""
    return sum(parts, np.zeros(m, dtype=np.int64))


def lora_parameters(backbone: Backbone, adaptation: Adaptation, task: str | None = None) -> int:
    """Parameters of the adapters: r (n_in + n_out) for each adapted projection."""
    treatment = treatment_of(backbone, adaptation, task)
    d, f = backbone.d_model, backbone.ffn_dim
    width = {"q": 2 * d, "k": 2 * d, "v": 2 * d, "o": 2 * d, "fc1": d + f, "fc2": d + f}
    attention = sum(width[t] for t in treatment.adapted & {"q", "k", "v", "o"})
    layer = sum(width.get(t, 0) for t in treatment.adapted)
    if isinstance(backbone, Conformer):
        return treatment.rank * _conformer_blocks(backbone, treatment, layer)
    within = 0 if treatment.decoder_only else backbone.encoder_layers - treatment.top_k
    blocks = within * layer
    if isinstance(backbone, Wav2Vec2) and "projection" in treatment.adapted:
        blocks += backbone.conv_dim[-1] + d
    if decodes(backbone, check_task(backbone, task)):
        gate = f if isinstance(backbone, SampleListener) and backbone.decoder_gated else 0
        gates = gate if "fc1" in treatment.adapted else 0
        blocks += backbone.decoder_layers * (layer + attention + gates)
    return treatment.rank * blocks


def _conformer_blocks(backbone: Conformer, treatment: Treatment, layer: int) -> int:
    """Inputs and outputs of all adapted projections; `layer` has those of one feed-forward."""
    d, f = backbone.d_model, backbone.ffn_dim
    layer += (d + f) * len(treatment.adapted & {"fc1", "fc2"})
    layer += 2 * d if backbone.projects_positions and "position" in treatment.adapted else 0
    projection = backbone.projection_width + d if "projection" in treatment.adapted else 0
    return (backbone.encoder_layers - treatment.top_k) * layer + projection
