"""What is believed about each candidate's error: the law, and the runs of that very candidate.

The law gives ln error = law(x) + delta: delta is how far one configuration lies from any smooth law,
normal with variance tau^2 = v - mean(s^2), 0 at least, where v = sigma^2 d / (d + 2) is the likeliest
variance of a run about the law (mode of its scaled inverse chi-square posterior, d degrees of freedom) and
s a run's own relative standard error. A configuration that was run, mean y of k runs, has
    delta | law, y  ~  N(w (y - law), w s^2 / k),   w = tau^2 / (tau^2 + s^2 / k),
so a sharp measurement outweighs the law and a blunt one is drawn towards it; one that was never run has
delta ~ N(0, tau^2). Draws of the law are shared by all candidates, those of delta are each one's own.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from planner.evidence.study import Evidence
from planner.laws.result import LawFit
from planner.plan.configurations import Config, config_of
from planner.plan.cost import Draws, Floats
from planner.store.row_types import Run

OVERDISPERSION = 2.0
"""Variance of an error rate over that of independent words (assumption: words of an utterance fail
together; a bootstrap over utterances, where stored, takes its place)."""

LARGEST_LOG = 0.0
"""ln of the largest error believed in, 1: a system that says nothing makes no more (every word
deleted, every class missed), so nobody need do worse. Few runs give draws far above it."""

POOL = 2**17
"""Windows in a pool of normals: half a megabyte, so that it stays in the cache."""
BLOCK = 4096
"""Candidates whose draws are worked out together: a hundred thousand need no more memory than theirs."""
MAX_THREADS = 4
"""Blocks at the same time: each holds some 100 MB for 1,000 draws."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements:
    """The runs of each candidate.

    Attributes:
        run_ids: of each candidate, empty where it was never run.
        error: mean error of those runs, NaN where there is none, shape (m,).
        variance: of ln(mean error) by the runs' own standard errors, shape (m,); NaN where unknown.
        typical: mean of a single run's variance of ln error over the evidence; NaN where unknown.
    """

    run_ids: tuple[tuple[int, ...], ...]
    error: Floats
    variance: Floats
    typical: float


def relative_variance(row: Run) -> float:
    """Variance of ln error of one run: its bootstrap's, else binomial by its units, else NaN."""
    if not row.error:
        return math.nan
    if row.std_error is not None and row.std_error > 0:
        return (row.std_error / row.error) ** 2
    if row.n_units:
        return OVERDISPERSION * (1 - min(row.error, 0.99)) / (row.error * row.n_units)
    return math.nan


