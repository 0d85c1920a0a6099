"""Guards against text that was not said, for every decoder alike: limits, loops, what is cut and what is decoded again.

Pure functions of ids and text, so that each engine can hold to the rule that the trial was scored by.
"""

from __future__ import annotations

import math
import unicodedata
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from planner.words.records import Decoding
from runner.models.base import SAMPLE_RATE

LOOP_TIMES = 3
"""How often in a row a piece of text stands where it counts as a loop (assumption: nobody says it so often)."""

LEAST_IDS = 8
"""Ids that a loop takes up at least: `no, no, no` is said (assumption)."""

LOOP_IDS = 16
"""Longest piece that is looked for, in ids (assumption: a sentence)."""

SAID_BEFORE = 4
"""Word pieces in a row that count as said before (assumption; 3 and 4 cut the same windows of the measurement in
notebooks/LOG.md, 2026-11-30)."""

LEAST_CUT = 2
"""Word pieces that are cut at least: a last word may well have been said before (assumption)."""

TextOf = Callable[[Sequence[int]], str]
"""The text of token ids."""


@dataclass(slots=True)
class Row:
    """Generated ids of one window, without the end token; `n_tokens` counts it.

    `log_probability` is the sum over the tokens (nats), where it was asked for. Of a window that was decoded
    again `n_tokens` counts both times, and of one whose repeats were cut those too, as all were paid for.
    """

    ids: list[int]
    n_tokens: int = 0
    log_probability: float = 0.0
    fell_back: bool = False
    repeats_cut: bool = False


def token_limit(decoding: Decoding, n_samples: int, room: int | None = None) -> int:
    """Most output tokens of a window that holds so many samples, the end token included.

    `room`: ids that the decoder has positions for beside its prompt; None: not asked.

    >>> token_limit(Decoding(max_new_tokens=444), 30 * SAMPLE_RATE), token_limit(Decoding(), 30 * SAMPLE_RATE)
    (241, 128)
    """
    by_length = math.ceil(decoding.max_tokens_per_second * n_samples / SAMPLE_RATE) + 1
    most = min(decoding.max_new_tokens, by_length)
    return most if room is None else min(most, room)


def at_limit(ids: Sequence[int], limit: int) -> bool:
    """Whether a text was cut: it has as many ids as it might, and no end."""
    return len(ids) >= limit


