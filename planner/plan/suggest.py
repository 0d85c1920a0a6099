"""Which runs to do next: the value of information about this decision for each hour of compute.

The law's joint draws give the mean m and covariance C of the candidates' errors. A run at candidate j
with noise variance v_j moves every mean by b_i Z with b_i = C_ij / sqrt(C_jj + v_j), Z standard normal
(Gaussian preposterior; Frazier, Powell and Dayanik 2009 call it the knowledge gradient). The run is
worth min_i m_i - E[min_i (m_i + b_i Z)] over the feasible candidates: how much lower the expected error
of the choice becomes by knowing. Several runs are chosen one by one, the covariance updated after each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

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
COARSE, FINER = np.linspace(-6.0, 6.0, 3), np.linspace(-6.0, 6.0, 13)
"""Nodes of upper bounds of a run's value, by which most candidates are passed over."""
LEFT_OUT = 0.01
"""Of the least value worth a run: what all candidates that are passed over may add to it together."""
MOST_RIVALS = 1024
"""Candidates that a run is taken to be able to make the choice, the likeliest ones: among so many that are near the
choice those left out have neighbours that are not (assumption), and a value without them is a lower one."""
MOST_TRIED = 2048
"""Runs that are weighed again after each choice: those of the largest upper bound an hour at first (assumption)."""
BLOCK = 128
"""Candidates whose bounds are worked out together (assumption: what a processor's cache holds)."""


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
    gaps, best = mean[columns] - mean[columns].min(), int(mean[columns].argmin())
    slopes = _slopes(covariance[columns], np.diag(covariance), noise_variance, best)
    return _exact(gaps, slopes)


def _slopes(beside: Floats, variance: Floats, noise_variance: Floats, best: int) -> Floats:
    """How far below the choice each of k candidates moves by a run at each of m, for Z = 1, shape (k, m).

    Args:
        beside: covariance of the k candidates with all, shape (k, m).
        variance: of all, shape (m,).
        noise_variance: of one run at each, shape (m,).
        best: which of the k is the choice.
    """
    scale = np.sqrt(variance + noise_variance)
    inverse = np.divide(1.0, scale, out=np.ones_like(scale), where=scale > 0)
    return np.asarray((beside[best] - beside) * inverse.astype(beside.dtype))


def _exact(gaps: Floats, slopes: Floats) -> tuple[Floats, Floats]:
    """E[max(0, max_i(s_i Z - g_i))] for each column of the slopes, and P(the maximum is above 0)."""
    gain, change = np.zeros(slopes.shape[1]), np.zeros(slopes.shape[1])
    for j, s in enumerate(slopes.T):
        # A line that is above 0 nowhere between the ends is above 0 at neither.
        near = np.abs(s) * NODES[-1] > gaps
        if near.any():
            above = (s[near, None] * NODES - gaps[near, None]).max(axis=0)
            gain[j] = np.maximum(above, 0.0) @ PROBABILITIES
            change[j] = (above > 0) @ PROBABILITIES
    return gain, change


def _at_most(gaps: Floats, slopes: Floats, nodes: Floats) -> Floats:
    """Upper bounds of `_exact`'s values, (m,): the maximum of lines is convex, so it lies below its own chords.

    Args:
        gaps: shape (k,).
        slopes: shape (k, m).
        nodes: between which the chords go, the two ends of NODES among them.
    """
    out = np.zeros(slopes.shape[1])
    lower = gaps[:, None].astype(slopes.dtype)
    weights = np.array([np.interp(NODES, nodes, row) for row in np.eye(len(nodes))]) @ PROBABILITIES
    # At 0 nothing is above the choice.
    used = [(z, w) for z, w in zip(nodes.astype(slopes.dtype), weights, strict=True) if z != 0]
    for start in range(0, slopes.shape[1], BLOCK):
        block = slopes[:, start : start + BLOCK]
        for z, weight in used:
            out[start : start + BLOCK] += weight * np.maximum((block * z - lower).max(axis=0), 0.0)
    # Beyond what single precision rounds away.
    return out * (1.0 + 1e-5)


