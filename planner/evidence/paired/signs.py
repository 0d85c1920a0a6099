"""Tests by sign and by rank, exact; several p values together; the interval of a proportion."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from planner.words.student import regularised_beta

EXACT_UP_TO = 60
"""Differences up to which the signed ranks' law is counted out; above it is normal (error below 1e-3)."""


def sign_test(n_less: int, n_more: int) -> float:
    """Two-sided exact p of so many signs each way; ties are left out before (1 without any sign).

    P(X <= k) = I_{1/2}(n - k, k + 1) for X binomial with probability 1/2. McNemar's exact test is this
    with the utterances that one run alone has wrong.

    >>> round(sign_test(8, 1), 6)
    0.039062
    """
    n, k = n_less + n_more, min(n_less, n_more)
    if 2 * k >= n:
        return 1.0
    return min(2 * regularised_beta(n - k, k + 1, 0.5), 1.0)


def wilcoxon(differences: npt.ArrayLike) -> float:
    """Two-sided p of Wilcoxon's signed-rank test; zeros are left out, equal sizes share their rank.

    Up to 60 differences the law is counted out over all signs, given the ranks; above, normal with the
    variance of the shared ranks and no correction for continuity.
    """
    values = np.asarray(differences, dtype=np.float64)
    values = values[values != 0.0]
    if not len(values):
        return 1.0
    # Twice the mid-rank is whole.
    _, inverse, counts = np.unique(np.abs(values), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (2 * last - counts + 1)[inverse.reshape(-1)].astype(np.int64)
    total, below = int(ranks.sum()), int(ranks[values < 0].sum())
    statistic = min(below, total - below)
    if len(values) <= EXACT_UP_TO:
        return _exact(ranks, statistic, total)
    spread = math.sqrt(float((ranks.astype(np.float64) ** 2).sum()))
    return math.erfc((total - 2 * statistic) / spread / math.sqrt(2.0))


def _exact(ranks: npt.NDArray[np.int64], statistic: int, total: int) -> float:
    ways = np.zeros(total + 1)
    ways[0] = 1.0
    for rank in ranks:
        moved = np.zeros_like(ways)
        moved[rank:] = ways[: len(ways) - rank]
        ways = 0.5 * (ways + moved)
    return min(2 * float(ways[: statistic + 1].sum()), 1.0)


def jeffreys(n_right: int, n: int, level: float = 0.9) -> tuple[float, float]:
    """Interval of a proportion: Jeffreys', to 0 where none and to 1 where all were right.

    Quantiles of Beta(k + 1/2, n - k + 1/2) (Brown, Cai & DasGupta, Stat. Sci. 16, 2001), so that a class
    that was always or never recognised keeps an error.

    >>> [round(x, 3) for x in jeffreys(0, 10, 0.9)]
    [0.0, 0.171]
    """
    if not 0 <= n_right <= n or n < 1:
        raise ValueError(f"n_right must lie between 0 and n, got {n_right} of {n}")
    a, b = n_right + 0.5, n - n_right + 0.5
    low = 0.0 if n_right == 0 else _beta_quantile(a, b, 0.5 - level / 2)
    high = 1.0 if n_right == n else _beta_quantile(a, b, 0.5 + level / 2)
    return low, high


def _beta_quantile(a: float, b: float, probability: float) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (
            (middle, high) if regularised_beta(a, b, middle) < probability else (low, middle)
        )
    return 0.5 * (low + high)
