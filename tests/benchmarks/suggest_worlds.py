"""Suggested runs against random, grid and largest variance: regret per hour over simulated worlds.

Run: python tests/benchmarks/suggest_worlds.py [WORLDS]

Every strategy starts from the same ten runs and spends the same hours in four rounds; after each round
the law is fitted again and the configuration is chosen under one FLOP limit. Its regret is its true
error less the least true error under the limit. The figure is the mean regret after the four rounds:
regret over equal hours. Differences are paired by world, with a 95 % bootstrap interval.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from simulated import NOISES, Study, World, sweep, world

from planner.laws.result import LawFit
from planner.plan.candidates import CandidateTable
from planner.plan.choice import decide
from planner.plan.configurations import config_of
from planner.plan.cost import Floats
from planner.plan.suggest import after, suggest
from planner.service.next_runs import run_noise
from planner.store.row_types import RunRow

FIRST_RUNS, ROUNDS = 10, 4
HOURS = 12.0
"""To spend in all, in median hours of a run."""

Strategy = Callable[
    [np.random.Generator, LawFit, CandidateTable, Study, np.ndarray, float], list[int]
]


def ours(
    rng: np.random.Generator, fit: LawFit, table: CandidateTable, study: Study,
    feasible: np.ndarray, hours: float,
) -> list[int]:  # fmt: skip
    """The product's suggestion."""
    noise = run_noise(study.evidence(), fit, table)
    found = suggest(table.draws, noise, study.made.hours, feasible, hours, 1e-15)
    return [s.index for s in found]


def at_random(
    rng: np.random.Generator, fit: LawFit, table: CandidateTable, study: Study,
    feasible: np.ndarray, hours: float,
) -> list[int]:  # fmt: skip
    """Any configuration that can be paid for, until none can."""
    return _fill(study.made, hours, lambda can: int(rng.choice(can)))


def grid(
    rng: np.random.Generator, fit: LawFit, table: CandidateTable, study: Study,
    feasible: np.ndarray, hours: float,
) -> list[int]:  # fmt: skip
    """The configurations that were run least, in an order that spreads over the grid."""
    counts = np.zeros(len(table))
    for row in study.rows:
        counts[_index(study.made, row)] += 1
    # 33 is coprime to 80 and strides over all three axes: neighbours in the order are far apart.
    order = (np.arange(len(table)) * 33) % len(table)

    def pick(can: np.ndarray) -> int:
        j = min(can, key=lambda i: (counts[i], order[i]))
        counts[j] += 1
        return int(j)

    return _fill(study.made, hours, pick)


def largest_variance(
    rng: np.random.Generator, fit: LawFit, table: CandidateTable, study: Study,
    feasible: np.ndarray, hours: float,
) -> list[int]:  # fmt: skip
    """The configuration whose error is known least, the covariance updated after each run."""
    noise = run_noise(study.evidence(), fit, table)
    state = {"c": np.cov(table.draws, rowvar=False)}

    def pick(can: np.ndarray) -> int:
        j = int(can[np.diag(state["c"])[can].argmax()])
        state["c"] = after(state["c"], noise, j)
        return j

    return _fill(study.made, hours, pick)


def _fill(made: World, hours: float, pick: Callable[[np.ndarray], int]) -> list[int]:
    out: list[int] = []
    left = hours
    while (made.hours <= left).any():
        j = pick(np.flatnonzero(made.hours <= left))
        out.append(j)
        left -= float(made.hours[j])
    return out


def _index(made: World, row: RunRow) -> int:
    return made.configs.index(config_of(row.trial))


STRATEGIES: dict[str, Strategy] = {
    "suggest": ours,
    "random": at_random,
    "grid": grid,
    "largest variance": largest_variance,
}


def _run(study: Study, seed: int, j: int) -> None:
    """One more run of configuration j; its noise belongs to it and to how often it was run."""
    n_before = sum(_index(study.made, row) == j for row in study.rows)
    study.rng = np.random.default_rng([seed, 8, j, n_before])
    study.add(j)


def regrets(seed: int) -> dict[str, Floats]:
    """By strategy: regret after each round, and last the share of the hours that was spent."""
    made = world(seed)
    first = sweep(seed, FIRST_RUNS)
    start_fit, start_table = Study.start(made, seed, first).answerable(latency=False)
    law = start_fit.law
    out = {}
    for name, strategy in STRATEGIES.items():
        study = Study.start(made, seed, first)
        rng = np.random.default_rng([seed, 6])
        fit, table = start_fit, start_table
        flops = table.costs["flops"].value
        limit = {"flops": float(np.quantile(flops, rng.uniform(0.3, 0.9)))}
        feasible = flops <= limit["flops"]
        found, left = [], HOURS * float(np.median(made.hours))
        for r in range(ROUNDS):
            share = left / (ROUNDS - r)
            for j in strategy(rng, fit, table, study, feasible, share):
                _run(study, seed, j)
                left -= float(made.hours[j])
            fit, table = study.answerable(law, latency=False)
            best = decide(table, limit, 0.9).best
            assert best is not None
            found.append(made.error[best] - made.error[feasible].min())
        out[name] = np.array([*found, 1 - left / (HOURS * float(np.median(made.hours)))])
    return out


def show(found: list[dict[str, Floats]]) -> None:
    """The regret of each strategy, and the differences with their intervals."""
    from worlds import interval

    mean = {s: np.array([f[s][:-1].mean() for f in found]) for s in STRATEGIES}
    print(f"regret over equal hours, {len(found)} worlds, noise {NOISES}, in points of error")
    for name, values in mean.items():
        last, spent = np.mean([f[name][-2:] for f in found], axis=0)
        low, high = interval(values - mean["suggest"])
        verdict = "" if name == "suggest" else "clear" if low > 0 else "not clear of zero"
        print(
            f"{name:18s} mean {100 * values.mean():.4f}  last round {100 * last:.4f}  "
            f"{100 * spent:3.0f} % spent  "
            f"less ours {100 * (values - mean['suggest']).mean():+.4f} "
            f"[{100 * low:+.4f}, {100 * high:+.4f}]  {verdict}",
            flush=True,
        )


def main(n: int = 100) -> None:
    """Print the figures after every quarter of the worlds: the last block counts."""
    found = []
    for seed in range(n):
        found.append(regrets(seed))
        if (seed + 1) % max(n // 4, 1) == 0 or seed + 1 == n:
            show(found)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
