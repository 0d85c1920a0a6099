"""A simulated laboratory: runs of one world, each scored on the same utterances (study_worlds.py)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from simulated import WORKLOAD, World, all_configs

from planner.evidence.fit_report import FitReport
from planner.evidence.study import gather, with_counts
from planner.laws.fit_law import fit_law
from planner.plan import candidates
from planner.plan.cost import Floats
from planner.service.prepared import Prepared
from planner.store.row_types import RunRow, ScoredCounts
from planner.words import catalogue
from planner.words.question import PlanQuery
from planner.words.records import Trial

N_UTTERANCES, N_SPEAKERS = 300, 40
WORDS = (10, 31)
HARD, LUCK, SEEDS = 0.5, 0.3, 0.02
"""ln standard deviations: of utterances' difficulty, of a run's luck in one, of training seeds (assumption)."""
CURVE, CURVE_SPREAD = 0.3, 0.3
"""Of error at a share s of the steps: error (1 + a (s^-1/2 - 1)), ln a normal about ln CURVE (assumption)."""
SHARES = (1 / 9, 1 / 3, 1.0)
"""Of the steps after which ASHA compares: three rungs, a third goes on (its paper's middle setting)."""
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
        self.n_words = int(self._words.sum())
        self._hard = rng.normal(-(HARD**2) / 2, HARD, N_UTTERANCES)

    def errors(self, j: int, share: float = 1.0) -> Floats:
        """Counts of wrong words of configuration j's next run, after a share of its steps."""
        rng = np.random.default_rng([self.seed, 22, j, self.ran.count(j)])
        level = math.log(self.made.error[j]) + SEEDS * rng.standard_normal()
        luck = rng.normal(-(LUCK**2) / 2, LUCK, N_UTTERANCES)
        slope = CURVE * math.exp(CURVE_SPREAD * rng.standard_normal())
        level += math.log1p(slope * (share**-0.5 - 1.0))
        return np.asarray(rng.poisson(np.exp(level + self._hard + luck) * self._words))

    def run(self, j: int) -> float:
        """Train and score configuration j once more; its measured error."""
        errors = self.errors(j)
        n, total = int(errors.sum()), self.n_words
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
