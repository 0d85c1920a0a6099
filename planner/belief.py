"""What is believed about each candidate's error: the law, and the runs of that very candidate.

The law gives ln error = law(x) + delta: delta is how far one configuration lies from any smooth law,
normal with variance tau^2 = sigma^2 - mean(s^2), where sigma is the scatter of runs about the law and s
a run's own relative standard error. A configuration that was run, mean y of k runs, has
    delta | law, y  ~  N(w (y - law), w s^2 / k),   w = tau^2 / (tau^2 + s^2 / k),
so a sharp measurement outweighs the law and a blunt one is drawn towards it; one that was never run has
delta ~ N(0, tau^2). Draws of the law are shared by all candidates, those of delta are each one's own.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from planner.evidence import Evidence
from planner.laws.result import LawFit
from planner.plan.query import Config, Floats
from planner.store.read import RunRow

OVERDISPERSION = 2.0
"""Variance of an error rate over that of independent words (assumption: words of an utterance fail
together; a bootstrap over utterances, where stored, takes its place)."""

LARGEST_LOG = 0.0
"""ln of the largest error believed in, 1: a system that says nothing makes no more (every word
deleted, every class missed), so nobody need do worse. Few runs give draws far above it."""


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


def config_of(row: RunRow) -> Config:
    """The configuration that a run was of."""
    trial = row.trial
    return Config(
        backbone=trial.backbone,
        audio_seconds=trial.audio_seconds,
        reduction=trial.reduction,
        adaptation=trial.adaptation,
        padding=trial.padding,
    )


def relative_variance(row: RunRow) -> float:
    """Variance of ln error of one run: its bootstrap's, else binomial by its units, else NaN."""
    if not row.error:
        return math.nan
    if row.std_error is not None and row.std_error > 0:
        return (row.std_error / row.error) ** 2
    if row.n_units:
        return OVERDISPERSION * (1 - min(row.error, 0.99)) / (row.error * row.n_units)
    return math.nan


def measurements(evidence: Evidence, configs: Sequence[Config]) -> Measurements:
    """The runs of each candidate, averaged over seeds."""
    by_config: dict[Config, list[RunRow]] = {}
    for row in evidence.rows:
        by_config.setdefault(config_of(row), []).append(row)
    groups = [by_config.get(c, []) for c in configs]
    error = [float(np.mean([r.error for r in g])) if g else math.nan for g in groups]
    variance = [
        float(np.mean([relative_variance(r) for r in g])) / len(g) if g else math.nan
        for g in groups
    ]
    each = np.array([relative_variance(r) for r in evidence.rows])
    known = each[np.isfinite(each)]
    return Measurements(
        run_ids=tuple(tuple(r.run_id for r in g) for g in groups),
        error=np.array(error),
        variance=np.array(variance),
        typical=float(known.mean()) if len(known) else math.nan,
    )


def belief(
    fit: LawFit,
    x: Floats,
    labels: Sequence[str],
    measured: Measurements,
    n_draws: int,
    seed: int,
) -> tuple[Floats, Floats]:
    """Expected error of each candidate, shape (m,), and joint draws of it, shape (n_draws, m).

    Args:
        fit: the law.
        x: candidates on the law's axes, shape (m, k).
        labels: of the candidates: they name the random streams, so that order does not matter.
        measured: runs of the candidates.
        n_draws: how many.
        seed: of everything random.
    """
    law_mean = np.log(fit.predict(x).mean)
    law_draws = np.log(fit.draws(x, n_draws, seed))
    # Where no run tells its own error, half of the scatter is taken as measurement (assumption).
    own = measured.typical if math.isfinite(measured.typical) else 0.5 * fit.sigma**2
    tau2 = max(fit.sigma**2 - own, 0.0)
    was_run = np.isfinite(measured.error)
    noise = np.where(np.isfinite(measured.variance), measured.variance, own)
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = np.where(was_run & (tau2 > 0), tau2 / (tau2 + noise), 0.0)
    observed = np.where(was_run, np.log(np.where(was_run, measured.error, 1.0)), law_mean)
    spread = np.sqrt(np.where(was_run, weight * noise, tau2))
    logs = law_draws + weight * (observed - law_draws)
    logs += spread * _streams(labels, n_draws, seed)
    mean = law_mean + weight * (observed - law_mean)
    return np.exp(np.minimum(mean, LARGEST_LOG)), np.exp(np.minimum(logs, LARGEST_LOG))


def _streams(labels: Sequence[str], n_draws: int, seed: int) -> Floats:
    """Standard normals, one stream a label, shape (n_draws, m)."""
    out = np.empty((len(labels), n_draws))
    for j, label in enumerate(labels):
        rng = np.random.default_rng([seed, zlib.crc32(label.encode())])
        out[j] = rng.standard_normal(n_draws)
    return out.T
