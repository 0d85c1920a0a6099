"""Greedy decoding in numpy over an engine's decoder step: the same rules as `runner.models.decode.greedy`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from planner.words.records import Decoding
from runner.engines.description import Specials
from runner.engines.features import Floats

Ids = npt.NDArray[np.int64]


class Steps(Protocol):
    """A decoder over some windows, with its cache."""

    def logits(self, tokens: Ids) -> Floats:
        """Scores of the next id after `tokens`, shape (rows, n) to (rows, vocabulary)."""
        ...

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows alone."""
        ...


@dataclass(slots=True)
class Written:
    """Ids of one window without the end token; `n_tokens` counts it.

    `log_probability` is the sum over the tokens, where it was asked for.
    """

    ids: list[int] = field(default_factory=list)
    n_tokens: int = 0
    log_probability: float = 0.0


def bias(specials: Specials, vocab_size: int) -> Floats:
    """Added to the logits: minus infinity for ids that are never written, shape (vocab_size,)."""
    out = np.zeros(vocab_size, dtype=np.float32)
    out[specials.end + 1 :] = -np.inf
    out[list(specials.silent)] = -np.inf
    return out


def banned(ids: Sequence[int], n: int) -> list[int]:
    """Ids that would complete an n-gram which `ids` already hold."""
    if not n or len(ids) < n:
        return []
    ahead = tuple(ids[len(ids) - n + 1 :])
    starts = range(len(ids) - n + 1)
    return [ids[i + n - 1] for i in starts if tuple(ids[i : i + n - 1]) == ahead]


def greedy(
    steps: Steps,
    specials: Specials,
    vocab_size: int,
    decoding: Decoding,
    ends: Sequence[int],
    *,
    exactly: int | None = None,
    confidences: bool = False,
) -> list[Written]:
    """Most probable next id until the end token or the limit, for every window of a batch.

    Args:
        steps: the decoder, its cache empty.
        specials: ids that steer it.
        vocab_size: number of ids.
        decoding: its guard against repetition.
        ends: most output tokens of each window.
        exactly: force so many tokens in every window, for latency.
        confidences: also sum the log-probabilities of what was written.
    """
    rows = [Written() for _ in ends]
    active = list(range(len(rows)))
    never = bias(specials, vocab_size)
    begin = never.copy()
    begin[list(specials.begin)] = -np.inf
    tokens: Ids = np.tile(np.array(specials.prompt, dtype=np.int64), (len(rows), 1))
    first = True
    while active:
        scores = steps.logits(tokens)
        scores = scores + (begin if first else never)
        first = False
        for place, index in enumerate(active):
            scores[place, banned(rows[index].ids, decoding.no_repeat_ngram)] = -np.inf
        chosen = scores.argmax(axis=-1)
        if confidences:
            _add_confidence(scores, chosen, [rows[i] for i in active])
        kept = []
        for place, index in enumerate(active):
            row, token = rows[index], int(chosen[place])
            row.n_tokens += 1
            if token == specials.end and exactly is None:
                continue
            row.ids.append(token)
            if row.n_tokens < (exactly or ends[index]):
                kept.append(place)
        if kept and len(kept) < len(active):
            steps.keep(kept)
        active = [active[place] for place in kept]
        tokens = chosen[kept][:, None].astype(np.int64)
    return rows


def _add_confidence(scores: Floats, chosen: npt.NDArray[np.intp], rows: Sequence[Written]) -> None:
    for row, score, token in zip(rows, scores, chosen, strict=True):
        top = float(score[token])
        row.log_probability -= float(np.log(np.exp(score - top).sum()))
