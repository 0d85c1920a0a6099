"""How a metric becomes the logarithm that a law predicts, and back.

| link | law predicts | for |
|---|---|---|
| log | ln e | error rates without a ceiling, losses: e > 0 |
| odds | ln e/(1 - e) | metrics that live in [0, 1] and must stay there |
| signed | ln (e + c) | metrics of either sign: c ten ranges above, so that logs are nearly linear |
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from planner.errors import FitError, InputError
from planner.laws.observations import Floats, Observations

LINKS = ("log", "odds", "signed")
LARGEST_LOG = 700.0
"""Logs are cut here before they are raised: e^700 is near the largest float."""
RANGES_ABOVE = 10.0
"""Offset of the signed link in ranges of the metric: residuals then differ from linear ones by at most
a tenth (assumption; the fit hardly depends on it)."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link by name; `offset` is the signed link's c, 0 otherwise, in the unit of the metric."""

    name: str = "log"
    offset: float = 0.0

    def forward(self, error: Floats) -> Floats:
        """The logarithm that the law predicts."""
        if self.name == "odds":
            return np.asarray(np.log(error / (1.0 - error)))
        return np.asarray(np.log(error + self.offset))

    def backward(self, log_mean: ArrayLike) -> Floats:
        """The error from that logarithm."""
        log_mean = np.clip(log_mean, -LARGEST_LOG, LARGEST_LOG)
        if self.name == "odds":
            return np.asarray(1.0 / (1.0 + np.exp(-log_mean)))
        return np.asarray(np.exp(log_mean) - self.offset)

    def slope(self, error: Floats) -> Floats:
        """Derivative of the error by the logarithm: turns log standard errors into errors."""
        if self.name == "odds":
            return np.asarray(error * (1.0 - error))
        return np.asarray(error + self.offset)


def link_for(observations: Observations, name: str) -> Link:
    """The link by name; `log` becomes `signed` where most errors are negative.

    Raises:
        InputError: no link has the name.
        FitError: an error lies outside what the link can express.
    """
    if name not in LINKS:
        raise InputError(f"link must be one of {', '.join(LINKS)}, got {name!r}")
    finite = observations.error[np.isfinite(observations.error)]
    if name == "odds" and (finite >= 1).any():
        row = int(np.argmax(observations.error >= 1))
        raise FitError(
            f"link odds needs {observations.metric} below 1, row {row + 1} has "
            f"{observations.error[row]:g}; use link log"
        )
    if name == "signed" or (name == "log" and finite.size and (finite < 0).mean() > 0.5):
        low, high = float(finite.min()), float(finite.max())
        spread = high - low if high > low else max(abs(high), 1.0)
        return Link("signed", RANGES_ABOVE * spread - low)
    return Link(name)
