"""Two builds of the product in worlds whose runs were all scored on the same utterances.

Run: python tests/benchmarks/utterance_worlds.py [WORLDS] [--against CHECKOUT] [--cells words,traps,…] [--plain]

The worlds are those of utterances.py: a configuration's true error is what it makes on new speech of the
same kind, exp(law + its own deviation). The whole path answers: `gather`, `fit_law`, `candidates.build`,
`decide`. Each build runs in a process of its own on the same worlds.

What is printed for each cell: how often 90 % intervals hold (of the level on new speech, of measured
configurations, of the choice, of differences from it), slope of the outcome on the stated P(best), share of
statements above .95 that are wrong, and regret of the choice in points of error.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib
import itertools
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from utterances import BACKBONES, REDUCTIONS, SECONDS, Cell, World, cells, world

QUOTED = 400
"""Draws by which differences are told."""
MISTYPED, LUCKY_ABOVE = 0.05, 0.95


HOMES = {
    "gather": ("planner.evidence.study", "planner.evidence"),
    "with_counts": ("planner.evidence.study",),
    "fit_law": ("planner.laws.fit_law",),
    "build": ("planner.plan.candidates", "planner.candidates"),
    "decide": ("planner.plan.choice", "planner.plan.search"),
    "Config": ("planner.plan.configurations", "planner.plan.query"),
    "PlanQuery": ("planner.words.question", "planner.plan.query"),
    "Workload": ("planner.plan.workload", "planner.candidates"),
    "RunRow": ("planner.store.row_types", "planner.store.stored"),
    "ScoredCounts": ("planner.store.row_types",),
    "backbone": ("planner.words.catalogue", "planner.catalogue"),
    "Adaptation": ("planner.words.records", "planner.records"),
    "Reduction": ("planner.words.records", "planner.records"),
    "Trial": ("planner.words.records", "planner.records"),
}
"""Where a build keeps what the path needs: the rooms, or the modules from before them."""


def _product() -> dict[str, Any]:
    """The functions of the path; None for what a build does not have (counts of utterances)."""
    found: dict[str, Any] = dict.fromkeys(HOMES)
    for name, homes in HOMES.items():
        for home in homes:
            with contextlib.suppress(ImportError):
                found[name] = found[name] or getattr(importlib.import_module(home), name, None)
    return found


def rows_of(made: World, cell: Cell, p: dict[str, Any], index: int) -> list[Any]:
    """The runs as the store gives them, with the trap's fault in them."""
    out = []
    rng = np.random.default_rng(index)
    victim = int(rng.integers(len(made.run)))
    total = int(made.words.sum())
    for i, j in enumerate(made.run):
        n_errors = int(made.errors[i].sum())
        if cell.trap == "mistyped" and i == victim:
            n_errors = max(round(n_errors * MISTYPED), 1)
        if cell.trap == "above-one" and i == victim:
            n_errors = round(total * rng.uniform(1.1, 3.5))
        config = _configs(p)[j]
        trial = p["Trial"](
            task="asr", dataset="simulated", dataset_digest="0", split_policy="official",
            n_train=1000, n_test=len(made.words), backbone=config.backbone,
            audio_seconds=config.audio_seconds, reduction=config.reduction,
            adaptation=config.adaptation, seed=int(made.seed[i]),
        )  # fmt: skip
        out.append(
            p["RunRow"](
                run_id=i + 1, trial_id=i + 1, trial=trial, state="finished", attempt=1,
                status="finished", provenance="imported" if cell.counts_only else "measured",
                metric="wer", split="test", n_params=p["backbone"](config.backbone).n_params,
                tokens_per_second=config.reduction.tokens_per_second, error=n_errors / total,
                std_error=None if cell.counts_only else _std_error(made, i), n_units=total,
                n_errors=n_errors, n_utterances=len(made.words), train_seconds=600.0,
                started_utc="2026-01-01T00:00:00Z",
            )
        )  # fmt: skip
    if cell.trap == "copies":
        out = [dataclasses.replace(r, run_id=10 * r.run_id + k) for r in out for k in range(10)]
    return out


def _std_error(made: World, i: int) -> float:
    """What the runner stores: the larger of the utterances' and, below 20 voices, the speakers' spread."""
    total, rate = made.words.sum(), made.errors[i].sum() / made.words.sum()
    found = []
    for label in (np.arange(len(made.words)), made.speaker):
        n = int(label.max()) + 1
        if n > 1:
            part = np.bincount(label, made.errors[i] - rate * made.words, n)
            found.append(math.sqrt(float(part @ part) * n / (n - 1)) / total)
    return float(max(found))


_MADE: list[Any] = []


