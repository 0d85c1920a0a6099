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


FEW = 128
"""Candidates that are asked for first; `runner.engines.writing.vocabulary` says how far the best stands above them."""
MANY = 2048
"""And where those do not settle an id (assumption: a copy of 2,048 rows still costs less than the whole table)."""


LARGEST_GONE = 1.0 - 1e-6
"""Most of the probability that barred ids may take: their scores and the total are rounded apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Ids that may come next, k a row.

    Attributes:
        ids, scores: shape (rows, k), in no order; ids that are never written score minus infinity.
        ceiling: what no other id's score exceeds, shape (rows, 1).
        total: log(sum exp) of all scores, shape (rows, 1).
    """

    ids: Ids
    scores: Floats
    ceiling: Floats
    total: Floats


class Steps(Protocol):
    """A decoder over some windows, with its cache."""

    def after(self, tokens: Ids) -> Candidates:
        """What may follow `tokens` (rows, n), which the cache then holds."""
        ...

    def more(self, n_candidates: int) -> Candidates:
        """The same with so many candidates, the vocabulary's size for all."""
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


def never_written(end: int, silent: Sequence[int], vocab_size: int) -> Floats:
    """Added to the scores: minus infinity for ids above `end` and silent ones, shape (vocab_size,)."""
    out = np.zeros(vocab_size, dtype=np.float32)
    out[end + 1 :] = -np.inf
    out[list(silent)] = -np.inf
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
    tokens: Ids = np.tile(np.array(specials.prompt, dtype=np.int64), (len(rows), 1))
    barred = [list(specials.begin) for _ in rows]
    while active:
        # Forced on past its end a text is of no use, and neither is being sure of it.
        most = vocab_size if exactly is None else FEW
        chosen = _chosen(steps, tokens, [barred[i] for i in active], most)
        kept = []
        for place, index in enumerate(active):
            row = rows[index]
            goes_on = _write(row, chosen, place, None if exactly else specials.end, confidences)
            barred[index] = banned(row.ids, decoding.no_repeat_ngram)
            if goes_on and row.n_tokens < (exactly or ends[index]):
                kept.append(place)
        if kept and len(kept) < len(active):
            steps.keep(kept)
        active = [active[place] for place in kept]
        tokens = chosen.ids[kept]
    return rows


def _write(
    row: Written, chosen: Candidates, place: int, end: int | None, confidences: bool
) -> bool:
    """Write one token into a row; whether the text goes on."""
    token = int(chosen.ids[place, 0])
    row.n_tokens += 1
    if confidences:
        row.log_probability += float(chosen.scores[place, 0] - chosen.total[place, 0])
    if token == end:
        return False
    row.ids.append(token)
    return True


def _chosen(steps: Steps, tokens: Ids, barred: Sequence[Sequence[int]], most: int) -> Candidates:
    """The best id of each row that is not barred (k = 1), among `most` where fewer do not settle it."""
    found = steps.after(tokens)
    best = _best(found, barred)
    for n in (min(MANY, most), most):
        if n <= found.ids.shape[1] or (best.scores >= found.ceiling).all():
            break
        found = steps.more(n)
        best = _best(found, barred)
    return best


def _best(found: Candidates, barred: Sequence[Sequence[int]]) -> Candidates:
    scores, total = found.scores, found.total
    for place, ids in enumerate(barred):
        if ids:
            out = np.isin(found.ids[place], ids)
            gone = np.exp(scores[place, out] - total[place]).sum()
            total[place] += np.log1p(-min(gone, LARGEST_GONE))
            scores[place, out] = -np.inf
    at = scores.argmax(axis=-1)[:, None]
    return Candidates(
        ids=np.take_along_axis(found.ids, at, axis=-1),
        scores=np.take_along_axis(scores, at, axis=-1),
        ceiling=found.ceiling,
        total=total,
    )