def measurements(
    evidence: Evidence, configs: Sequence[Config], ran_at: Sequence[int | None] | None = None
) -> Measurements:
    """The runs of each candidate, averaged over seeds.

    Args:
        evidence: the runs.
        configs: the candidates.
        ran_at: for each row of the evidence, which candidate it was of; looked up where not given.
    """
    if ran_at is None:
        place = {c: j for j, c in enumerate(configs)}
        ran_at = [place.get(config_of(r.trial)) for r in evidence.rows]
    runs: dict[int, list[Run]] = {}
    for row, j in zip(evidence.rows, ran_at, strict=True):
        if j is not None:
            runs.setdefault(j, []).append(row)
    error, variance = np.full(len(configs), math.nan), np.full(len(configs), math.nan)
    run_ids: list[tuple[int, ...]] = [()] * len(configs)
    for j, group in runs.items():
        error[j] = float(np.mean([r.error for r in group]))
        variance[j] = float(np.mean([relative_variance(r) for r in group])) / len(group)
        run_ids[j] = tuple(r.run_id for r in group)
    each = np.array([relative_variance(r) for r in evidence.rows])
    known = each[np.isfinite(each)]
    return Measurements(
        run_ids=tuple(run_ids),
        error=error,
        variance=variance,
        typical=float(known.mean()) if len(known) else math.nan,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Belief:
    """The error of each candidate.

    Attributes:
        error: expected, shape (m,).
        low, high: interval of it at the level, shape (m,).
        draws: joint draws, shape (n, m), single precision, those of one candidate together.
        least_draw: the least of each candidate, shape (m,).
        own_weight: share of a candidate's own runs in its expected error, shape (m,).
    """

    error: Floats
    low: Floats
    high: Floats
    draws: Draws
    least_draw: Draws
    own_weight: Floats


def belief(
    fit: LawFit,
    x: Floats,
    labels: Sequence[str],
    measured: Measurements,
    n_draws: int,
    seed: int,
    level: float = 0.9,
) -> Belief:
    """What is believed about the error of each candidate.

    Args:
        fit: the law.
        x: candidates on the law's axes, shape (m, k).
        labels: of the candidates: they name the random streams, so that order does not matter.
        measured: runs of the candidates.
        n_draws: how many.
        seed: of everything random.
        level: probability of the intervals.
    """
    centre, observed, weight, spread = _weighed(fit, x, measured)
    error = np.exp(np.minimum(centre, LARGEST_LOG))
    rows = np.empty((len(x), n_draws), dtype=np.float32)
    bounds, least = np.empty((2, len(x))), np.empty(len(x), dtype=np.float32)
    streams = Streams(n_draws, seed)

    def work(start: int) -> None:
        b = slice(start, start + BLOCK)
        of_law = np.log(fit.draws(x[b], n_draws, seed)).T.astype(np.float32, order="C")
        logs = _drawn(of_law, observed[b], weight[b], spread[b], streams.of(labels[b]))
        rows[b] = np.exp(np.minimum(logs, np.float32(LARGEST_LOG)))
        bounds[:, b] = _quantiles(rows[b], level)
        least[b] = rows[b].min(axis=1)

    _in_blocks(work, len(x))
    return Belief(
        error=error,
        low=np.minimum(bounds[0], error),
        high=np.maximum(bounds[1], error),
        draws=rows.T,
        least_draw=least,
        own_weight=weight,
    )


def _drawn(of_law: Draws, observed: Floats, weight: Floats, spread: Floats, own: Draws) -> Draws:
    """Draws of ln error, shape (m, n): those of the law drawn towards the runs, with scatter of its own."""
    of_law += weight[:, None].astype(np.float32) * (observed[:, None].astype(np.float32) - of_law)
    of_law += spread[:, None].astype(np.float32) * own
    return of_law


def _weighed(
    fit: LawFit, x: Floats, measured: Measurements
) -> tuple[Floats, Floats, Floats, Floats]:
    """Mean of ln error, what was observed, the own runs' weight and what is left to scatter, each (m,)."""
    law_mean = np.log(fit.predict(x).mean)
    own = run_variance(fit, measured.typical)
    tau2 = max(_scatter(fit) - own, 0.0)
    was_run = np.isfinite(measured.error)
    noise = np.where(np.isfinite(measured.variance), measured.variance, own)
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = np.where(was_run & (tau2 > 0), tau2 / (tau2 + noise), 0.0)
    observed = np.where(was_run, np.log(np.where(was_run, measured.error, 1.0)), law_mean)
    spread = np.sqrt(np.where(was_run, weight * noise, tau2))
    return law_mean + weight * (observed - law_mean), observed, weight, spread


def _in_blocks(work: Callable[[int], None], n: int) -> None:
    """Do the work for each block's start; they share nothing, and numpy lets go of the interpreter."""
    starts = range(0, n, BLOCK)
    if len(starts) <= 1:
        for start in starts:
            work(start)
        return
    with ThreadPoolExecutor(min(len(starts), os.cpu_count() or 1, MAX_THREADS)) as threads:
        list(threads.map(work, starts))


def _scatter(fit: LawFit) -> float:
    return fit.sigma**2 * fit.dof / (fit.dof + 2.0)


def run_variance(fit: LawFit, typical: float) -> float:
    """Variance of ln error of one more run about the error of its own configuration.

    Where no run tells its own error, half of the scatter about the law is taken (assumption).
    """
    return typical if math.isfinite(typical) else 0.5 * _scatter(fit)


def _quantiles(rows: Draws, level: float) -> Floats:
    """Central interval of each row, shape (2, m): the nearest draws outwards, without interpolation."""
    n = rows.shape[1]
    low = math.floor((1 - level) / 2 * (n - 1))
    ends = np.partition(rows, (low, n - 1 - low), axis=1)
    return np.stack([ends[:, low], ends[:, n - 1 - low]]).astype(np.float64)


class Streams:
    """Standard normals, one stream for each label, the same whatever other labels there are.

    A stream is the sum, over root 2, of one window of each of two pools of normals; a hash of the label
    says which. Two labels share both windows with a probability of 6e-11, one of them with 2e-5 (their
    streams then correlate by a half): harmless, and two hundred times as fast as a generator a label.
    """

    def __init__(self, n: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        pools = rng.standard_normal((2, POOL + n - 1), dtype=np.float32) / np.float32(math.sqrt(2))
        self._windows = np.lib.stride_tricks.sliding_window_view(pools, n, axis=1)

    def of(self, labels: Sequence[str]) -> NDArray[np.float32]:
        """The streams of the labels, shape (m, n)."""
        digests = b"".join(blake2b(s.encode(), digest_size=8).digest() for s in labels)
        at = np.frombuffer(digests, dtype="<u4").reshape(-1, 2) % POOL
        first, second = self._windows
        return np.asarray(first[at[:, 0]] + second[at[:, 1]], dtype=np.float32)
