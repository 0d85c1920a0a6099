"""One cost of every candidate, and the arrays that the mathematics of a plan is about."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Draws = NDArray[np.float32] | NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One cost of every candidate, with an interval where it is not exact.

    Attributes:
        value, low, high: shape (m,); the interval is the central 90 % (equal to value when exact).
        source: where each number comes from (`exact/1`, `measured`, `interpolated`, …), length m.
    """

    name: str
    value: Floats
    low: Floats
    high: Floats
    source: tuple[str, ...]

    @classmethod
    def exact(cls, name: str, value: Floats, source: str) -> Cost:
        """A cost that is counted, not estimated."""
        return cls(name=name, value=value, low=value, high=value, source=(source,) * len(value))

    def at(self, j: int) -> Cost:
        """The cost of candidate j alone."""
        return Cost(
            name=self.name,
            value=self.value[j : j + 1],
            low=self.low[j : j + 1],
            high=self.high[j : j + 1],
            source=self.source[j : j + 1],
        )

    @property
    def log_sd(self) -> Floats:
        """Standard deviation of ln(cost), from the 90 % interval read as log-normal, shape (m,)."""
        if self.low is self.high:
            return np.zeros(len(self.value))
        z90 = 1.6448536269514722  # standard normal 95 % quantile
        spread = np.log(self.high) - np.log(self.low)
        return np.asarray(np.where(spread > 0, spread / (2 * z90), 0.0), dtype=np.float64)
