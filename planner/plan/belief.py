"""What is believed about each candidate's error: the law, and the runs of that very candidate.

ln error = law(x) + delta + common: delta is how far one configuration lies from any smooth law, common how
much harder or easier the test set is than new speech like it. The members of the fit are pairs of variances
and forms that the runs leave likely; each draw takes one of them, a law from its covariance (shared by all
candidates), each candidate's delta by its own runs (`own_runs`), and one common level, of Student's t with
the degrees of freedom that clusters of utterances give. So draws are what new speech may give; their
differences hold the common level on both sides, and it cancels.

A fit of the rule before, where each run's standard error was noise of its own, has one tau^2 = v - mean(s^2),
0 at least, with v = sigma^2 d / (d + 2) the likeliest variance of a run about the law (mode of its scaled
inverse chi-square posterior, d degrees of freedom) and s a run's relative standard error: its answers replay.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from planner.laws.result import INDEPENDENT, LawFit
from planner.plan.cost import Draws, Floats
from planner.plan.joint_runs import doubtful, drawn_together, joint_runs, pairs_of
from planner.plan.own_runs import DOUBTED, Measurements, OwnRuns, own_runs
from planner.plan.own_runs import measurements as measurements
from planner.plan.streams import Streams
from planner.words.student import t_quantile

LARGEST_LOG = 0.0
"""ln of the largest error believed in, 1: a system that says nothing makes no more (every word
deleted, every class missed), so nobody need do worse. Few runs give draws far above it."""

BLOCK = 4096
"""Candidates whose draws are worked out together: a hundred thousand need no more memory than theirs."""
MAX_THREADS = 4
"""Blocks at the same time: each holds some 100 MB for 1,000 draws."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Belief:
    """The error of each candidate.

    Attributes:
        error: expected, shape (m,).
        low, high: interval of it at the level, shape (m,).
        draws: joint draws, shape (n, m), single precision, those of one candidate together.
        least_draw: the least of each candidate, shape (m,).
        own_weight: share of a candidate's own runs in its expected error, shape (m,).
        same_low, same_high: interval on this very test set, shape (m,); NaN by the rule before.
    """

    error: Floats
    low: Floats
    high: Floats
    draws: Draws
    least_draw: Draws
    own_weight: Floats
    same_low: Floats
    same_high: Floats


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
    known = _alone if fit.rule == INDEPENDENT else _known
    believed = known(fit, x, labels, measured, n_draws, seed)
    error = np.exp(np.minimum(believed.centre, LARGEST_LOG))
    rows = np.empty((len(x), n_draws), dtype=np.float32)
    bounds, least = np.empty((2, len(x))), np.empty(len(x), dtype=np.float32)
    streams = Streams(n_draws, seed)
    z = t_quantile(0.5 + 0.5 * level, math.inf)

    def work(start: int) -> None:
        b = slice(start, start + BLOCK)
        of_law = np.log(fit.draws(x[b], n_draws, seed)).T.astype(np.float32, order="C")
        logs = believed.drawn(of_law, b, streams.of(labels[b]))
        rows[b] = np.exp(np.minimum(logs, np.float32(LARGEST_LOG)))
        bounds[:, b] = quantiles(rows[b], level)
        least[b] = rows[b].min(axis=1)

    _in_blocks(work, len(x))
    return Belief(
        error=error,
        low=np.minimum(bounds[0], error),
        high=np.maximum(bounds[1], error),
        draws=rows.T,
        least_draw=least,
        own_weight=believed.weight,
        same_low=np.exp(believed.same_centre - z * believed.same_spread),
        same_high=np.exp(np.minimum(believed.same_centre + z * believed.same_spread, LARGEST_LOG)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Believed:
    """Expected ln error, share of own runs, and on this test set mean and deviation, (m,); the draws."""

    centre: Floats
    weight: Floats
    same_centre: Floats
    same_spread: Floats
    drawn: Callable[[Draws, slice, Draws], Draws]
    """Draws of ln error (b, n) from the law's, the candidates' slice and their own normals."""


def _alone(
    fit: LawFit,
    x: Floats,
    labels: Sequence[str],
    measured: Measurements,
    n_draws: int,
    seed: int,
) -> _Believed:
    """By the rule of fits that took each run's noise as its own."""
    law_mean = np.log(fit.predict(x).mean)
    own = run_variance(fit, measured.typical)
    tau2 = max(_scatter(fit) - own, 0.0)
    was_run = np.isfinite(measured.error)
    noise = np.where(np.isfinite(measured.variance), measured.variance, own)
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = np.where(was_run & (tau2 > 0), tau2 / (tau2 + noise), 0.0)
    observed = np.where(was_run, np.log(np.where(was_run, measured.error, 1.0)), law_mean)
    spread = np.sqrt(np.where(was_run, weight * noise, tau2))
    w, y, s = (v.astype(np.float32) for v in (weight, observed, spread))

    def drawn(of_law: Draws, b: slice, own: Draws) -> Draws:
        of_law += w[b, None] * (y[b, None] - of_law)
        of_law += s[b, None] * own
        return of_law

    unknown = np.full(len(x), math.nan)
    return _Believed(
        centre=law_mean + weight * (observed - law_mean), weight=weight,
        same_centre=unknown, same_spread=unknown, drawn=drawn,
    )  # fmt: skip


def _known(
    fit: LawFit,
    x: Floats,
    labels: Sequence[str],
    measured: Measurements,
    n_draws: int,
    seed: int,
) -> _Believed:
    """By the members of the fit, each with its pair of variances."""
    pairs = pairs_of(fit, measured)
    if pairs is not None and len(measured.at):
        return _together(fit, x, labels, measured, pairs, n_draws, seed)
    share = np.array([m.weight for m in fit.members])
    tau2 = np.array([m.tau2 or 0.0 for m in fit.members])
    omega2 = np.array([m.omega2 or 0.0 for m in fit.members])
    sound = own_runs(measured, tau2, omega2, np.ones(len(measured.at)))
    doubt = np.zeros(len(measured.measured))
    np.maximum.at(doubt, np.searchsorted(measured.measured, measured.at), measured.suspicion)
    doubt = np.where(doubt >= DOUBTED, doubt, 0.0)
    rest = own_runs(measured, tau2, omega2, (measured.suspicion < DOUBTED).astype(float))
    law, variance = fit.moments(x)
    at = measured.measured
    # Expected ln error and, on this set, its moments: over members, and over a doubted run's two cases.
    moved, own_share = np.zeros((len(share), len(at))), np.zeros(len(at))
    mean, square = (
        law.copy(),
        variance + tau2[:, None] + float(np.median(measured.own) if len(measured.own) else 0.0),
    )
    mean_at, square_at = np.zeros((2, len(share), len(at)))
    for case, p in ((sound, 1.0 - doubt), (rest, doubt)):
        moved += p * case.weight * (case.observed - law[:, at])
        own_share += p * (share @ case.weight)
        gap = case.same_weight * (case.observed - law[:, at])
        left = case.same_spread**2 + (1 - case.same_weight) ** 2 * variance[:, at]
        mean_at += p * gap
        square_at += p * (left + gap**2)
    mean[:, at] += mean_at
    square[:, at] = square_at - mean_at**2
    same_centre = share @ mean
    same_spread = np.sqrt(share @ (square + (mean - same_centre) ** 2))
    centre, weight = share @ law, np.zeros(len(x))
    centre[at] += share @ moved
    weight[at] = own_share
    return _Believed(
        centre=centre, weight=weight, same_centre=same_centre, same_spread=same_spread,
        drawn=_drawing(fit, labels, at, (sound, rest, doubt), n_draws, seed),
    )  # fmt: skip


def _together(
    fit: LawFit,
    x: Floats,
    labels: Sequence[str],
    measured: Measurements,
    pairs: Floats,
    n_draws: int,
    seed: int,
) -> _Believed:
    """As `_known`, where the own noise of runs is correlated: measured candidates are drawn together."""
    share = np.array([m.weight for m in fit.members])
    tau2 = np.array([m.tau2 or 0.0 for m in fit.members])
    omega2 = np.array([m.omega2 or 0.0 for m in fit.members])
    at, who = measured.measured, fit.draw_members(n_draws, seed)
    doubt, sound = doubtful(measured)
    cases = (
        joint_runs(measured, pairs, tau2, omega2, np.ones(len(sound), dtype=bool)),
        joint_runs(measured, pairs, tau2, omega2, sound),
    )
    law, variance = fit.moments(x)
    e = measured.log_error - law[:, measured.at]
    whose = (measured.at[:, None] == at[None, :]).astype(np.float64)
    centre, weight = share @ law, np.zeros(len(x))
    for case, p in zip(cases, (1.0 - doubt, doubt), strict=True):
        centre[at] += p * (share @ np.einsum("kmr,kr->km", case.gain, e))
        weight[at] += p * (share @ np.einsum("kmr,rm->km", case.gain, whose))
    streams = Streams(n_draws, seed)
    names = [labels[j] for j in at]
    normal = streams.of([f"{name}?" for name in names])
    limit = [NormalDist().inv_cdf(min(max(float(p), 1e-12), 1.0 - 1e-9)) for p in doubt]
    of_law = np.log(fit.draws(x[at], n_draws, seed)).T.astype(np.float32)
    found, same = drawn_together(
        of_law, measured, cases, who, normal < np.array(limit)[:, None], streams.of(names)
    )
    square = variance + tau2[:, None] + float(np.median(measured.own))
    same_centre = share @ law
    same_spread = np.sqrt(share @ (square + (law - same_centre) ** 2))
    same_centre[at], same_spread[at] = same.mean(axis=1), same.std(axis=1)
    tau = np.sqrt(tau2).astype(np.float32)[who]
    level = common_level(fit, n_draws, seed).astype(np.float32)

    def drawn(of_law: Draws, b: slice, own: Draws) -> Draws:
        first, end = np.searchsorted(at, [b.start, b.stop])
        of_law += tau * own
        of_law[at[first:end] - b.start] = found[first:end]
        of_law += level
        return of_law

    return _Believed(
        centre=centre, weight=weight, same_centre=same_centre, same_spread=same_spread, drawn=drawn
    )


def _drawing(
    fit: LawFit,
    labels: Sequence[str],
    at: NDArray[np.int64],
    cases: tuple[OwnRuns, OwnRuns, Floats],
    n_draws: int,
    seed: int,
) -> Callable[[Draws, slice, Draws], Draws]:
    """How the law's draws become those of the candidates, of which those `at` were run."""
    who = fit.draw_members(n_draws, seed)
    tau = np.sqrt([m.tau2 or 0.0 for m in fit.members]).astype(np.float32)[who]
    level = common_level(fit, n_draws, seed).astype(np.float32)
    sound, rest, doubt = cases
    doubted: dict[int, NDArray[np.bool_]] = {}
    if doubt.any():
        streams = Streams(n_draws, seed)
        for k in np.flatnonzero(doubt):
            normal = streams.of([f"{labels[at[k]]}?"])[0]
            doubted[int(k)] = normal < NormalDist().inv_cdf(min(float(doubt[k]), 1.0 - 1e-9))

    def drawn(of_law: Draws, b: slice, own: Draws) -> Draws:
        first, end = np.searchsorted(at, [b.start, b.stop])
        inside = at[first:end] - b.start
        runs = of_law[inside]
        of_law += tau * own
        for k, row in enumerate(range(first, end)):
            w, y, s = sound.weight[who, row], sound.observed[who, row], sound.spread[who, row]
            if row in doubted:
                away = doubted[row]
                w, y = (
                    np.where(away, rest.weight[who, row], w),
                    np.where(away, rest.observed[who, row], y),
                )
                s = np.where(away, rest.spread[who, row], s)
            of_law[inside[k]] = runs[k] + w * (y - runs[k]) + s * own[inside[k]]
        of_law += level
        return of_law

    return drawn


def common_level(fit: LawFit, n_draws: int, seed: int) -> Floats:
    """What draws of `belief` hold of the test set's level, in ln error, shape (n,): 0 by the rule before."""
    if fit.rule == INDEPENDENT:
        return np.zeros(n_draws)
    chance = np.random.default_rng([seed, 1])
    return np.asarray(math.sqrt(fit.common) * chance.standard_t(fit.common_dof, n_draws))


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

    By the rule before: where no run tells its own error, half of the scatter about the law is taken.
    """
    if fit.rule != INDEPENDENT:
        seeds = sum(m.weight * (m.omega2 or 0.0) for m in fit.members)
        return float(seeds + np.median(fit.own_variance))
    return typical if math.isfinite(typical) else 0.5 * _scatter(fit)


def quantiles(rows: Draws, level: float) -> Floats:
    """Central interval of each row, shape (2, m): the nearest draws outwards, without interpolation."""
    n = rows.shape[1]
    low = math.floor((1 - level) / 2 * (n - 1))
    ends = np.partition(rows, (low, n - 1 - low), axis=1)
    return np.stack([ends[:, low], ends[:, n - 1 - low]]).astype(np.float64)
