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
from runner.models.guard import is_suspicious
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
    """

    text: str
    ids: tuple[int, ...] = ()
    n_tokens: int = 1
    confidence: float | None = None
    log_probabilities: tuple[float, ...] = ()
    fell_back: bool = False


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


def guarded(
    once: Once, n_samples: Sequence[int], decoding: Decoding, room: int, *, confidences: bool
) -> list[Output]:
    """All windows of a batch, and once more those whose text is suspicious, as `runner.models.decode.guarded` does.

    Args:
        once: decodes windows by a rule.
        n_samples: of each window.
        decoding: the rule, with its thresholds.
        room: positions of the decoder beside its prompt.
        confidences: whether the caller asks for them.
    """
    every = range(len(n_samples))
    needed = confidences or decoding.min_log_probability is not None
    first = once(every, decoding.unguarded, needed)
    limits = [token_limit(decoding, n, room) for n in n_samples]
    again = [
        i for i, (out, limit) in enumerate(zip(first, limits, strict=True))
        if is_suspicious(out.text, out.ids, limit, _nats(out), out.n_tokens, decoding)
    ]  # fmt: skip
    if again:
        second = once(again, decoding.fallback, confidences)
        for i, out in zip(again, second, strict=True):
            n_tokens = first[i].n_tokens + out.n_tokens
            first[i] = dataclasses.replace(out, n_tokens=n_tokens, fell_back=True)
    return first


def _nats(output: Output) -> float:
    """Summed log-probability of the tokens; 0 where the confidence is not known."""
    if output.confidence is None:
        return 0.0
    return output.n_tokens * math.log(max(output.confidence, sys.float_info.min))
