"""A study against a full grid, a star, random, Optuna's TPE and ASHA: hours to the same regret, simulated worlds.

Run: python tests/benchmarks/study_worlds.py [WORLDS] [law] [--first N] [--processes P] [--keep FILE]
(needs optuna: pip install optuna; with --keep the worlds of earlier runs in FILE count too, none twice)

A world has a true error for each of 80 configurations (simulated.py: a law times a deviation of its own), and one
test set whose utterances differ in difficulty, the same for all runs; a run meets each with a luck of its own and
counts its words. The truth is that of new speech. Every strategy spends hours of runs, one worker, under one limit
on FLOPs that it knows; infeasible configurations cost a rival nothing, as it never tries them. The study is the
product's: first runs, law, next round, end. Its choice is the answer's; a rival's is the configuration that it
measured lowest, and beside it, with `law` (twice the time), what the product's law chooses from the same runs of
grid, star and random. ASHA is told errors after 1/9 and 1/3 of the steps, from curves that are assumed here.

The figure: the hours at which the mean regret over worlds comes, for good, below the study's mean regret at its end,
over the hours at which the study's own does, with a 95 % bootstrap interval over worlds. Beside it whether the stated
95 % bound of the regret held, and whether the 90 % interval of the chosen configuration's error did, at the end and
after every round.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from simulated import axes_of, world
from study_lab import CONFIGS, TEXTS, Curve, Lab
from study_rivals import asha, rival, star, tpe

from planner.plan.cost import Floats
from planner.plan.first_runs import first_runs
from planner.service.study_rounds import Ran, decided
from planner.store.studies import Spend, StudyRow

BUDGET = 16.0
"""Hours of the study, in median hours of a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One world: the curve of each strategy, and what the study stated at its end."""

    curves: dict[str, Curve]
    bounds_held: list[bool]
    intervals_held: list[bool]
    n_runs: int
    seconds: float


def study(lab: Lab, fits: np.ndarray) -> tuple[Curve, list[bool], list[bool]]:
    """The product's study: after each round its regret, and whether the bound and the interval held."""
    made = lab.made
    budget = BUDGET * float(np.median(made.hours))
    spend = Spend(hours=budget, until_regret=None, worth=1e-4, n_workers=1)
    row = StudyRow(
        study_id=1, name="simulated", spec_json="", question_json="", spend=spend, state="open",
        verdict=None, answer_id=None, report_json=None, created_utc="", ended_utc=None,
    )  # fmt: skip
    for j in first_runs(axes_of(CONFIGS), made.hours, 1, budget):
        lab.run(j)
    curve: Curve = []
    bounds: list[bool] = []
    intervals: list[bool] = []
    place = {text: j for j, text in enumerate(TEXTS)}
    while True:
        prepared = lab.prepared()
        ran = Ran(
            run_ids=frozenset(r.run_id for r in lab.rows),
            n_trials=Counter(TEXTS[j] for j in lab.ran),
            finished=frozenset(TEXTS[j] for j in lab.ran), failed={}, hours=lab.hours,
        )  # fmt: skip
        found = decided(row, prepared, ran)
        assert found.decision is not None
        best = found.decision.best
        assert best is not None
        regret = float(made.error[best] - made.error[fits].min())
        curve.append((lab.hours, regret))
        table = prepared.table
        bounds.append(regret <= found.decision.regret_bound + 1e-12)
        intervals.append(bool(table.error_low[best] <= made.error[best] <= table.error_high[best]))
        if found.verdict is not None:
            return curve, bounds, intervals
        for chosen in found.runs:
            lab.run(place[chosen["candidate"]])


def found_in(seed: int, law: bool = False) -> Found:
    """One world, every strategy."""
    start = time.process_time()
    made = world(seed)
    rng = np.random.default_rng([seed, 23])
    probe = Lab(made, seed, 1e18)
    for j in star()[:12]:
        probe.run(j)
    flops = probe.prepared().table.costs["flops"].value
    limit = float(np.quantile(flops, rng.uniform(0.3, 0.9)))
    fits = np.flatnonzero(flops <= limit)
    lab = Lab(made, seed, limit)
    curve, bounds, intervals = study(lab, fits)
    curves = {"study": curve}
    for name, order in (
        ("grid", rng.permutation(fits)),
        ("star", np.array(star())),
        ("random", rng.choice(fits, len(CONFIGS))),
    ):
        by_run, by_law = rival(Lab(made, seed, limit), fits, iter(order.tolist()), law=law)
        curves[name] = by_run
        if law:
            curves[f"{name}, our law"] = by_law
    curves["TPE"] = tpe(Lab(made, seed, limit), fits, len(CONFIGS))
    curves["ASHA"] = asha(Lab(made, seed, limit), fits, 3 * len(CONFIGS))
    return Found(
        curves=curves, bounds_held=bounds, intervals_held=intervals, n_runs=len(lab.rows),
        seconds=time.process_time() - start,
    )  # fmt: skip


