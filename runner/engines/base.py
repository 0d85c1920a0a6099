"""What every engine offers to the run-time side, and how a batch of windows is decoded with it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from runner.data.audio import Audio
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
    """

    text: str
    ids: tuple[int, ...] = ()
    n_tokens: int = 1
    confidence: float | None = None
    log_probabilities: tuple[float, ...] = ()


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