def _configs(p: dict[str, Any]) -> list[Any]:
    if not _MADE:
        for b, s, r in itertools.product(BACKBONES, SECONDS, REDUCTIONS):
            config = p["Config"](
                backbone=b, audio_seconds=s, reduction=p["Reduction"].parse(r),
                adaptation=p["Adaptation"].parse("lora:8"),
            )  # fmt: skip
            _MADE.append(config)
    return _MADE


def answered(cell: Cell, index: int, p: dict[str, Any]) -> dict[str, Any]:
    """One world through the whole path: the figures that `show` sums up."""
    made = world(cell, index)
    rows = rows_of(made, cell, p, index)
    evidence = p["gather"](rows, "asr")
    if p["ScoredCounts"] is not None and not cell.counts_only:
        n, u = made.errors.shape
        counts = p["ScoredCounts"](
            run_id=np.repeat([r.run_id for r in rows], u), utterance=np.tile(np.arange(u), n),
            speaker=np.tile(made.speaker, n), errors=made.errors.ravel(),
            words=np.tile(made.words, n),
        )  # fmt: skip
        evidence = p["with_counts"](evidence, counts)
    fit = p["fit_law"](evidence.observations, law="auto")
    workload = p["Workload"](seconds=(8.0, 12.0), output_tokens=30.0, source="assumption")
    query = p["PlanQuery"](task="asr", flops=1e18, extrapolate=True)
    table = p["build"](query, evidence, fit, workload, None, _configs(p))
    return figures(cell, index, made, table, p)


def figures(cell: Cell, index: int, made: World, table: Any, p: dict[str, Any]) -> dict[str, Any]:
    """Intervals that hold, P(best) and what came true, statements, regret of three limits."""
    rng = np.random.default_rng([index, 9])
    flops = table.costs["flops"].value
    ran = np.unique(made.run)
    inside = (table.error_low <= made.error) & (made.error <= table.error_high)
    draws = table.draws
    sure = wrong = 0
    for j in ran:
        target = float(table.error[j] * math.exp(0.15 * rng.standard_normal()))
        stated = float((draws[:, j] <= target).mean())
        for probability, true in (
            (stated, made.error[j] <= target),
            (1 - stated, made.error[j] > target),
        ):
            if probability > LUCKY_ABOVE:
                sure, wrong = sure + 1, wrong + (not true)
    p_best: list[tuple[float, bool]] = []
    regret, held, chosen = [], [], []
    for q in (0.3, 0.6, 1.0):
        decision = p["decide"](table, {"flops": float(np.quantile(flops, q))}, 0.9, 0.9)
        fits = np.flatnonzero(decision.feasible)
        best = decision.best
        lowest = made.error[fits].min()
        chosen.append(bool(inside[best]))
        regret.append(100 * float(made.error[best] - lowest))
        p_best += [(float(decision.p_best[j]), bool(made.error[j] == lowest)) for j in fits]
        low, high = np.quantile(draws[:QUOTED] - draws[:QUOTED, best, None], [0.05, 0.95], axis=0)
        gap = made.error - made.error[best]
        held.append(float(np.mean(((low <= gap) & (gap <= high))[fits[fits != best]])))
    return {
        "level": float(inside.mean()), "measured": float(inside[ran].mean()),
        "differences": float(np.mean(held)),
        "chosen": float(np.mean(chosen)), "p_best": p_best, "regret": float(np.mean(regret)),
        "sure": sure, "wrong": wrong,
        "width": float(np.log(table.error_high / np.maximum(table.error_low, 1e-9)).mean()),
    }  # fmt: skip


PLAIN = ("additive", "log-linear", "multiplicative", "shared-exponent")
"""Forms that `--plain` keeps: a fifth of the time, as a world of all forms takes 5 s of a processor."""


def worker(plain: bool = False) -> None:
    """Answer the worlds that standard input lists, one line of JSON each."""
    p = _product()
    if plain:
        selection = importlib.import_module("planner.laws.selection")
        every = selection.candidate_laws
        selection.candidate_laws = lambda *given: [n for n in every(*given) if n in PLAIN]
    for text in sys.stdin:
        cell, index = json.loads(text)
        start = time.process_time()
        try:
            found = answered(Cell(**cell), index, p)
        except Exception as problem:  # a build that fails in a world is a figure, too
            found = {"failed": f"{type(problem).__name__}: {problem}"}
        found["seconds"] = time.process_time() - start
        print(json.dumps(found), flush=True)


# --- the table ----------------------------------------------------------------------------------


