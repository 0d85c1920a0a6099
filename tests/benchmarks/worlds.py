"""The planner against simulated worlds whose truth is known: calibration, and regret of its choices.

Run: python tests/benchmarks/worlds.py [WORLDS]

200 worlds x 50 questions: stated probabilities, intervals, Brier score and CRPS against the plug-in in
each noise level; regret of the choice against the oracle, which knows every true error and latency.

Compared with: the plug-in (one additive law by least squares, its point predictions and the latency
model's, each set against its limit as if it were known); the best run that fits (the lowest measured
error among configurations that were run); and the law known (the true law and spread in place of the
fitted ones, latency as predicted: what nobody can beat). A choice that breaks a limit in truth cannot be
deployed, and no choice is none: both are charged the error of the quickest configuration.

See also suggest_worlds.py (which runs next) and wrong_forms.py (no form holds the truth).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from simulated import NOISES, Study, World, axes_of, sweep, world

from planner.laws.fit_law import fit_law
from planner.plan.candidates import CandidateTable
from planner.plan.choice import decide, joint_probability
from planner.plan.cost import Floats

N_RUNS, N_QUERIES = 24, 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One what-if question about one configuration: stated probability, the plug-in's, the outcome."""

    world: int
    noise: float
    stated: float
    plug_in: float
    came_true: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """One plan question: whether its interval and bound held, and what each choice cost in error."""

    world: int
    noise: float
    covered: bool | None
    kept: bool | None
    bound_held: bool | None
    ours: float
    plug_in: float
    best_run: float
    law_known: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldScore:
    """What one world gave."""

    noise: float
    asked: tuple[Asked, ...]
    chosen: tuple[Chosen, ...]
    exact: tuple[Chosen, ...]
    covered: float
    latency_covered: float
    crps: float
    crps_plug_in: float


def score(seed: int, made: World, table: CandidateTable, plug: Floats) -> WorldScore:
    """All figures of one world; `plug` is the plug-in's error of each configuration."""
    rng = np.random.default_rng([seed, 4])
    cost = table.costs["latency_ms"]
    inside = (table.error_low <= made.error) & (made.error <= table.error_high)
    quick = (cost.low <= made.latency_ms) & (made.latency_ms <= cost.high)
    both = [_limits(rng, made, table, True) for _ in range(N_QUERIES)]
    return WorldScore(
        noise=made.noise,
        asked=tuple(_ask(rng, seed, made, table, plug) for _ in range(N_QUERIES)),
        chosen=tuple(_choose(seed, made, table, plug, limits) for limits in both),
        exact=tuple(
            _choose(seed, made, table, plug, {"flops": limits["flops"]}) for limits in both
        ),
        covered=float(inside.mean()),
        latency_covered=float(quick.mean()),
        crps=float(_crps(table.draws, made.error).mean()),
        crps_plug_in=float(np.abs(plug - made.error).mean()),
    )


def _limits(
    rng: np.random.Generator, made: World, table: CandidateTable, latency: bool
) -> dict[str, float]:
    """Limits between the 15 % and the 90 % quantile of the costs, even in the logarithm."""
    flops = np.log(np.quantile(table.costs["flops"].value, [0.15, 0.9]))
    out = {"flops": float(np.exp(rng.uniform(*flops)))}
    if latency:
        ms = np.log(np.quantile(made.latency_ms, [0.15, 0.9]))
        out["latency_ms"] = float(np.exp(rng.uniform(*ms)))
    return out


def _ask(
    rng: np.random.Generator, seed: int, made: World, table: CandidateTable, plug: Floats
) -> Asked:
    """P(latency and error within limits) of a random configuration, limits near its predictions."""
    j = int(rng.integers(len(table)))
    cost = table.costs["latency_ms"]
    ms = float(cost.value[j] * np.exp(0.25 * rng.standard_normal()))
    target = float(table.error[j] * np.exp(0.08 * rng.standard_normal()))
    stated = joint_probability(table, {"latency_ms": ms})[j] * (table.draws[:, j] <= target).mean()
    return Asked(
        world=seed,
        noise=made.noise,
        stated=float(stated),
        plug_in=float(cost.value[j] <= ms and plug[j] <= target),
        came_true=bool(made.latency_ms[j] <= ms and made.error[j] <= target),
    )


def _choose(
    seed: int, made: World, table: CandidateTable, plug: Floats, limits: dict[str, float]
) -> Chosen:
    """Our choice, the plug-in's and the oracle's under the same limits."""
    costs = {name: table.costs[name].value for name in limits}
    true = {**costs, "latency_ms": made.latency_ms}
    allowed = np.all([true[n] <= v for n, v in limits.items()], axis=0)
    oracle = made.error[allowed].min() if allowed.any() else made.error[made.latency_ms.argmin()]
    decision = decide(table, limits, 0.9)
    seems = np.all([costs[n] <= v for n, v in limits.items()], axis=0)
    guess = int(np.where(seems, plug, np.inf).argmin()) if seems.any() else None
    best = decision.best
    run = _least(np.where(decision.feasible, table.measured_error, np.nan))
    known = _least(np.where(decision.feasible, _law_known(made, table), np.nan))
    regret = None
    if best is not None:
        regret = float(made.error[best] - made.error[decision.feasible].min())
    return Chosen(
        world=seed,
        noise=made.noise,
        covered=None if best is None else _within(table, best, made.error),
        kept=None if best is None else bool(allowed[best]),
        bound_held=None if regret is None else regret <= decision.regret_bound + 1e-12,
        ours=_charged(made, allowed, best) - float(oracle),
        plug_in=_charged(made, allowed, guess) - float(oracle),
        best_run=_charged(made, allowed, run) - float(oracle),
        law_known=_charged(made, allowed, known) - float(oracle),
    )


