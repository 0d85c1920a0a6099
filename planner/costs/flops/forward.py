"""FLOPs of a configuration from its dimensions alone, under a named convention.

Convention `exact/1`: 2 per multiply-add of convolutions, projections and both attention products;
cross-attention keys and values once where there is a cache; causal masks not halved, as eager attention
computes the whole square; adapters merged at inference. Left out: softmax, norms, activations, biases,
pooling, embedding look-ups, the loss, the optimiser's step, mel features. Counts are integers below 2^63
(planner/costs/windows.py says how far that reaches), equal to
`torch.utils.flop_counter.FlopCounterMode` on the real modules (tests/costs/flops/test_flops_against_torch.py).

`same2026/1` is the study's formula (planner/costs/flops/same2026.py): for comparison, never the default.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from planner.costs.flops import same2026
from planner.costs.flops.layers import FROZEN
from planner.costs.flops.ledger import PARTS, Ledger
from planner.costs.flops.lengths import encoder_positions, encoder_tokens, mel_frames
from planner.costs.flops.modules import (
    decodes,
    encoder_walk,
    generation_entries,
    head_walk,
)
from planner.costs.windows import NO_REDUCTION, Ints, Windows, windows_of
from planner.errors import InputError, UnknownNameError
from planner.words.catalogue import Backbone, Whisper
from planner.words.families.base import Conformer, SampleListener
from planner.words.languages import ENGLISH_VOCABULARY
from planner.words.records import TASKS, Reduction

__all__ = [
    "CONVENTIONS",
    "PARTS",
    "Flops",
    "encoder_positions",
    "encoder_tokens",
    "forward_flops",
    "forward_parts",
    "mel_frames",
    "prompt_tokens",
    "resolve_convention",
]

CONVENTIONS = ("exact/1", same2026.CONVENTION)
"""All conventions, the default first; a changed meaning gets a new version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flops:
    """FLOPs of one forward pass (one utterance window) by part, under a convention."""

    convention: str
    total: int
    parts: dict[str, int]


def resolve_convention(name: str) -> str:
    """The convention's full name, `exact` meaning the newest `exact/…`.

    >>> resolve_convention("exact")
    'exact/1'

    Raises:
        UnknownNameError: there is no such convention.
    """
    for known in CONVENTIONS:
        if name in (known, known.split("/")[0]):
            return known
    raise UnknownNameError("FLOP convention", name, CONVENTIONS)


def check_task(backbone: Backbone, task: str | None) -> str:
    """The task to count for: the backbone's own unless given.

    Raises:
        InputError: the task is unknown, or no head for it is known on the backbone.
    """
    chosen = backbone.task if task is None else task
    if chosen not in TASKS:
        raise InputError(f"task must be one of {', '.join(TASKS)}, got {task!r}")
    if chosen != "asr" and isinstance(backbone, SampleListener | Conformer):
        raise InputError(
            f"{backbone.name} writes text alone; choose a wav2vec2, HuBERT, WavLM or Whisper backbone for {chosen}"
        )
    return chosen


def prompt_tokens(backbone: Backbone) -> int:
    """Decoder tokens that are given: Whisper's start, language, task, no timestamps; two for English-only."""
    if isinstance(backbone, SampleListener):
        return backbone.n_prompt_tokens
    english = isinstance(backbone, Whisper) and backbone.vocab_size == ENGLISH_VOCABULARY
    return 2 if english else 4


def check_tokens(backbone: Whisper | SampleListener, n_prompt: int, n_output: int) -> None:
    """Refuse prompt and output tokens that the decoder cannot take.

    Raises:
        InputError: one is no integer or too small, or both need more positions than there are.
    """
    for name, value, lowest in (
        ("n_prompt_tokens", n_prompt, 1),
        ("n_output_tokens", n_output, 0),
    ):
        if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
            raise InputError(f"{name} must be an integer of at least {lowest}, got {value!r}")
    fed = n_prompt + max(n_output - 1, 0)
    if fed > backbone.max_target_positions:
        raise InputError(
            f"{n_prompt} prompt and {n_output} output tokens need {fed} decoder positions, "
            f"{backbone.name} has {backbone.max_target_positions}; ask for fewer output tokens"
        )