def regret_at(curve: Curve, hours: Floats, worst: float) -> Floats:
    """The regret after so many hours: that of the last choice before; `worst` before there is one."""
    at = np.array([h for h, _ in curve])
    values = np.array([worst, *(r for _, r in curve)])
    return np.asarray(values[np.searchsorted(at, hours, side="right")])


def hours_to(mean: Floats, hours: Floats, target: float) -> float:
    """From when on the mean regret stays within the target; infinite where it never does."""
    above = np.flatnonzero(mean > target)
    last = int(above[-1]) + 1 if len(above) else 0
    return float(hours[last]) if last < len(hours) else math.inf


def show(found: list[Found]) -> None:
    """Mean regret at the study's end, hours to it, and the ratio with its interval."""
    hours = np.geomspace(0.05, max(c[-1][0] for f in found for c in f.curves.values() if c), 400)
    worst = max(r for f in found for c in f.curves.values() for _, r in c)
    names = list(found[0].curves)
    grids = {n: np.array([regret_at(f.curves[n], hours, worst) for f in found]) for n in names}
    ends = np.array([f.curves["study"][-1] for f in found])
    print(
        f"{len(found)} worlds: the study ends after {ends[:, 0].mean():.2f} h and "
        f"{np.mean([f.n_runs for f in found]):.1f} runs with a regret of {100 * ends[:, 1].mean():.3f} points; "
        f"95 % bound holds {np.mean([f.bounds_held[-1] for f in found]):.3f}, 90 % interval of the choice "
        f"{np.mean([f.intervals_held[-1] for f in found]):.3f}; after every round "
        f"{np.mean(np.concatenate([f.bounds_held for f in found])):.3f} and "
        f"{np.mean(np.concatenate([f.intervals_held for f in found])):.3f}; "
        f"{np.mean([f.seconds for f in found]):.0f} s a world"
    )
    rng = np.random.default_rng(0)
    for name in names:
        ratios = []
        for k in range(400):
            pick = np.arange(len(found)) if k == 0 else rng.integers(0, len(found), len(found))
            target = float(ends[pick, 1].mean()) * (1 + 1e-9)
            mine = hours_to(grids["study"][pick].mean(0), hours, target)
            ratios.append(hours_to(grids[name][pick].mean(0), hours, target) / mine)
        low, high = np.quantile(ratios[1:], [0.025, 0.975], method="nearest")
        last = np.mean([f.curves[name][-1][1] for f in found if f.curves[name]])
        print(
            f"  {name:18s} {ratios[0]:6.2f} times the study's hours to its regret [{low:.2f}, {high:.2f}]; "
            f"its own last regret {100 * last:.3f} points",
            flush=True,
        )


def kept(path: Path | None) -> dict[int, Found]:
    """Worlds of earlier runs by seed, one a line."""
    if path is None or not path.exists():
        return {}
    rows = map(json.loads, path.read_text().splitlines())
    return {row["seed"]: Found(**row["found"]) for row in rows}


def main() -> None:
    """Print the figures after every quarter of the worlds: the last block counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("worlds", nargs="?", type=int, default=100)
    parser.add_argument("law", nargs="?", choices=["law"])
    parser.add_argument("--first", type=int, default=0, help="seed of the first world")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="file that worlds are added to")
    args = parser.parse_args()
    found = kept(args.keep)
    seeds = [s for s in range(args.first, args.first + args.worlds) if s not in found]
    work = partial(found_in, law=args.law is not None)
    with ProcessPoolExecutor(args.processes, mp_context=get_context("spawn")) as pool:
        for i, (seed, one) in enumerate(zip(seeds, pool.map(work, seeds), strict=True), start=1):
            found[seed] = one
            if args.keep:
                with args.keep.open("a") as file:
                    file.write(json.dumps({"seed": seed, "found": asdict(one)}) + "\n")
            if i % max(len(seeds) // 4, 1) == 0 or i == len(seeds):
                show(list(found.values()))


if __name__ == "__main__":
    main()