def _least(values: Floats) -> int | None:
    return None if np.isnan(values).all() else int(np.nanargmin(values))


def _law_known(made: World, table: CandidateTable) -> Floats:
    """Expected error by the true law and spreads, and the runs of each configuration."""
    gap = np.log(table.measured_error / made.law)
    weight = made.tau**2 / (made.tau**2 + made.noise**2)
    return np.asarray(made.law * np.exp(weight * np.where(np.isfinite(gap), gap, 0.0)))


def _within(table: CandidateTable, j: int, truth: Floats) -> bool:
    return bool(table.error_low[j] <= truth[j] <= table.error_high[j])


def _charged(made: World, allowed: np.ndarray, choice: int | None) -> float:
    usable = choice is not None and allowed[choice]
    return float(made.error[choice if usable else int(made.latency_ms.argmin())])


def _crps(draws: Floats, truth: Floats) -> Floats:
    """E|X - y| - E|X - X'| / 2 over draws, shape (m,)."""
    ordered = np.sort(draws, axis=0)
    n = len(ordered)
    weights = (2 * np.arange(1, n + 1) - n - 1)[:, None]
    spread = (weights * ordered).sum(axis=0) / n**2
    return np.asarray(np.abs(draws - truth).mean(axis=0) - spread)


def slope(asked: Sequence[Asked]) -> float:
    """Of the outcomes on the stated probabilities, by least squares: 1 when calibrated."""
    p = np.array([a.stated for a in asked])
    y = np.array([a.came_true for a in asked], dtype=float)
    return float(np.cov(p, y)[0, 1] / p.var(ddof=1))


def brier(asked: Sequence[Asked]) -> tuple[float, float]:
    """Mean squared error of the stated probabilities, and of the plug-in's 0 and 1."""
    y = np.array([a.came_true for a in asked], dtype=float)
    ours = np.array([a.stated for a in asked]) - y
    theirs = np.array([a.plug_in for a in asked]) - y
    return float((ours**2).mean()), float((theirs**2).mean())


def interval(values: Floats, level: float = 0.95, n: int = 4000) -> tuple[float, float]:
    """Percentile bootstrap of a mean over worlds."""
    rng = np.random.default_rng(0)
    means = rng.choice(values, (n, len(values))).mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def scored(n: int) -> Iterator[WorldScore]:
    """Worlds one after the other: sweep, law, candidates, score."""
    for seed in range(n):
        made = world(seed)
        study = Study.start(made, seed, sweep(seed, N_RUNS))
        _, table = study.answerable()
        plug = fit_law(study.evidence().observations, law="additive")
        yield score(seed, made, table, plug.predict(axes_of(made.configs)).mean)


def show(name: str, scores: Sequence[WorldScore]) -> None:
    """One block of figures."""
    asked = [a for s in scores for a in s.asked]
    ours, theirs = brier(asked)
    covered = np.array([s.covered for s in scores])
    low, high = interval(covered)
    print(
        f"{name}: {len(scores)} worlds, {len(asked)} questions\n"
        f"  reliability slope {slope(asked):.3f} (0.9 to 1.1)   Brier {ours:.4f}, plug-in {theirs:.4f}\n"
        f"  90 % intervals of the error hold {covered.mean():.3f} [{low:.3f}, {high:.3f}] (0.87 to 0.93)"
        f", of latency {np.mean([s.latency_covered for s in scores]):.3f}\n"
        f"  CRPS {np.mean([s.crps for s in scores]):.5f}, plug-in {np.mean([s.crps_plug_in for s in scores]):.5f}"
    )
    for title, rows in (
        ("FLOPs and latency", [c for s in scores for c in s.chosen]),
        ("FLOPs alone", [c for s in scores for c in s.exact]),
    ):
        print(f"  {title}: {_regrets(rows)}", flush=True)


def _regrets(rows: Sequence[Chosen]) -> str:
    def mean(name: str) -> float:
        return float(np.mean([v for c in rows if (v := getattr(c, name)) is not None]))

    ours = mean("ours")
    return (
        f"regret {100 * ours:.4f} points, plug-in {100 * mean('plug_in'):.4f} "
        f"(ratio {ours / mean('plug_in'):.2f}), best run that fits {100 * mean('best_run'):.4f} "
        f"(ratio {ours / mean('best_run'):.2f}), the law known {100 * mean('law_known'):.4f}; "
        f"95 % bound holds {mean('bound_held'):.3f}, limits kept {mean('kept'):.3f}, "
        f"interval of the choice holds {mean('covered'):.3f}"
    )


def main(n: int = 200) -> None:
    """Print all figures, in all and by noise level."""
    start = time.perf_counter()
    scores = list(scored(n))
    show("all", scores)
    for noise in NOISES:
        show(f"noise {noise:g}", [s for s in scores if s.noise == noise])
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