def _normal_loss(gaps: Floats, sd: Floats) -> Floats:
    """E[(sd Z - gap)+] by the nodes, of each, shape (k,): 0 where sd is."""
    z = np.divide(gaps, sd, out=np.full(len(gaps), NODES[-1]), where=sd > 0)
    ahead = np.cumsum((PROBABILITIES * NODES)[::-1])[::-1]
    tail = np.cumsum(PROBABILITIES[::-1])[::-1]
    first = np.searchsorted(NODES, z)
    ahead, tail = np.append(ahead, 0.0), np.append(tail, 0.0)
    return np.asarray(np.maximum(sd * ahead[first] - gaps * tail[first], 0.0))


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
    if not feasible.any():
        return ()
    whole, n_seen, left = _Known.of(draws, feasible, worth), 0, budget_hours
    known = whole.narrowed(noise_variance, hours, left)
    out: list[Suggestion] = []
    while len(out) < max_runs:
        found = known.most_valuable(noise_variance, hours, left, worth)
        if found is None and len(out) > n_seen and len(known.tried) == MOST_TRIED:
            # Those passed over at first may be worth it by now.
            for one in out[n_seen:]:
                whole = whole.after(noise_variance, one.index)
            n_seen, known = len(out), whole.narrowed(noise_variance, hours, left)
            found = known.most_valuable(noise_variance, hours, left, worth)
        if found is None:
            break
        out.append(found)
        left -= found.hours
        known = known.after(noise_variance, found.index)
    return tuple(out)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """Means and covariances of the candidates that a run could make the choice, beside all.

    Those that are left out could together add at most LEFT_OUT of `worth` to the value of any run: of one candidate
    that is at most E[(sd Z - gap)+], sd that of its difference to the choice, and of several their sum.

    Attributes:
        gaps: by how much more each of k candidates is expected to err than the choice, shape (k,).
        best: which of them is the choice, whose gap is 0.
        tried: where each of t candidates that a run can be made of lies among all, shape (t,).
        beside: covariance of the k with the t, shape (k, t); variance: of the t, shape (t,).
        draws: of the t, centred, shape (n, t).
        seen: what each run so far took from the covariances, (t,) each.
    """

    gaps: Floats
    best: int
    tried: np.ndarray
    beside: np.ndarray
    variance: np.ndarray
    draws: np.ndarray
    seen: tuple[np.ndarray, ...] = ()

    @classmethod
    def of(cls, draws: Draws, feasible: np.ndarray, worth: float) -> _Known:
        mean = draws.mean(axis=0, dtype=np.float64)
        centred = draws - mean.astype(draws.dtype)
        n = len(draws) - 1
        columns = np.flatnonzero(feasible)
        gaps = mean[columns] - mean[columns].min()
        apart = centred[:, columns] - centred[:, [columns[gaps.argmin()]]]
        sd = np.sqrt(np.einsum("ij,ij->j", apart, apart) / n)
        most = _normal_loss(gaps, sd)
        order = np.argsort(most, kind="stable")
        near = order[np.cumsum(most[order]) > LEFT_OUT * worth][-MOST_RIVALS:]
        # The choice moves against itself by nothing, and stays.
        kept = np.union1d(near, gaps.argmin())
        columns, gaps = columns[kept], gaps[kept]
        return cls(
            gaps=gaps, best=int(gaps.argmin()), tried=np.arange(draws.shape[1]),
            beside=(centred[:, columns].T @ centred) / n,
            variance=np.einsum("ij,ij->j", centred, centred) / n, draws=centred,
        )  # fmt: skip

    def slopes(self, noise_variance: Floats) -> Floats:
        """As `_slopes`, of the runs that are weighed."""
        return _slopes(self.beside, self.variance, noise_variance[self.tried], self.best)

    def narrowed(self, noise_variance: Floats, hours: Floats, left: float) -> _Known:
        """Without runs that cannot be made, and with MOST_TRIED of the others at most."""
        keep = np.flatnonzero(np.isfinite(hours) & (hours <= left))
        if len(keep) > MOST_TRIED:
            rate = _at_most(self.gaps, self.slopes(noise_variance), FINER) / hours
            keep = np.sort(keep[np.argsort(-rate[keep], kind="stable")[:MOST_TRIED]])
        if len(keep) == len(self.tried):
            return self
        return replace(
            self, tried=keep, beside=self.beside[:, keep], variance=self.variance[keep],
            draws=self.draws[:, keep], seen=tuple(one[keep] for one in self.seen),
        )  # fmt: skip

    def most_valuable(
        self, noise_variance: Floats, hours: Floats, left: float, worth: float
    ) -> Suggestion | None:
        """The run of most value an hour among those that fit and are worth it; None where there is none."""
        slopes, each = self.slopes(noise_variance), hours[self.tried]
        bound = np.where(each <= left, _at_most(self.gaps, slopes, COARSE), -np.inf)
        rate = np.where(bound >= worth, bound / each, -np.inf)
        out: Suggestion | None = None
        most = -math.inf
        order = np.argsort(-rate, kind="stable")
        for block in np.split(order, range(BLOCK, len(order), BLOCK)):
            if not len(block) or not rate[block[0]] > most:
                break
            finer = np.minimum(_at_most(self.gaps, slopes[:, block], FINER), bound[block])
            for i in np.argsort(-finer / each[block], kind="stable").tolist():
                j = int(block[i])
                if finer[i] < worth or finer[i] / each[j] <= most:
                    continue
                (value,), (change,) = _exact(self.gaps, slopes[:, [j]])
                if value >= worth and value / each[j] > most:
                    most = float(value / each[j])
                    out = Suggestion(
                        index=int(self.tried[j]), value=float(value), hours=float(each[j]),
                        value_per_hour=most, p_change=float(change),
                    )  # fmt: skip
        return out

    def after(self, noise_variance: Floats, index: int) -> _Known:
        """What is known once a run at a candidate that is weighed is: as `after`, of the k rows alone."""
        (j,) = np.flatnonzero(self.tried == index)
        column = self.draws.T @ self.draws[:, j] / (len(self.draws) - 1)
        for one in self.seen:
            column = column - one * one[j]
        total = float(column[j]) + float(noise_variance[index])
        if total <= 0:
            return self
        root = np.asarray(math.sqrt(total), dtype=column.dtype)
        moved = column / root
        return replace(
            self, beside=self.beside - np.outer(self.beside[:, j] / root, moved),
            variance=np.maximum(self.variance - moved**2, 0.0), seen=(*self.seen, moved),
        )  # fmt: skip


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
