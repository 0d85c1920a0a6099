"""Losses on log residuals: least squares, and Huber's with a threshold in residual units.

The objective is always a sum over rows, never a mean: averaging changes where an optimiser with a
fixed tolerance stops (Besiroglu et al. 2024, arXiv 2404.10102, on Hoffmann et al. 2022).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from planner.errors import InputError
from planner.laws.observations import Floats

HUBER_TUNING = 1.345
"""Threshold in robust standard deviations: 95 % efficient for normal noise (Huber 1981)."""

ROBUST_ROWS = 50
"""Rows from which `auto` is robust: below, a threshold tied to the data costs more than it saves, and
nearly absolute deviations have several optima (measured at n = 27)."""

MAD_TO_SIGMA = 1.482602218505602
"""Median absolute deviation to standard deviation of a normal distribution: 1 / Phi^-1(0.75)."""


@dataclass(frozen=True, slots=True)
class Loss:
    """rho(r) = r^2/2, or Huber's: r^2/2 where |r| <= delta, else delta (|r| - delta/2).

    `delta` is None for least squares. A row with weight w adds w rho(r) to the objective. `doubt` is by
    how much the scatter at a threshold that the data chose is too small, relative, and `dof` the
    degrees of freedom with which it is known; 0 and infinite where the threshold was given.
    """

    delta: float | None = None
    doubt: float = 0.0
    dof: float = math.inf

    def value(self, residual: Floats, weight: Floats) -> Floats:
        """Sum of w rho(r) over the last axis."""
        if self.delta is None:
            return np.asarray(0.5 * np.einsum("...n,...n,...n->...", weight, residual, residual))
        size = np.abs(residual)
        small = np.minimum(size, self.delta)
        return np.asarray(np.einsum("...n,...n,...n->...", weight, small, size - 0.5 * small))

    def slope(self, residual: Floats) -> Floats:
        """rho'(r)."""
        if self.delta is None:
            return residual
        return np.clip(residual, -self.delta, self.delta)

    def curvature(self, residual: Floats) -> Floats:
        """rho''(r): 1 inside the threshold, 0 outside."""
        if self.delta is None:
            return np.ones_like(residual)
        return (np.abs(residual) <= self.delta).astype(np.float64)

    def majorant(self, residual: Floats) -> Floats:
        """rho'(r)/r, the weight of iteratively reweighted least squares; never negative."""
        if self.delta is None:
            return np.ones_like(residual)
        return self.delta / np.maximum(np.abs(residual), self.delta)


def loss_for(text: str, n_rows: int) -> str:
    """The loss that `auto` means for a table of that size; any other text as it is."""
    if text != "auto":
        return text
    return "huber:auto" if n_rows >= ROBUST_ROWS else "log"


def robust_sigma(residual: Floats) -> float:
    """Standard deviation of the bulk: 1.4826 times the median absolute deviation about 0."""
    return float(MAD_TO_SIGMA * np.median(np.abs(residual)))


def parse_loss(text: str) -> tuple[str, float | None]:
    """Kind and threshold of `log`, `huber:1e-3` or `huber:auto` (threshold None: from the data).

    Raises:
        InputError: the text is none of these.

    >>> parse_loss("huber:1e-3"), parse_loss("log")
    (('huber', 0.001), ('log', None))
    """
    kind, _, rest = text.partition(":")
    if text in ("log", "huber:auto"):
        return kind, None
    try:
        delta = float(rest)
    except ValueError:
        delta = float("nan")
    if kind != "huber" or not (np.isfinite(delta) and delta > 0):
        raise InputError(
            f"loss must be log, huber:auto or huber:DELTA, e.g. huber:1e-3, got {text!r}"
        )
    return kind, delta