def forward_flops(
    backbone: Backbone,
    *,
    audio_seconds: float,
    reduction: Reduction | None = None,
    n_output_tokens: int = 0,
    n_prompt_tokens: int | None = None,
    padding: str = "dynamic",
    kv_cache: bool = True,
    convention: str = "exact/1",
    task: str | None = None,
) -> Flops:
    """FLOPs of transcribing (or classifying) one window of audio, batch 1, greedy.

    Args:
        backbone: dimensions.
        audio_seconds: x_T, seconds in the window.
        reduction: x_V; none by default.
        n_output_tokens: generated tokens, the end token included; the decoder runs a prefill over the
            prompt and n_output_tokens - 1 steps. 0: the encoder alone. Without meaning for emotion and
            for CTC, whose head runs on every encoder token.
        n_prompt_tokens: decoder tokens that are given; the backbone's own by default (4, or 2 for `.en`).
        padding: `dynamic`, or `padded30` for the study's execution.
        kv_cache: whether keys and values are kept between steps.
        convention: see `CONVENTIONS`.
        task: `asr` (a decoder, or a CTC head on an encoder) or `emotion` (a classification head); the
            backbone's own by default.

    Raises:
        InputError: an argument lies outside what the backbone allows.

    >>> from planner.words.catalogue import backbone
    >>> forward_flops(backbone("whisper-tiny"), audio_seconds=30.0).total
    36937728000
    """
    chosen_convention, chosen = resolve_convention(convention), check_task(backbone, task)
    n_prompt = prompt_tokens(backbone) if n_prompt_tokens is None else n_prompt_tokens
    if decodes(backbone, chosen):
        check_tokens(backbone, n_prompt, n_output_tokens)
    counted = _forward(
        backbone, audio_seconds, reduction or NO_REDUCTION, n_output_tokens, n_prompt, padding,
        bool(kv_cache), chosen_convention, chosen,
    )  # fmt: skip
    return replace(counted, parts=dict(counted.parts))


@lru_cache(maxsize=65536)
def _forward(
    backbone: Backbone,
    audio_seconds: float,
    reduction: Reduction,
    n_output: int,
    n_prompt: int,
    padding: str,
    kv_cache: bool,
    convention: str,
    task: str,
) -> Flops:
    one = windows_of(backbone, audio_seconds, reduction, n_output_tokens=n_output, padding=padding)
    counted = forward_parts(
        one, n_prompt_tokens=n_prompt, kv_cache=kv_cache, convention=convention, task=task
    )
    parts = {part: int(flops[0]) for part, flops in counted.items()}
    return Flops(convention=convention, total=sum(parts.values()), parts=parts)


def forward_parts(
    windows: Windows,
    *,
    n_prompt_tokens: int | None = None,
    kv_cache: bool = True,
    convention: str = "exact/1",
    task: str | None = None,
) -> dict[str, Ints]:
    """FLOPs by part, each of shape (m,): of each window alone, as `forward_flops` says.

    Raises:
        InputError: an argument lies outside what the backbone allows.
    """
    convention, task = resolve_convention(convention), check_task(windows.backbone, task)
    backbone, n_output = windows.backbone, windows.n_output_tokens
    n_prompt = prompt_tokens(backbone) if n_prompt_tokens is None else n_prompt_tokens
    if decodes(backbone, task):
        check_all_tokens(windows, n_prompt)
    if convention == same2026.CONVENTION:
        return same2026.parts(windows)
    ledger = Ledger(len(windows))
    n_source, grad = encoder_walk(ledger, windows)
    if not decodes(backbone, task):
        head_walk(ledger, backbone, task, n_source, grad, FROZEN)
    elif windows.generates:
        generation_entries(ledger, backbone, n_source, n_prompt, n_output, kv_cache)
    return ledger.forward


def check_all_tokens(windows: Windows, n_prompt: int) -> None:
    """As `check_tokens`, of all windows."""
    assert isinstance(windows.backbone, Whisper | SampleListener)
    for end in (windows.n_output_tokens.min(), windows.n_output_tokens.max()):
        check_tokens(windows.backbone, n_prompt, int(end))