def run_build(
    checkout: str, asked: list[tuple[Cell, int]], plain: bool = False
) -> list[dict[str, Any]]:
    """The figures of one build, in a process that imports that checkout alone."""
    env = {**os.environ, "PYTHONPATH": checkout, "OMP_NUM_THREADS": "1"}
    text = "".join(json.dumps([dataclasses.asdict(c), i]) + "\n" for c, i in asked)
    done = subprocess.run(
        [sys.executable, __file__, "--worker", *(["--plain"] * plain)], input=text, env=env, text=True,
        stdout=subprocess.PIPE, check=True, cwd=checkout,
    )  # fmt: skip
    return [json.loads(line) for line in done.stdout.splitlines()]


def slope(pairs: list[tuple[float, bool]]) -> float:
    """Of the outcome on the stated probability, by least squares: 1 when calibrated."""
    p, y = np.array([a for a, _ in pairs]), np.array([float(b) for _, b in pairs])
    return float(np.cov(p, y)[0, 1] / max(p.var(ddof=1), 1e-300)) if len(p) > 2 else math.nan


def summary(found: list[dict[str, Any]]) -> dict[str, float]:
    """The figures of one cell and one build over its worlds."""
    good = [f for f in found if "failed" not in f]
    if not good:
        return {"failed": len(found)}
    pairs = [(float(a), bool(b)) for f in good for a, b in f["p_best"]]
    stated = [b for a, b in pairs if a > LUCKY_ABOVE]
    sure = sum(f["sure"] for f in good)
    names = ("level", "measured", "chosen", "differences", "regret", "width", "seconds")
    out = {n: float(np.mean([f[n] for f in good])) for n in names}
    return {
        **out, "slope": slope(pairs), "failed": len(found) - len(good),
        "p_wrong": sum(f["wrong"] for f in good) / max(sure, 1),
        "best_wrong": 1 - float(np.mean(stated)) if stated else 0.0, "n_best": len(stated),
    }  # fmt: skip


def show(name: str, build: str, s: dict[str, float]) -> None:
    """One line."""
    if "level" not in s:
        print(f"{name:44s} {build:5s} failed in all {s['failed']:.0f} worlds")
        return
    print(
        f"{name:44s} {build:5s} level {s['level']:.3f} measured {s['measured']:.3f} "
        f"chosen {s['chosen']:.3f} differences "
        f"{s['differences']:.3f} width {s['width']:.2f} | P(best) slope {s['slope']:5.2f}, >.95 wrong "
        f"{s['best_wrong']:.2f} of {s['n_best']:.0f} | P(error) >.95 wrong {s['p_wrong']:.3f} | regret "
        f"{s['regret']:.4f} | failed {s['failed']:.0f}, {s['seconds']:.2f} s",
        flush=True,
    )


def main() -> None:
    """Print the table: for each cell the build of this tree and, beside it, the one to compare with."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("worlds", nargs="?", type=int, default=8)
    parser.add_argument("--against", help="another checkout of the product")
    parser.add_argument("--cells", default="words,seeds,traps")
    parser.add_argument("--only", help="new or old: one build alone")
    parser.add_argument("--first", type=int, default=0, help="index of the first world")
    parser.add_argument("--plain", action="store_true", help="four plain forms alone")
    parser.add_argument("--worker", action="store_true")
    args = parser.parse_args()
    if args.worker:
        worker(args.plain)
        return
    builds = {"new": str(Path(__file__).parents[2])}
    if args.against:
        builds["old"] = args.against
    builds = {n: c for n, c in builds.items() if args.only in (None, n)}
    chosen = [
        c for c in cells() if c.group in args.cells.split(",") or c.trap in args.cells.split(",")
    ]
    numbers = range(args.first, args.first + args.worlds)
    asked = [(c, i) for c in chosen for i in numbers]
    found = {name: run_build(checkout, asked, args.plain) for name, checkout in builds.items()}
    n = args.worlds
    sums = {
        name: [summary(f[k * n : (k + 1) * n]) for k in range(len(chosen))]
        for name, f in found.items()
    }
    for k, cell in enumerate(chosen):
        for name in reversed(builds):
            show(cell.name, name, sums[name][k])
    for name, f in found.items():
        show(f"all, {len(chosen)} cells", name, summary(f))
        for text in dict.fromkeys(x["failed"][:200] for x in f if "failed" in x):
            print(f"  {name}: {text}")
    if len(builds) == 2:
        ratios = [
            a["regret"] / b["regret"]
            for a, b in zip(sums["new"], sums["old"], strict=True)
            if b.get("regret")
        ]
        print(
            f"regret, new over old: mean of cells {np.mean(ratios):.2f}, largest {max(ratios):.2f}"
        )


if __name__ == "__main__":
    main()
