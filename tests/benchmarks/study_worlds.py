"""A study against a full grid, a star, random and Optuna's TPE: worker-hours to the same regret over simulated worlds.

Run: python tests/benchmarks/study_worlds.py [WORLDS]     (needs optuna: pip install optuna)

A world has a true error for each of 80 configurations (simulated.py: a law times a deviation of its own), and one
test set whose utterances differ in difficulty, the same for all runs; a run meets each with a luck of its own and
counts its words. The truth is that of new speech. Every strategy spends hours of runs, one worker, under one limit
on FLOPs that it knows; infeasible configurations cost a rival nothing, as it never tries them. The study is the
product's: first runs, law, next round, end. Its choice is the answer's; a rival's is the configuration that it
measured lowest, and beside it, for grid, star and random, what the product's law chooses from the same runs.

The figure: the hours at which the mean regret over worlds comes, for good, below the study's mean regret at its end,
over the hours at which the study's own does, with a 95 % bootstrap interval over worlds. Beside it whether the stated
95 % bound of the regret held, and whether the 90 % interval of the chosen configuration's error did.
"""

from __future__ import annotations

import math
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from simulated import WORKLOAD, World, all_configs, axes_of, world

from planner.evidence.fit_report import FitReport
from planner.evidence.study import gather, with_counts
from planner.laws.fit_law import fit_law
from planner.plan import candidates
from planner.plan.choice import decide
from planner.plan.cost import Floats
from planner.plan.first_runs import first_runs
from planner.service.prepared import Prepared
from planner.service.study_rounds import Ran, decided
from planner.store.row_types import RunRow, ScoredCounts
from planner.store.studies import Spend, StudyRow
from planner.words import catalogue
from planner.words.question import PlanQuery
from planner.words.records import Trial

N_UTTERANCES, N_SPEAKERS = 300, 40
WORDS = (10, 31)
HARD, LUCK, SEEDS = 0.5, 0.3, 0.02
"""ln standard deviations: of utterances' difficulty, of a run's luck in one, of training seeds (assumption)."""
BUDGET = 16.0
"""Hours of the study, in median hours of a run."""
LAW_EVERY = 16
"""Runs of a rival between two answers by the product's law."""
CONFIGS = all_configs()
TEXTS = tuple(f"{c.backbone},{c.audio_seconds!r},{c.reduction},{c.adaptation}" for c in CONFIGS)
Curve = list[tuple[float, float]]
"""Hours spent and the true regret of the choice then."""


@dataclass
class Lab:
    """Runs of one world so far: each costs its hours and gives counts on the world's test set."""

    made: World
    seed: int
    limit: float
    rows: list[RunRow] = field(default_factory=list)
    counts: list[Floats] = field(default_factory=list)
    ran: list[int] = field(default_factory=list)
    hours: float = 0.0

    def __post_init__(self) -> None:
        rng = np.random.default_rng([self.seed, 21])
        self._words = rng.integers(*WORDS, N_UTTERANCES)
        self._speaker = np.sort(rng.integers(0, N_SPEAKERS, N_UTTERANCES))
        self._hard = rng.normal(-(HARD**2) / 2, HARD, N_UTTERANCES)

    def run(self, j: int) -> float:
        """Train and score configuration j once more; its measured error."""
        rng = np.random.default_rng([self.seed, 22, j, self.ran.count(j)])
        level = math.log(self.made.error[j]) + SEEDS * rng.standard_normal()
        rate = np.exp(level + self._hard + rng.normal(-(LUCK**2) / 2, LUCK, N_UTTERANCES))
        errors = rng.poisson(rate * self._words)
        n, total = int(errors.sum()), int(self._words.sum())
        config, i = CONFIGS[j], len(self.rows) + 1
        trial = Trial(
            task="asr", dataset="simulated", dataset_digest="0", split_policy="official", n_train=1000,
            n_test=N_UTTERANCES, backbone=config.backbone, audio_seconds=config.audio_seconds,
            reduction=config.reduction, adaptation=config.adaptation, seed=self.ran.count(j),
        )  # fmt: skip
        self.rows.append(
            RunRow(
                run_id=i, trial_id=i, trial=trial, state="finished", attempt=1, status="finished",
                provenance="measured", metric="wer", split="test",
                n_params=catalogue.backbone(config.backbone).n_params,
                tokens_per_second=config.reduction.tokens_per_second, error=max(n, 1) / total,
                std_error=math.sqrt(max(n, 1)) / total, n_units=total, n_errors=n,
                n_utterances=N_UTTERANCES, train_seconds=3600 * float(self.made.hours[j]),
                started_utc="2026-01-01T00:00:00Z",
            )
        )  # fmt: skip
        self.counts.append(errors)
        self.ran.append(j)
        self.hours += float(self.made.hours[j])
        return n / total

    def prepared(self) -> Prepared:
        """The law of the runs and the table of all configurations, by the product's own path."""
        ids = np.array([r.run_id for r in self.rows])
        n = len(ids)
        told = ScoredCounts(
            run_id=np.repeat(ids, N_UTTERANCES), utterance=np.tile(np.arange(N_UTTERANCES), n),
            speaker=np.tile(self._speaker, n), errors=np.concatenate(self.counts).astype(np.int64),
            words=np.tile(self._words, n).astype(np.int64),
        )  # fmt: skip
        evidence = with_counts(gather(self.rows, "asr"), told)
        fit = fit_law(evidence.observations, law="auto")
        query = PlanQuery(task="asr", flops=self.limit, extrapolate=True, candidates=TEXTS)
        table = candidates.build(query, evidence, fit, WORKLOAD, None, CONFIGS)
        report = FitReport(fit_id="simulated", fit=fit, evidence=evidence, notes=())
        return Prepared(query=query, table=table, report=report)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One world: the curve of each strategy, and what the study stated at its end."""

    curves: dict[str, Curve]
    bound_held: bool
    interval_held: bool
    n_runs: int
    seconds: float


def study(lab: Lab, fits: np.ndarray) -> tuple[Curve, bool, bool]:
    """The product's study: its regret after each round, and whether its last statements hold."""
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
        if found.verdict is not None:
            table = prepared.table
            held = bool(table.error_low[best] <= made.error[best] <= table.error_high[best])
            return curve, regret <= found.decision.regret_bound + 1e-12, held
        for chosen in found.runs:
            lab.run(place[chosen["candidate"]])


