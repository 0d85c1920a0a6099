"""Row weights: each run's own standard error, and the spread between runs that it does not explain.

Utterance bootstraps give the error of the score, not of the training: two seeds of one trial differ
by more. The extra variance tau^2 (in logarithms, equal for all runs) is estimated from the misfit,
sum_n r_n^2 / (s_n^2 + tau^2) = n - p (Paule & Mandel 1982, as in meta-analysis), and is 0 where the
standard errors explain the misfit already.
"""

from __future__ import annotations

import numpy as np

from planner.laws.forms.link import Link
from planner.laws.observations import Floats, Observations

SMALLEST_RELATIVE_ERROR = 1e-4
"""A run's log standard error is taken as no smaller (assumption): no WER is known better."""


def log_std_error(table: Observations, link: Link) -> Floats | None:
    """Standard error of the log (or log odds) of each error; None where the table has none.

    Rows without one take the median of the others.
    """
    if table.std_error is None or not np.isfinite(table.std_error).any():
        return None
    relative = table.std_error / link.slope(table.error)
    typical = float(np.median(relative[np.isfinite(relative)]))
    filled = np.where(np.isfinite(relative), relative, typical)
    return np.asarray(np.maximum(filled, SMALLEST_RELATIVE_ERROR))


def between_run_variance(residual: Floats, std_error: Floats, dof: int) -> float:
    """tau^2 with sum r^2 / (s^2 + tau^2) = dof, or 0."""

    def misfit(tau2: float) -> float:
        return float((residual**2 / (std_error**2 + tau2)).sum())

    if dof < 1 or misfit(0.0) <= dof:
        return 0.0
    low, high = 0.0, float((residual**2).sum()) / dof
    for _ in range(100):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if misfit(middle) > dof else (low, middle)
    return high
