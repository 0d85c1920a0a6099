"""Guards against text that was not said, for every decoder alike: limits, loops, and what is decoded again.

Pure functions of ids and text, so that each engine can hold to the rule that the trial was scored by.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

from planner.words.records import Decoding
from runner.models.base import SAMPLE_RATE

LOOP_TIMES = 3
"""How often in a row a piece of text stands where it counts as a loop (assumption: nobody says it so often)."""

LEAST_IDS = 8
"""Ids that a loop takes up at least: `no, no, no` is said (assumption)."""

LOOP_IDS = 16
"""Longest piece that is looked for, in ids (assumption: a sentence)."""


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
    most, least = decoding.max_compression_ratio, decoding.min_log_probability
    return (
        at_limit(ids, limit)
        or loops(ids)
        or (most is not None and bool(text) and compression_ratio(text) > most)
        or (least is not None and log_probability / max(1, n_tokens) < least)
    )
