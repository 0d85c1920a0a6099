"""Time of choosing a study's next batch among 10,000 candidates after 500 runs.

Run: python tests/benchmarks/study_round_speed.py [WORKERS]

Candidates: eight Whisper checkpoints, 250 windows, five token rates; runs: 160 of them at five windows, again with
other seeds, 3 % of noise. The choice is the product's (`decided`), from law and table; both are timed beside it, all in
seconds of processor time.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections import Counter

import numpy as np
from simulated import WORKLOAD, World, axes_of, random_law, run_of

from planner.evidence.fit_report import FitReport
from planner.evidence.study import gather
from planner.laws.fit_law import fit_law
from planner.plan import candidates
from planner.plan.configurations import Config
from planner.service.prepared import Prepared
from planner.service.study_rounds import Ran, decided
from planner.store.studies import Spend, StudyRow
from planner.words.question import PlanQuery
from planner.words.records import Adaptation, Reduction

SIZES = ("tiny", "base", "small", "medium", "tiny.en", "base.en", "small.en", "medium.en")
SECONDS = np.round(np.linspace(5.0, 29.9, 250), 2)
LEVELS = SECONDS[[0, 60, 120, 180, 249]]
RATES = ("none", "stem:2", "stem:3", "stem:4", "stem:5")
N_RUNS = 500


def configs_at(seconds: np.ndarray) -> tuple[Config, ...]:
    """Every size and rate at those windows."""
    return tuple(
        Config(
            backbone=f"whisper-{b}", audio_seconds=float(s), reduction=Reduction.parse(r),
            adaptation=Adaptation.parse("lora:8"),
        )
        for b, s, r in itertools.product(SIZES, seconds, RATES)
    )  # fmt: skip


def made(configs: tuple[Config, ...], rng: np.random.Generator) -> World:
    """A law's errors at the configurations, 2 % of scatter, hours by their axes."""
    x = axes_of(configs)
    law = random_law(rng)(x)
    error = np.minimum(law * np.exp(0.02 * rng.standard_normal(len(x))), 0.95)
    return World(
        configs=configs, law=law, error=error, latency_ms=np.ones(len(x)),
        hours=0.02 + x[:, 0] * x[:, 1] / 1e10, noise=0.03, tau=0.02,
    )  # fmt: skip


def main(n_workers: int) -> None:
    """Print seconds of law, table and choice."""
    rng = np.random.default_rng(3)
    few, all_of_them = configs_at(LEVELS), configs_at(SECONDS)
    world = made(few, rng)
    rows = [run_of(world, i % len(few), i + 1, rng) for i in range(N_RUNS)]
    evidence = gather(rows, "asr")
    texts = tuple(
        f"{c.backbone},{c.audio_seconds!r},{c.reduction},{c.adaptation}" for c in all_of_them
    )
    start = time.process_time()
    fit = fit_law(evidence.observations, law="auto")
    fitted = time.process_time()
    query = PlanQuery(task="asr", flops=4e11, extrapolate=True, candidates=texts)
    table = candidates.build(query, evidence, fit, WORKLOAD, None, all_of_them)
    built = time.process_time()
    prepared = Prepared(
        query=query, table=table,
        report=FitReport(fit_id="simulated", fit=fit, evidence=evidence, notes=()),
    )  # fmt: skip
    seen = Counter(texts[j] for j, ids in enumerate(table.run_ids) for _ in ids)
    ran = Ran(
        run_ids=frozenset(fit.run_ids), n_trials=seen, finished=frozenset(seen), failed={}, hours=10.0
    )  # fmt: skip
    spend = Spend(hours=100.0, until_regret=None, worth=1e-4, n_workers=n_workers)
    row = StudyRow(
        study_id=1, name="simulated", spec_json="", question_json="", spend=spend, state="open",
        verdict=None, answer_id=None, report_json=None, created_utc="", ended_utc=None,
    )  # fmt: skip
    times = []
    for _ in range(3):
        begun = time.process_time()
        found = decided(row, prepared, ran)
        times.append(time.process_time() - begun)
    print(
        f"{len(table):,} candidates, {len(rows)} runs, {n_workers} workers: {len(found.runs)} runs chosen in "
        f"{np.median(times):.2f} CPU s (target 2; least {min(times):.2f}); law {fitted - start:.1f} s, table "
        f"{built - fitted:.2f} s; {found.verdict or found.runs[0]['label']}"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
