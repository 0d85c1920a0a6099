"""How much of the planner's regret no planner could avoid: the Bayes-optimal answer in worlds.py.

Run: python tests/benchmarks/bayes_worlds.py [WORLDS [FIRST [own|wide]]]

The Bayes-optimal answer knows what the planner does not: the very distribution that the worlds are drawn
from (forms, floors, exponents, shares), the noise of a run and the scatter of a configuration. From the
same 24 runs it takes the configuration with the least posterior mean error among those that the planner
holds for feasible. No rule has a lower mean regret over such worlds, so its share of the plug-in's regret
bounds what can be had. The posterior is sampled by tempering from the prior (sequential Monte Carlo), each
form by itself, and the forms are weighed by their evidence.

With `wide` the answer does not know where the parameters were drawn from and believes in a wide range; it
still knows the two forms, the noise of a run and the scatter of a configuration.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from simulated import CENTRE, Study, World, axes_of, sweep, world
from worlds import N_QUERIES, N_RUNS, _charged, _choose, _limits, interval

from planner.laws.fit_law import fit_law
from planner.plan.candidates import CandidateTable
from planner.plan.choice import decide
from planner.plan.cost import Floats

N_PARTICLES = 2000
MOVES = 6
"""Random-walk moves of every particle at each temperature."""
LEAST_SHARE = 0.6
"""Effective share of the particles that a step of the temperature keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """ln scale, floor and the three exponents uniform between bounds; the shares Dirichlet with one shape.

    The shares are gamma variables whose logarithms are the parameters.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    shape: float


PRIORS = {
    # that of simulated.random_law
    "own": Prior(
        low=(math.log(0.04), 0.2, 0.2, 0.3, 0.3), high=(math.log(0.2), 0.6, 0.6, 1.0, 1.0), shape=4.0
    ),
    "wide": Prior(
        low=(math.log(0.002), 0.0, 0.02, 0.02, 0.02), high=(0.0, 1.0, 2.0, 2.0, 2.0), shape=1.0
    ),
}  # fmt: skip

LogLaw = Callable[[Floats, Floats], Floats]


def additive(p: Floats, logs: Floats) -> Floats:
    """Ln of the additive law, shape (particles, points)."""
    shares = np.exp(p[:, 5:] - p[:, 5:].max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    terms = np.exp(-p[:, 2:5, None] * logs.T[None])
    rest = (shares[:, :, None] * terms).sum(axis=1)
    return _with_floor(p, rest)


def multiplicative(p: Floats, logs: Floats) -> Floats:
    """Ln of the multiplicative law, shape (particles, points)."""
    return _with_floor(p, np.exp(-0.5 * p[:, 2:5] @ logs.T))


def _with_floor(p: Floats, rest: Floats) -> Floats:
    # Proposals outside the bounds are refused afterwards.
    floor = p[:, 1, None].clip(0.0, 1.0)
    return np.asarray(p[:, 0, None] + np.log(floor + (1 - floor) * rest))


def _log_prior(prior: Prior, p: Floats) -> Floats:
    """Up to a constant; minus infinity outside the bounds."""
    inside = ((p[:, :5] >= prior.low) & (p[:, :5] <= prior.high)).all(axis=1)
    shares = (prior.shape * p[:, 5:] - np.exp(np.minimum(p[:, 5:], 50.0))).sum(axis=1)
    return np.where(inside, shares, -np.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class Posterior:
    """Particles of one form and the logarithm of its evidence."""

    particles: Floats
    log_evidence: float


def sampled(
    law: LogLaw, prior: Prior, logs: Floats, y: Floats, variance: float, rng: np.random.Generator
) -> Posterior:
    """The law's parameters given ln errors y at points `logs`, (n, 3), by tempering.

    Repeats of one configuration do not occur in these sweeps, so the runs' deviations are independent.
    """
    n = N_PARTICLES
    shares = rng.gamma(prior.shape, 1.0, (n, 3))
    p = np.hstack([rng.uniform(prior.low, prior.high, (n, 5)), np.log(shares)])

    def likelihood(q: Floats) -> Floats:
        return np.asarray(-0.5 * ((y - law(q, logs)) ** 2).sum(axis=1) / variance)

    now, heat, evidence = likelihood(p), 0.0, 0.0
    while heat < 1.0:
        step = _step(now, 1.0 - heat)
        weight = np.exp(step * (now - now.max()))
        evidence += math.log(weight.mean()) + step * now.max()
        heat += step
        kept = rng.choice(n, n, p=weight / weight.sum())
        p, now = p[kept], now[kept]
        root = np.linalg.cholesky(np.cov(p, rowvar=False) + 1e-12 * np.eye(p.shape[1]))
        for k in range(MOVES):
            size = (2.38, 1.0, 0.4)[k % 3] / math.sqrt(p.shape[1])
            q = p + size * rng.standard_normal(p.shape) @ root.T
            believed = _log_prior(prior, q)
            new = np.where(np.isfinite(believed), likelihood(q), -np.inf)
            with np.errstate(invalid="ignore"):
                gain = believed - _log_prior(prior, p) + heat * (new - now)
            moved = np.log(rng.random(n)) < gain
            p, now = np.where(moved[:, None], q, p), np.where(moved, new, now)
    return Posterior(particles=p, log_evidence=evidence)


def _step(log_likelihood: Floats, most: float) -> float:
    """The largest step of the temperature that keeps LEAST_SHARE of the particles effective."""
    low, high = 0.0, most
    if _effective(log_likelihood, most) >= LEAST_SHARE:
        return most
    for _ in range(40):
        middle = 0.5 * (low + high)
        if _effective(log_likelihood, middle) >= LEAST_SHARE:
            low = middle
        else:
            high = middle
    return max(low, 1e-12)


def _effective(log_likelihood: Floats, step: float) -> float:
    w = np.exp(step * (log_likelihood - log_likelihood.max()))
    return float(w.sum() ** 2 / (w**2).sum() / len(w))


def posterior_mean(made: World, study: Study, seed: int, prior: Prior) -> Floats:
    """Expected error of each configuration given the runs and the prior, (m,)."""
    rng = np.random.default_rng([seed, 7])
    logs = np.log(axes_of(made.configs) / CENTRE)
    at = [made.configs.index(_config(made, i, study)) for i in range(len(study.rows))]
    y = np.log([r.error for r in study.rows])
    variance = made.tau**2 + made.noise**2
    weight = made.tau**2 / variance
    total, parts = [], []
    for law in (additive, multiplicative):
        found = sampled(law, prior, logs[at], y, variance, rng)
        mean = law(found.particles, logs)
        spread = np.full(len(logs), made.tau**2)
        mean[:, at] += weight * (y - mean[:, at])
        spread[at] = weight * made.noise**2
        parts.append(np.exp(mean + 0.5 * spread).mean(axis=0))
        total.append(found.log_evidence)
    share = np.exp(np.array(total) - max(total))
    return np.asarray((share / share.sum()) @ np.array(parts))


def _config(made: World, i: int, study: Study) -> object:
    trial = study.rows[i].trial
    return next(
        c
        for c in made.configs
        if (c.backbone, c.audio_seconds, c.reduction)
        == (trial.backbone, trial.audio_seconds, trial.reduction)
    )


def compared(seed: int, prior: Prior) -> Floats:
    """Regrets of one world, mean over its questions: (2 kinds of question, 4 rules)."""
    made = world(seed)
    study = Study.start(made, seed, sweep(seed, N_RUNS))
    _, table = study.answerable()
    plug = fit_law(study.evidence().observations, law="additive").predict(axes_of(made.configs))
    best = posterior_mean(made, study, seed, prior)
    rng = np.random.default_rng([seed, 4])
    both = [_limits(rng, made, table, True) for _ in range(N_QUERIES)]
    out = []
    for kind in (both, [{"flops": limits["flops"]} for limits in both]):
        rows = [_rules(seed, made, table, plug.mean, best, limits) for limits in kind]
        out.append(np.mean(rows, axis=0))
    return np.array(out)


def _rules(
    seed: int, made: World, table: CandidateTable, plug: Floats, best: Floats,
    limits: dict[str, float],
) -> list[float]:  # fmt: skip
    """Regret of ours, the plug-in, the law known and the Bayes-optimal answer."""
    chosen = _choose(seed, made, table, plug, limits)
    true = {n: table.costs[n].value for n in limits} | {"latency_ms": made.latency_ms}
    allowed = np.all([true[n] <= v for n, v in limits.items()], axis=0)
    oracle = made.error[allowed].min() if allowed.any() else made.error[made.latency_ms.argmin()]
    feasible = decide(table, limits, 0.9).feasible
    j = int(np.where(feasible, best, np.inf).argmin()) if feasible.any() else None
    bayes = _charged(made, allowed, j) - float(oracle)
    return [chosen.ours, chosen.plug_in, chosen.law_known, bayes]


def show(found: list[Floats]) -> None:
    """The regrets, and each rule's share of the plug-in's with an interval over worlds."""
    values = np.array(found)
    rng = np.random.default_rng(0)
    picks = rng.integers(0, len(values), (4000, len(values)))
    for i, title in enumerate(("FLOPs and latency", "FLOPs alone")):
        part = values[:, i]
        print(f"{title}: {len(values)} worlds; regret in points of error, share of the plug-in's")
        for k, name in enumerate(("ours", "plug-in", "law known", "Bayesian")):
            shares = part[picks, k].mean(axis=1) / part[picks, 1].mean(axis=1)
            low, high = np.quantile(shares, [0.025, 0.975])
            print(
                f"  {name:14s} {100 * part[:, k].mean():.4f}  "
                f"{part[:, k].mean() / part[:, 1].mean():.3f} [{low:.3f}, {high:.3f}]"
            )
        low, high = interval(part[:, 0] - part[:, 3])
        print(
            f"  ours less the Bayesian {100 * (part[:, 0] - part[:, 3]).mean():+.4f} "
            f"[{100 * low:+.4f}, {100 * high:+.4f}]",
            flush=True,
        )


def main(n: int = 100, first: int = 0, prior: str = "own") -> None:
    """Print the figures."""
    start = time.perf_counter()
    show([compared(seed, PRIORS[prior]) for seed in range(first, first + n)])
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main(*(int(a) for a in sys.argv[1:3]), *sys.argv[3:4])
