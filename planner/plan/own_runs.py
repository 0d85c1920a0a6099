"""The runs of each candidate, and what they say of it beside the law.

For one pair of variances tau^2 (of a configuration's own deviation) and omega^2 (of a training run), the
runs r of a configuration have the mean ybar = q sum_r y_r / v_r with v_r = own_r + omega^2 and
1 / q = sum_r 1 / v_r, and its deviation from the law is

    delta | law, y  ~  N(w (ybar - law), w q),   w = tau^2 / (tau^2 + q).

On this very test set a configuration also has what it met in these utterances, of variance own: there the
runs' noise is omega^2 alone. A run that is suspected of being no run of its configuration (a typing error)
counts only as often as it is not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from planner.evidence.noise_of_runs import relative_variance, zero_as_rate
from planner.evidence.study import Evidence
from planner.laws.result import INDEPENDENT, LawFit
from planner.plan.configurations import Config, config_of
from planner.plan.cost import Floats
from planner.store.row_types import Run

OLDER_OVERDISPERSION = 2.0
"""Of counts by the rule before, whose answers replay."""
DOUBTED = 0.01
"""Suspicion from which a run is also thought away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurements:
    """The runs of each candidate.

    Attributes:
        run_ids: of each candidate, empty where it was never run.
        error: mean error of those runs, NaN where there is none, shape (m,).
        variance: of ln(mean error) by the runs' own standard errors, shape (m,); NaN where unknown.
        typical: mean of a single run's variance of ln error over the evidence; NaN where unknown. Both
            serve the rule before alone, and are NaN by the present one.
        at: candidate of each run, shape (r,); log_error, own, suspicion, run_id: of each run, shape (r,).
    """

    run_ids: tuple[tuple[int, ...], ...]
    error: Floats
    variance: Floats
    typical: float
    at: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    log_error: Floats = field(default_factory=lambda: np.empty(0))
    own: Floats = field(default_factory=lambda: np.empty(0))
    suspicion: Floats = field(default_factory=lambda: np.empty(0))
    run_id: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    @property
    def measured(self) -> NDArray[np.int64]:
        """Candidates that were run, ascending."""
        return np.unique(self.at)


def measurements(
    evidence: Evidence,
    configs: Sequence[Config],
    ran_at: Sequence[int | None] | None = None,
    fit: LawFit | None = None,
) -> Measurements:
    """The runs of each candidate, averaged over seeds.

    Args:
        evidence: the runs.
        configs: the candidates.
        ran_at: for each row of the evidence, which candidate it was of; looked up where not given.
        fit: the law, which knows the noise of its runs and which of them it suspects.
    """
    if ran_at is None:
        place = {c: j for j, c in enumerate(configs)}
        ran_at = [place.get(config_of(r.trial)) for r in evidence.rows]
    runs: dict[int, list[Run]] = {}
    for row, j in zip(evidence.rows, ran_at, strict=True):
        if j is not None:
            runs.setdefault(j, []).append(row)
    older = fit is None or fit.rule == INDEPENDENT
    each = np.array(
        [relative_variance(r, OLDER_OVERDISPERSION) if older else math.nan for r in evidence.rows]
    )
    of_run = {r.run_id: v for r, v in zip(evidence.rows, each.tolist(), strict=True)}
    error, variance = np.full(len(configs), math.nan), np.full(len(configs), math.nan)
    run_ids: list[tuple[int, ...]] = [()] * len(configs)
    for j, group in runs.items():
        error[j] = float(np.mean([r.error for r in group]))
        variance[j] = float(np.mean([of_run[r.run_id] for r in group])) / len(group)
        run_ids[j] = tuple(r.run_id for r in group)
    known = each[np.isfinite(each)]
    kept = [i for i, j in enumerate(ran_at) if j is not None]
    own, suspicion = _of_runs(evidence, fit)
    logs = np.log([r.error or zero_as_rate(r.n_units or 1) for r in evidence.rows])
    return Measurements(
        run_ids=tuple(run_ids),
        error=error,
        variance=variance,
        typical=float(known.mean()) if len(known) else math.nan,
        at=np.array([ran_at[i] for i in kept], dtype=np.int64),
        log_error=logs[kept],
        own=own[kept],
        suspicion=suspicion[kept],
        run_id=np.array([evidence.rows[i].run_id for i in kept], dtype=np.int64),
    )


def _of_runs(evidence: Evidence, fit: LawFit | None) -> tuple[Floats, Floats]:
    """Own variance and suspicion of each row of the evidence, as the law knew them."""
    n = len(evidence.rows)
    known = evidence.observations.noise
    own = np.zeros(n) if known is None else known.own.copy()
    suspicion = np.zeros(n)
    if fit is None or not fit.own_variance:
        return own, suspicion
    of_law = dict(zip(fit.run_ids, fit.own_variance, strict=True))
    ids = [row.run_id for row in evidence.rows]
    own = np.array([of_law.get(run_id, v) for run_id, v in zip(ids, own.tolist(), strict=True)])
    doubts = dict(fit.suspicion)
    suspicion = np.array([doubts.get(run_id, 0.0) for run_id in ids])
    return own, suspicion


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnRuns:
    """What the runs of the r measured candidates say under each of k pairs of variances, shape (k, r).

    Attributes:
        weight: w; observed: ybar; spread: standard deviation of what is left, sqrt(w q).
        same_weight, same_spread: the same on this very test set.
    """

    weight: Floats
    observed: Floats
    spread: Floats
    same_weight: Floats
    same_spread: Floats


def own_runs(measured: Measurements, tau2: Floats, omega2: Floats, keep: Floats) -> OwnRuns:
    """By the runs that `keep` has (r,) of all runs, for pairs tau2, omega2 of shape (k,)."""
    codes = np.searchsorted(measured.measured, measured.at)
    n, k = len(measured.measured), len(tau2)
    observed, noise, seeds, met = (np.zeros((k, n)) for _ in range(4))
    for i, omega in enumerate(omega2.tolist()):
        precision = keep / (measured.own + omega)
        total = np.bincount(codes, precision, n)
        some = total > 0
        mean = np.bincount(codes, precision * measured.log_error, n)
        observed[i] = np.where(some, mean / np.where(some, total, 1.0), 0.0)
        noise[i] = np.where(some, 1.0 / np.where(some, total, 1.0), np.inf)
        count = np.bincount(codes, keep, n)
        seeds[i] = np.where(some, omega / np.maximum(count, 1.0), np.inf)
        met[i] = np.bincount(codes, measured.own, n) / np.bincount(codes, minlength=n)
    tau = tau2[:, None]
    weight = tau / (tau + noise)
    same = (tau + met) / (tau + met + seeds)
    return OwnRuns(
        weight=weight,
        observed=observed,
        spread=np.sqrt(tau * (1.0 - weight)),
        same_weight=same,
        same_spread=np.sqrt((tau + met) * (1.0 - same)),
    )