def compression_ratio(text: str) -> float:
    """Bytes of a text over those of its zlib form, as OpenAI's decoder has it (whisper/utils.py)."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw))


def loops(ids: Sequence[int]) -> bool:
    """Whether some piece of at most LOOP_IDS ids stands LOOP_TIMES or more in a row, LEAST_IDS in all.

    >>> loops([7, 1, 2, 1, 2, 1, 2, 1, 2]), loops([1, 2, 3, 4, 1, 2, 3, 4]), loops([5, 5, 5])
    (True, False, False)
    """
    for width in range(1, min(LOOP_IDS, len(ids) // LOOP_TIMES) + 1):
        alike = 0
        for first, second in zip(ids, ids[width:], strict=False):
            alike = alike + 1 if first == second else 0
            if alike >= max(width * LOOP_TIMES, LEAST_IDS) - width:
                return True
    return False


def is_suspicious(
    text: str,
    ids: Sequence[int],
    limit: int,
    log_probability: float,
    n_tokens: int,
    decoding: Decoding,
) -> bool:
    """Whether a window is to be decoded again.

    Args:
        text: what was written.
        ids: its ids without the end token.
        limit: most output tokens that the window had.
        log_probability: summed over its tokens (nats).
        n_tokens: of these, the end token included.
        decoding: the thresholds.
    """
    if not decoding.is_guarded:
        return False
    least = decoding.min_log_probability
    return runs_on(text, ids, limit, decoding) or (
        least is not None and log_probability / max(1, n_tokens) < least
    )


def runs_on(text: str, ids: Sequence[int], limit: int, decoding: Decoding) -> bool:
    """Whether a text looks as if it had no end: by its limit, a loop, or how well it compresses."""
    most = decoding.max_compression_ratio
    too_alike = most is not None and bool(text) and compression_ratio(text) > most
    return at_limit(ids, limit) or loops(ids) or too_alike


def before_repeats(ids: Sequence[int], text_of: TextOf) -> int | None:
    """How many ids to keep of a text whose end was all said before in it; None where its end is new.

    The end is what consists of pieces of at least `SAID_BEFORE` words or parts of words that stand earlier, the last
    of them cut at any place. Case, spaces and punctuation do not tell pieces apart.

    >>> words = "press 1 to go on . Press 1 to go on , press 1".split()
    >>> before_repeats(range(15), lambda ids: " ".join(words[i] for i in ids))
    6
    """
    places = [(i, said) for i, one in enumerate(ids) if (said := _said(one, text_of))]
    pieces = [said for _, said in places]
    start = _start_of_repeats(pieces)
    return None if len(pieces) - start < LEAST_CUT else places[start][0]


def _said(one: int, text_of: TextOf) -> str:
    """What an id says, without case and punctuation; of a part of a character, or without a text, the id itself."""
    text = text_of([one])
    if not text or "\ufffd" in text:
        return f"#{one}"
    return "".join(c for c in text.casefold() if unicodedata.category(c)[0] in "LMN")


def _start_of_repeats(pieces: Sequence[str]) -> int:
    """First place from which all is copied from before it, piece by piece; the length where there is none."""
    n = len(pieces)
    # copied[i]: pieces from i on that stand somewhere earlier as well.
    copied, after = [0] * (n + 1), [0] * (n + 1)
    for i in range(n - 1, 0, -1):
        alike = [after[j + 1] + 1 if pieces[j] == pieces[i] else 0 for j in range(i)]
        copied[i], after = max(alike), [*alike, 0]
    is_copied = [False] * n + [True]
    for i in range(n - 1, 0, -1):
        ends = range(i + SAID_BEFORE, i + copied[i] + 1)
        is_copied[i] = i + copied[i] == n or any(is_copied[end] for end in ends)
    return next(i for i in range(1, n + 1) if is_copied[i]) if n else 0


def guarded(
    first: Sequence[Row],
    limits: Sequence[int],
    decoding: Decoding,
    text_of: TextOf,
    again: Callable[[list[int]], Sequence[Row]],
) -> list[Row]:
    """What is kept of decoded windows: suspicious ones are cut before their repeats, or decoded again.

    A window that runs on keeps one copy of what it repeats (`cut_repeats`). Others that are suspicious are decoded
    once more without repeated n-grams, where OpenAI's decoder samples at rising temperatures: this is the same on
    every machine and engine.

    Args:
        first: each window's text as it was decoded without guards.
        limits: most output tokens of each.
        decoding: the rule.
        text_of: ids to text.
        again: decodes windows by their places with `decoding.fallback`.
    """
    rows = list(first)
    if not decoding.is_guarded:
        return rows
    doubtful = []
    for i, (row, limit) in enumerate(zip(rows, limits, strict=True)):
        text = text_of(row.ids)
        if is_suspicious(text, row.ids, limit, row.log_probability, row.n_tokens, decoding):
            rows[i] = _cut(row, text, limit, decoding, text_of)
            if not rows[i].repeats_cut:
                doubtful.append(i)
    second = again(doubtful) if doubtful else ()
    for i, row in zip(doubtful, second, strict=True):
        made = Row(ids=row.ids, n_tokens=rows[i].n_tokens + row.n_tokens, fell_back=True)
        rows[i] = _cut(made, text_of(row.ids), limits[i], decoding, text_of)
    return rows


def _cut(row: Row, text: str, limit: int, decoding: Decoding, text_of: TextOf) -> Row:
    """The row with one copy of what it repeats to its end, where that is asked for and it runs on."""
    if not (decoding.cut_repeats and runs_on(text, row.ids, limit, decoding)):
        return row
    kept = before_repeats(row.ids, text_of)
    return row if kept is None else replace(row, ids=row.ids[:kept], repeats_cut=True)
