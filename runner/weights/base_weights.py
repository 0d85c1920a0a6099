"""Pretrained tensors that a worker process keeps between its trials, so that they are read once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.words.catalogue import Backbone
from planner.words.families.base import Conformer
from runner.models.base import Tokenizer
from runner.weights.ctc_vocabulary import ctc_vocabulary
from runner.weights.resolve import SpeechTokenizer, load_state, resolve_weights
from runner.weights.tokenizer import PlainTokenizer

if TYPE_CHECKING:
    from torch import Tensor

CTC_HEADS = ("lm_head.", "ctc_head.")
"""Names of a CTC head's tensors in transformers."""

KEPT = 2
"""Backbones kept at once (assumption: a sweep's neighbouring trials use one or two)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseWeights:
    """Tensors in transformers' naming, tokenizer and config, and where they came from.

    `vocabulary`: tokens of a CTC checkpoint in the order of their ids; empty where it has none. A head without a
    vocabulary names nothing, and is left out of the tensors.
    """

    state: Mapping[str, Tensor] | None
    tokenizer: Tokenizer | None
    vocabulary: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
    digest: str | None = None


_kept: OrderedDict[tuple[Backbone, Path | None], BaseWeights] = OrderedDict()


def base_weights(backbone: Backbone, folder: Path | None) -> BaseWeights:
    """The weights of a backbone, from memory where this process has read them before.

    Raises:
        MissingResourceError: they cannot be had.
        InputError: the folder holds another backbone.
    """
    key = (backbone, folder)
    if key not in _kept:
        weights = resolve_weights(backbone, folder=folder)
        state, config, tokenizer = load_state(weights)
        read = None if tokenizer is None else tokenizer_of(backbone, tokenizer)
        vocabulary = () if tokenizer is not None else ctc_vocabulary(weights.folder)
        if isinstance(backbone, Conformer) and isinstance(read, PlainTokenizer):
            vocabulary = read.tokens
        if tokenizer is None and not vocabulary:
            state = {k: v for k, v in state.items() if not k.startswith(CTC_HEADS)}
        _kept[key] = BaseWeights(
            state=state,
            vocabulary=vocabulary,
            tokenizer=read,
            config=config,
            source=weights.source,
            digest=weights.digest,
        )
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    _kept.move_to_end(key)
    return _kept[key]


def tokenizer_of(backbone: Backbone, path: Path) -> Tokenizer:
    """The tokenizer of a checkpoint that writes with a decoder: Whisper's, or a plain one.

    Raises:
        MissingResourceError: it is not there, or cannot be read.
    """
    return SpeechTokenizer(path) if backbone.family == "whisper" else PlainTokenizer(path)


def held_bytes(backbone: Backbone, folder: Path | None) -> int:
    """Bytes that `base_weights` already holds for this backbone; 0 before its first use."""
    held = _kept.get((backbone, folder))
    if held is None or held.state is None:
        return 0
    distinct = {t.data_ptr(): t.numel() * t.element_size() for t in held.state.values()}
    return sum(distinct.values())