def rival(lab: Lab, fits: np.ndarray, order: Iterator[int], *, law: bool) -> tuple[Curve, Curve]:
    """A strategy that runs in some order: regret by the lowest measured, and by the law of the same runs."""
    measured: dict[int, list[float]] = {}
    by_run: Curve = []
    by_law: Curve = []
    allowed = set(fits.tolist())
    least = float(lab.made.error[fits].min())
    for j in order:
        error = lab.run(j)
        if j in allowed:
            measured.setdefault(j, []).append(error)
        if measured:
            best = min(measured, key=lambda k: float(np.mean(measured[k])))
            by_run.append((lab.hours, float(lab.made.error[best]) - least))
        if law and len(lab.rows) % LAW_EVERY == 0 and len(lab.rows) >= 2 * LAW_EVERY:
            table = lab.prepared().table
            decision = decide(table, {"flops": lab.limit}, 0.9)
            assert decision.best is not None
            by_law.append((lab.hours, float(lab.made.error[decision.best]) - least))
    return by_run, by_law


def star() -> list[int]:
    """Each backbone at the longest window unreduced, and from there each other length and rate."""
    full = {(c.backbone, c.audio_seconds, str(c.reduction)): j for j, c in enumerate(CONFIGS)}
    out = []
    for backbone in dict.fromkeys(c.backbone for c in CONFIGS):
        out += [full[backbone, s, "none"] for s in sorted({c.audio_seconds for c in CONFIGS})]
        out += [
            full[backbone, 30.0, r]
            for r in dict.fromkeys(str(c.reduction) for c in CONFIGS)
            if r != "none"
        ]
    return out


def tpe(lab: Lab, fits: np.ndarray, n: int) -> Curve:
    """Optuna's TPE over the axes as ordered numbers, told each measured error; what is infeasible is not run."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=lab.seed)
    asked = optuna.create_study(sampler=sampler)
    levels = [
        list(dict.fromkeys(getattr(c, name) for c in CONFIGS))
        for name in ("backbone", "audio_seconds", "reduction")
    ]
    at = {(c.backbone, c.audio_seconds, c.reduction): j for j, c in enumerate(CONFIGS)}
    allowed, measured = set(fits.tolist()), dict[int, list[float]]()
    curve: Curve = []
    least, tried = float(lab.made.error[fits].min()), 0
    while len(lab.rows) < n and tried < 20 * n:
        tried += 1
        trial = asked.ask()
        picked = [v[trial.suggest_int(f"axis{k}", 0, len(v) - 1)] for k, v in enumerate(levels)]
        j = at[picked[0], picked[1], picked[2]]
        if j not in allowed:
            asked.tell(trial, 1.0)
            continue
        error = lab.run(j)
        asked.tell(trial, error)
        measured.setdefault(j, []).append(error)
        best = min(measured, key=lambda k: float(np.mean(measured[k])))
        curve.append((lab.hours, float(lab.made.error[best]) - least))
    return curve


def found_in(seed: int) -> Found:
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
    curve, bound, interval = study(lab, fits)
    curves = {"study": curve}
    for name, order in (
        ("grid", rng.permutation(fits)),
        ("star", np.array(star())),
        ("random", rng.choice(fits, len(CONFIGS))),
    ):
        by_run, by_law = rival(Lab(made, seed, limit), fits, iter(order.tolist()), law=True)
        curves[name], curves[f"{name}, our law"] = by_run, by_law
    curves["TPE"] = tpe(Lab(made, seed, limit), fits, len(CONFIGS))
    return Found(
        curves=curves, bound_held=bound, interval_held=interval, n_runs=len(lab.rows),
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
        f"95 % bound holds {np.mean([f.bound_held for f in found]):.3f}, 90 % interval of the choice "
        f"{np.mean([f.interval_held for f in found]):.3f}; {np.mean([f.seconds for f in found]):.0f} s a world"
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


def main(n: int = 100) -> None:
    """Print the figures after every quarter of the worlds: the last block counts."""
    found = []
    for seed in range(n):
        found.append(found_in(seed))
        if (seed + 1) % max(n // 4, 1) == 0 or seed + 1 == n:
            show(found)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
