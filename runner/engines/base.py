"""What every engine offers to the run-time side, and how a batch of windows is decoded with it."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from planner.words.records import Decoding
from runner.data.audio import Audio
from runner.models import guard
from runner.models.guard import token_limit as token_limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What an engine says about one window.

    Attributes:
        text: the words, or the class label.
        ids: written token ids without the end token; empty for a class.
        n_tokens: of them with the end token; 1 for a class.
        confidence: mean probability a token (geometric), or the class's; None where it was not asked for.
        log_probabilities: of the classes; empty for text.
        fell_back: whether it was decoded again, as the first text was suspicious.
        repeats_cut: whether what it repeated to its end was cut off; `n_tokens` and `confidence` count that too.
    """

    text: str
    ids: tuple[int, ...] = ()
    n_tokens: int = 1
    confidence: float | None = None
    log_probabilities: tuple[float, ...] = ()
    fell_back: bool = False
    repeats_cut: bool = False


class Engine(Protocol):
    """A loaded model: windows of at most x_T seconds in, text or classes out."""

    @property
    def version(self) -> str:
        """Version of the engine's library."""
        ...

    def run(
        self, windows: Sequence[Audio], *, exactly: int | None = None, confidences: bool = False
    ) -> list[Output]:
        """One output for each window; they are computed together where the engine gains by it.

        `exactly` forces so many output tokens, for latency.
        """
        ...


def confidence_of(log_probability: float, n_tokens: int) -> float:
    """Geometric mean probability of a token."""
    return math.exp(log_probability / max(1, n_tokens))


Once = Callable[[Sequence[int], Decoding, bool], list[Output]]
"""Decodes some of a batch's windows, by their places, with confidences or without."""
One = Callable[[int, Decoding, int, bool], Output]
"""Decodes the window of a place up to so many tokens."""


def guarded(
    once: Once, n_samples: Sequence[int], decoding: Decoding, room: int, text_of: guard.TextOf, *,
    exactly: int | None, confidences: bool,
) -> list[Output]:  # fmt: skip
    """All windows of a batch, and what `runner.models.guard.guarded` keeps of those whose text is suspicious.

    Args:
        once: decodes windows by a rule.
        n_samples: of each window.
        decoding: the rule, with its thresholds.
        room: positions of the decoder beside its prompt.
        text_of: ids to text.
        exactly: a number of tokens that is forced: nothing of it is suspicious.
        confidences: whether the caller asks for them.
    """
    if exactly is not None:
        return once(range(len(n_samples)), decoding.unguarded, confidences)
    needed = confidences or decoding.min_log_probability is not None
    outputs = once(range(len(n_samples)), decoding.unguarded, needed)
    limits = [token_limit(decoding, n, room) for n in n_samples]

    def again(places: list[int]) -> list[guard.Row]:
        second = once(places, decoding.fallback, confidences)
        for i, output in zip(places, second, strict=True):
            outputs[i] = output
        return [_row(output) for output in second]

    first = [_row(output) for output in outputs]
    rows = guard.guarded(first, limits, decoding, text_of, again)
    return [_kept(output, row, text_of) for output, row in zip(outputs, rows, strict=True)]


def one_by_one(one: One, n_samples: Sequence[int], room: int, exactly: int | None) -> Once:
    """Windows decoded one after the other, each up to its own limit."""

    def once(places: Sequence[int], decoding: Decoding, sure: bool) -> list[Output]:
        limits = [exactly or token_limit(decoding, n_samples[i], room) for i in places]
        return [one(i, decoding, limit, sure) for i, limit in zip(places, limits, strict=True)]

    return once


def _row(output: Output) -> guard.Row:
    return guard.Row(list(output.ids), output.n_tokens, _nats(output))


def _kept(output: Output, row: guard.Row, text_of: guard.TextOf) -> Output:
    """What is left of an output; its text only changes where it was cut."""
    if not (row.fell_back or row.repeats_cut):
        return output
    return dataclasses.replace(
        output, text=text_of(row.ids) if row.repeats_cut else output.text, ids=tuple(row.ids),
        n_tokens=row.n_tokens, fell_back=row.fell_back, repeats_cut=row.repeats_cut,
    )  # fmt: skip


def _nats(output: Output) -> float:
    """Summed log-probability of the tokens; 0 where the confidence is not known."""
    if output.confidence is None:
        return 0.0
    return output.n_tokens * math.log(max(output.confidence, sys.float_info.min))
