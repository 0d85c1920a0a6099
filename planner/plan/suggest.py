"""Which runs to do next: the value of information about this decision for each hour of compute.

The law's joint draws give the mean m and covariance C of the candidates' errors. A run at candidate j
with noise variance v_j moves every mean by b_i Z with b_i = C_ij / sqrt(C_jj + v_j), Z standard normal
(Gaussian preposterior; Frazier, Powell and Dayanik 2009 call it the knowledge gradient). The run is
worth min_i m_i - E[min_i (m_i + b_i Z)] over the feasible candidates: how much lower the expected error
of the choice becomes by knowing. Several runs are chosen one by one, the covariance updated after each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.plan.cost import Draws, Floats

NODES = np.linspace(-6.0, 6.0, 241)
"""Nodes of the standard normal for E[min], equally far apart: the value of a run that changes the choice
once in a million times is within 2 % too (tests/plan/test_suggest.py). Nodes of equal probability end at
2.8 and called such runs worthless: hours that could have taught something were left over."""
MOST_RUNS = 24
"""Suggested at once (assumption: a screen)."""
N_NORMALS = 1024
"""Normals by which a batch of observations is valued: to a few per cent, as its value is set against hours."""
PROBABILITIES = np.exp(-0.5 * NODES**2) / np.exp(-0.5 * NODES**2).sum()


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """One run to do: which candidate, its value in error, its cost in hours, and their ratio."""

    index: int
    value: float
    hours: float
    value_per_hour: float
    p_change: float


def values(
    mean: Floats, covariance: Floats, noise_variance: Floats, feasible: np.ndarray
) -> tuple[Floats, Floats]:
    """Value of one more run at each candidate, and the chance that it changes the choice, both (m,).

    Args:
        mean: expected error, shape (m,); covariance: of the mean errors, shape (m, m).
        covariance: of the mean errors, shape (m, m).
        noise_variance: variance of one run's error about its mean, shape (m,).
        feasible: which candidates may be chosen, shape (m,); a run may be done at any.
    """
    columns = np.flatnonzero(feasible)
    m = mean[columns]
    scale = np.sqrt(np.diag(covariance) + noise_variance)
    b = covariance[columns, :] / np.where(scale > 0, scale, 1.0)
    now, best = m.min(), int(m.argmin())
    gain, change = np.zeros(len(mean)), np.zeros(len(mean))
    for j in range(len(mean)):
        shifted = m[:, None] + b[:, j, None] * NODES[None, :]
        gain[j] = now - shifted.min(axis=0) @ PROBABILITIES
        change[j] = (shifted.argmin(axis=0) != best) @ PROBABILITIES
    return np.maximum(gain, 0.0), change


def value_of_scoring(
    draws: Draws, measured: NDArray[np.int64], noise: Floats, feasible: np.ndarray
) -> tuple[float, float]:
    """Value of scoring all measured candidates on other speech, and the chance that it changes the choice.

    As `values`, for observations of r candidates at once: with A the measured ones and S = C_AA + noise the means
    move by C_A S^(-1/2) Z. The expectation is over the same antithetic normals for every call.

    Args:
        draws: joint draws of the candidates' mean errors, shape (n, m).
        measured: which were run, shape (r,).
        noise: covariance of their errors on other speech about the means, shape (r, r).
        feasible: which candidates may be chosen, shape (m,).
    """
    columns = np.flatnonzero(feasible)
    mean = draws[:, columns].mean(axis=0, dtype=np.float64)
    seen = draws[:, measured] - draws[:, measured].mean(axis=0, dtype=np.float64)
    beside = (draws[:, columns] - mean).T @ seen / (len(draws) - 1)
    root = np.linalg.cholesky(np.cov(seen, rowvar=False).reshape(len(measured), -1) + noise)
    half = np.random.default_rng(0).standard_normal((len(measured), N_NORMALS // 2))
    normals = np.concatenate([half, -half], axis=1)
    shifted = mean[:, None] + np.linalg.solve(root, beside.T).T @ normals
    value = float(mean.min() - shifted.min(axis=0).mean())
    return max(value, 0.0), float((shifted.argmin(axis=0) != mean.argmin()).mean())


def after(covariance: Floats, noise_variance: Floats, j: int) -> Floats:
    """Covariance of the mean errors once a run at candidate j is known, shape (m, m)."""
    total = covariance[j, j] + noise_variance[j]
    if total <= 0:
        return covariance
    return np.asarray(covariance - np.outer(covariance[:, j], covariance[j, :]) / total)


def suggest(
    draws: Draws,
    noise_variance: Floats,
    hours: Floats,
    feasible: np.ndarray,
    budget_hours: float,
    worth: float,
    max_runs: int = MOST_RUNS,
) -> tuple[Suggestion, ...]:
    """Runs to do within a budget, the most valuable an hour first; empty when none is worth it.

    Each is chosen as if those before it were known: runs that are under way count.

    Args:
        draws: joint draws of the candidates' mean errors, shape (n, m).
        noise_variance: of one run's error, shape (m,).
        hours: compute that a run at each candidate takes, shape (m,), > 0; infinite where none can be made.
        feasible: which candidates may be chosen, shape (m,).
        budget_hours: most hours in all.
        worth: least value of a run, in error, to be suggested.
        max_runs: most runs suggested.
    """
    mean = draws.mean(axis=0)
    covariance = np.cov(draws, rowvar=False).reshape(len(mean), len(mean))
    left = budget_hours
    out: list[Suggestion] = []
    while len(out) < max_runs and feasible.any():
        value, change = values(mean, covariance, noise_variance, feasible)
        allowed = np.isfinite(hours) & (hours <= left) & (value >= worth)
        if not allowed.any():
            break
        rate = np.where(allowed, value / hours, -np.inf)
        j = int(rate.argmax())
        out.append(
            Suggestion(
                index=j, value=float(value[j]), hours=float(hours[j]),
                value_per_hour=float(rate[j]), p_change=float(change[j]),
            )
        )  # fmt: skip
        left -= float(hours[j])
        covariance = after(covariance, noise_variance, j)
    return tuple(out)


def one_round(hours: Sequence[float], n_workers: int) -> int:
    """How many of the runs, in their order, go together: one for each worker, and what they have room for.

    A round lasts as long as the longest of its first `n_workers` runs; a worker that would wait takes further
    runs that end by then, the next in order first, until one does not fit anywhere.

    Args:
        hours: of each run, the most valuable first.
        n_workers: that work at once.

    >>> one_round([1.0, 0.4, 0.5, 0.2], n_workers=2), one_round([1.0, 1.0, 1.0], n_workers=2)
    (3, 2)
    """
    load = sorted(hours[:n_workers])
    if len(load) < n_workers:
        return len(load)
    longest, n = load[-1], n_workers
    for each in hours[n_workers:]:
        if load[0] + each > longest:
            break
        load[0] += each
        load.sort()
        n += 1
    return n
