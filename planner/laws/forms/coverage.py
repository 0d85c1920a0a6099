"""The coverage floor: words that lie outside the window are errors whatever the model is.

A recogniser that sees the first T seconds of an utterance of d > T seconds loses the share 1 - T/d of
its words (words spread evenly in time: assumption). Over a duration histogram with w_i words at
d_i seconds the error has the floor

    g(T) = sum_i w_i max(0, 1 - T/d_i) / sum_i w_i,

computed from the data and not fitted: a power law in T would call it context.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from planner.errors import InputError
from planner.laws.forms.base import Evaluator, Form, Linearisation, ParameterSpec
from planner.laws.observations import Floats

SMALLEST = 1e-300
"""Stands for a floor of 0, whose logarithm does not exist."""


@dataclass(frozen=True, slots=True)
class DurationHistogram:
    """Utterance durations in seconds and the words (or utterances) that each stands for.

    Raises:
        InputError: a duration is not positive, a weight is negative, or the lengths differ.

    >>> hist = DurationHistogram((10.0, 20.0), (1.0, 1.0))
    >>> hist.uncovered([10.0, 20.0]).tolist()
    [0.25, 0.0]
    """

    seconds: tuple[float, ...]
    words: tuple[float, ...]

    def __post_init__(self) -> None:
        seconds, words = np.array(self.seconds), np.array(self.words)
        right = seconds.shape == words.shape and seconds.size > 0
        if not (right and (seconds > 0).all() and (words >= 0).all() and words.sum() > 0):
            raise InputError(
                "a duration histogram needs positive seconds and as many word counts, "
                f"got {len(self.seconds)} durations and {len(self.words)} counts"
            )

    @classmethod
    def of(cls, seconds: ArrayLike, words: ArrayLike | None = None) -> DurationHistogram:
        """From one duration for each utterance, and its words (default: one word a second)."""
        durations = np.asarray(seconds, dtype=np.float64).reshape(-1)
        counts = durations if words is None else np.asarray(words, dtype=np.float64).reshape(-1)
        return cls(tuple(durations.tolist()), tuple(counts.tolist()))

    def uncovered(self, window_seconds: ArrayLike) -> Floats:
        """Share of the words outside windows of those lengths, same shape."""
        window = np.asarray(window_seconds, dtype=np.float64)
        seconds, words = np.array(self.seconds), np.array(self.words)
        missing = np.maximum(0.0, 1.0 - window[..., None] / seconds)
        return np.asarray(missing @ (words / words.sum()))


@dataclass(frozen=True)
class Covered(Form):
    """A law plus the known coverage floor of its window axis: f = g(x_T) + base.

    `scale` is the axis's reference scale in seconds.
    """

    base: Form
    histogram: DurationHistogram
    axis: str
    scale: float

    @property
    def law(self) -> str:  # type: ignore[override]
        """Name of the law that is fitted."""
        return self.base.law

    @property
    def axes(self) -> tuple[str, ...]:  # type: ignore[override]
        """Axes in the law."""
        return self.base.axes

    @property
    def parameters(self) -> tuple[ParameterSpec, ...]:  # type: ignore[override]
        """Parameters of the law; the floor has none."""
        return self.base.parameters

    @property
    def most_steps(self) -> int:  # type: ignore[override]
        """Newton steps after which a start is given up."""
        return self.base.most_steps

    @property
    def derived(self) -> bool:  # type: ignore[override]
        """Whether some parameters are reported otherwise than they are estimated."""
        return self.base.derived

    def natural(self, theta: Floats) -> Floats:
        """Working parameters (b, p) as they are reported."""
        return self.base.natural(theta)

    def natural_slopes(self, theta: Floats) -> Floats:
        """D natural / d theta at theta (p,)."""
        return self.base.natural_slopes(theta)

    @property
    def term_parameters(self) -> tuple[tuple[int, ...], ...]:
        """Positions in theta of the parameters of each fitted term."""
        return self.base.term_parameters

    def formula(self) -> str:
        """The law in letters."""
        return f"g({self.axis}) + {self.base.formula()}"

    def at(self, z: Floats) -> CoveredRows:
        """The form at rows z of shape (n, k)."""
        window = self.scale * np.exp(z[:, self.axes.index(self.axis)])
        known = np.log(np.maximum(self.histogram.uncovered(window), SMALLEST))
        return CoveredRows(self.base.at(z), known)


class CoveredRows(Evaluator):
    """A law with a known floor at fixed rows."""

    def __init__(self, base: Evaluator, known: Floats) -> None:
        self.base = base
        self.floor = self.known = known

    def log_terms(self, theta: Floats) -> list[Floats]:
        """The fitted terms, without the known floor."""
        return self.base.log_terms(theta)

    def log_mean(self, theta: Floats) -> Floats:
        """Log of floor and terms together, shape (b, n)."""
        return np.asarray(np.logaddexp(self.base.log_mean(theta), self.floor))

    def linearise(self, theta: Floats) -> Linearisation:
        """Log mean and derivatives: the fitted share s scales the first and the second derivative."""
        inner = self.base.linearise(theta)
        log_mean = np.logaddexp(inner.log_mean, self.floor)
        share = np.exp(inner.log_mean - log_mean)

        def second(psi: Floats) -> Floats:
            part = psi * share
            if inner.second is not None:
                return inner.second(part)
            return np.asarray(
                (inner.jacobian * part[:, None, :]) @ inner.jacobian.transpose(0, 2, 1)
            )

        return Linearisation(log_mean, inner.jacobian * share[:, None, :], second)
