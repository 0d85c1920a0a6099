"""What an utterance is: its windows and output tokens."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from planner.plan.configurations import axis_values as axis_values
from planner.plan.cost import Floats

SHARES = np.linspace(0.0, 1.0, 17)
"""Shares of latency that grow with output tokens, at which quantiles of requests are worked out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What an utterance is: seconds of those that were scored, and output tokens.

    Attributes:
        seconds: durations of utterances, empty when unknown (each then takes one window).
        tokens: output tokens of each of them, empty when unknown.
        as_scored: whether these are the very utterances that the runs were scored on.
        output_tokens: mean output tokens of an utterance; source says where the number is from.
        windows_at: windows of an utterance as measured, by x_T: audio is cut at pauses, so that
            there are some more than seconds / x_T.
        by_window: latency is windows times the quantile of one window, as in answers before `requests/1`.
    """

    seconds: tuple[float, ...]
    output_tokens: float
    source: str
    tokens: tuple[float, ...] = ()
    as_scored: bool = False
    windows_at: dict[float, float] = field(default_factory=dict)
    by_window: bool = False

    @property
    def mean_seconds(self) -> float | None:
        """Mean length of an utterance in s; None where it is not known."""
        return sum(self.seconds) / len(self.seconds) if self.seconds else None

    def windows(self, audio_seconds: float) -> float:
        """Mean number of windows that an utterance takes at x_T."""
        return float(self.windows_of(np.array([audio_seconds]))[0])

    def windows_of(self, audio_seconds: Floats) -> Floats:
        """As `windows`, at each of many lengths, shape (m,)."""
        out = np.maximum(1.0, self._ceiling(audio_seconds) * self._surplus())
        for length, measured in self.windows_at.items():
            out[audio_seconds == length] = measured
        return out

    def _ceiling(self, audio_seconds: Floats) -> Floats:
        """Windows by length alone, shape (m,)."""
        if not self.seconds:
            return np.ones(len(audio_seconds))
        own, out = np.array(self.seconds), np.empty(len(audio_seconds))
        step = max(2**16 // len(own), 1)  # so many lengths that the block stays in the cache
        for start in range(0, len(out), step):
            lengths = audio_seconds[start : start + step, None]
            n = np.maximum(1.0, np.ceil(own / lengths - 1e-9))
            out[start : start + step] = n.sum(axis=1) / len(own)
        return out

    def _surplus(self) -> float:
        """Windows measured over windows by length alone, averaged over the lengths measured."""
        if not self.windows_at:
            return 1.0
        by_length = self._ceiling(np.array(list(self.windows_at)))
        return float(np.mean(np.array(list(self.windows_at.values())) / by_length))

    def request_factors(
        self,
        lengths: Floats,
        code: NDArray[np.int64],
        token_share: Floats,
        levels: tuple[float, ...],
    ) -> Floats:
        """Quantiles of an utterance's latency over that of the mean one, shape (len(levels), m).

        An utterance of w windows and t output tokens takes (1 - f) w / mean(w) + f t / mean(t) times as
        long as the mean one, f being the share of the latency that grows with tokens. Worked out once
        a length for `SHARES` of f, and between them by straight lines.

        Args:
            lengths: the values of x_T that there are, shape (k,).
            code: which of them each candidate has, shape (m,).
            token_share: f, shape (m,), in [0, 1].
            levels: which quantiles.
        """
        if not self.seconds:
            return np.ones((len(levels), len(code)))
        table = self._quantiles(lengths, levels)
        last = len(SHARES) - 1
        below = np.minimum((token_share * last).astype(np.int64), last - 1)
        beyond = token_share - SHARES[below]
        out = np.empty((len(levels), len(code)))
        for row, own in zip(out, table, strict=True):
            slope = np.diff(own, axis=1) * last
            row[:] = slope[code, below] * beyond + own[code, below]
            row[token_share >= 1.0] = own[code[token_share >= 1.0], last]
        return out

    def _quantiles(self, lengths: Floats, levels: tuple[float, ...]) -> Floats:
        """Of latency over the mean one at each length and each of SHARES, shape (len(levels), k, 17)."""
        own = np.array(self.seconds)
        # Where no run tells its tokens, they follow the duration.
        tokens = np.array(self.tokens) if any(self.tokens) else own
        by_token = SHARES[:, None] * (tokens / tokens.mean())
        mean = self._ceiling(lengths)
        longer = self.windows_of(lengths) / mean  # windows end at pauses: there are some more
        out = np.empty((len(levels), len(lengths), len(SHARES)))
        step = max(2**18 // by_token.size, 1)
        for start in range(0, len(lengths), step):
            b = slice(start, start + step)
            windows = np.ceil(own * longer[b, None] / lengths[b, None] - 1e-9)
            windows = np.maximum(1.0, windows)
            share = windows / windows.mean(axis=1, keepdims=True)
            mixed = (1.0 - SHARES)[:, None] * share[:, None, :] + by_token
            out[:, b] = np.quantile(mixed, levels, axis=2, overwrite_input=True)
        return out
