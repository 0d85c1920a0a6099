"""Simulated worlds for the planner's benchmarks: a truth, a sweep with noise, and the product's answer.

A world holds a true error and a true latency for each of 80 configurations (four Whisper sizes, five
windows, four token rates). The error is a law of the three axes times exp(tau Z) for each configuration
on its own; a run adds noise. The latency is a sum of the cost model's quantities at random rates, times
a deviation of each configuration. Everything after the runs is the product's own path: `gather`,
`fit_law`, `fit_latency_model`, `candidates.build` (law, belief, costs).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from planner.costs.flops.training import training_flops
from planner.costs.latency.model import fit_latency_model
from planner.costs.latency.stages import COLUMNS, regressors
from planner.costs.windows import Windows, windows_of
from planner.evidence.study import Evidence, gather
from planner.laws.fit_law import fit_law
from planner.laws.result import LawFit
from planner.plan import candidates
from planner.plan.candidates import CandidateTable
from planner.plan.configurations import Config
from planner.plan.cost import Floats
from planner.plan.workload import Workload
from planner.store.row_types import RunRow
from planner.words import catalogue
from planner.words.catalogue import BUILT_IN
from planner.words.question import PlanQuery
from planner.words.records import Adaptation, Device, Latency, Reduction, Trial

BACKBONES = ("whisper-tiny", "whisper-base", "whisper-small", "whisper-medium")
SECONDS = (5.0, 10.0, 15.0, 20.0, 30.0)
REDUCTIONS = ("none", "stem:2", "stem:3", "stem:4")
OUTPUT_TOKENS = 40.0
"""Of an utterance: assumption (12 s of English)."""
UTTERANCES = (3.0, 5.0, 7.0, 9.0, 12.0, 15.0, 18.0, 25.0)
"""Durations (s): assumption."""
NOISES = (0.01, 0.03, 0.10)
"""Standard deviation of one run's ln error about the truth of its configuration."""
TAUS = (0.0, 0.02, 0.05)
"""Standard deviation of a configuration's ln error about the law."""
LATENCY_NOISE, LATENCY_TAU = 0.03, 0.10
TFLOPS = 30e12
"""FLOP/s of training, for the hours of a run: assumption (a GPU at a tenth of its peak)."""
WORKLOAD = Workload(seconds=UTTERANCES, output_tokens=OUTPUT_TOKENS, source="assumption")
CENTRE = np.array([1.5e8, 12.0, 25.0])
DEVICE = Device(name="desk", kind="cpu", model="simulated", n_threads=1)

Law = Callable[[Floats], Floats]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The truth: of each configuration the law, its error, p95 of one utterance, hours of a run."""

    configs: tuple[Config, ...]
    law: Floats
    error: Floats
    latency_ms: Floats
    hours: Floats
    noise: float
    tau: float


def all_configs() -> tuple[Config, ...]:
    """Every configuration of the simulated catalogue."""
    return tuple(
        Config(
            backbone=b, audio_seconds=s, reduction=Reduction.parse(r),
            adaptation=Adaptation.parse("lora:8"),
        )
        for b, s, r in itertools.product(BACKBONES, SECONDS, REDUCTIONS)
    )  # fmt: skip


def axes_of(configs: Sequence[Config]) -> Floats:
    """Coordinates on the compute axes, shape (m, 3)."""
    names = ("n_params", "audio_seconds", "tokens_per_second")
    return np.array([candidates.axis_values(c, names, BUILT_IN) for c in configs])


def random_law(rng: np.random.Generator) -> Law:
    """An additive or a multiplicative law with a floor; the error is 4 % to 20 % at the centre."""
    scale, floor = math.exp(rng.uniform(math.log(0.04), math.log(0.2))), rng.uniform(0.2, 0.6)
    exponents = np.array([rng.uniform(0.2, 0.6), rng.uniform(0.3, 1.0), rng.uniform(0.3, 1.0)])
    shares = rng.dirichlet([4.0, 4.0, 4.0])
    additive = rng.random() < 0.5

    def law(x: Floats) -> Floats:
        terms = (x / CENTRE) ** -exponents
        rest = terms @ shares if additive else (terms**0.5).prod(axis=1)
        return np.asarray(scale * (floor + (1 - floor) * rest))

    return law


def world(seed: int, noise: float | None = None) -> World:
    """A random truth."""
    rng = np.random.default_rng([seed, 1])
    configs = all_configs()
    tau = TAUS[seed // len(NOISES) % len(TAUS)]
    law = random_law(rng)(axes_of(configs))
    error = law * np.exp(tau * rng.standard_normal(len(configs)))
    rates = np.exp(rng.normal(0, 0.7, len(COLUMNS)))
    x = regressors([window(c) for c in configs])
    share = x / x.mean(axis=0).clip(1e-300)
    latency = 20.0 * (share * rates).sum(axis=1)
    latency = latency * np.exp(LATENCY_TAU * rng.standard_normal(len(configs)))
    windows = np.array([WORKLOAD.windows(c.audio_seconds) for c in configs])
    return World(
        configs=configs,
        law=law,
        error=np.minimum(error, 0.95),
        latency_ms=latency * windows,
        hours=np.array([_hours(c) for c in configs]),
        noise=NOISES[seed % len(NOISES)] if noise is None else noise,
        tau=tau,
    )


def tokens(config: Config) -> int:
    """Output tokens of one window."""
    return max(round(OUTPUT_TOKENS / WORKLOAD.windows(config.audio_seconds)), 1)


def window(config: Config) -> Windows:
    """The window whose latency is measured."""
    return windows_of(
        catalogue.backbone(config.backbone), config.audio_seconds, config.reduction,
        n_output_tokens=tokens(config),
    )  # fmt: skip


def _hours(config: Config) -> float:
    one = training_flops(
        catalogue.backbone(config.backbone), audio_seconds=config.audio_seconds,
        reduction=config.reduction, adaptation=config.adaptation, n_label_tokens=tokens(config),
    )  # fmt: skip
    return 0.02 + 50_000 * one.total / TFLOPS / 3600


def run_of(made: World, j: int, run_id: int, rng: np.random.Generator) -> RunRow:
    """One noisy run of configuration j, as the store would give it."""
    config = made.configs[j]
    error = float(made.error[j] * math.exp(made.noise * rng.standard_normal()))
    trial = Trial(
        task="asr", dataset="simulated", dataset_digest="0", split_policy="official", n_train=1000,
        n_test=1000, backbone=config.backbone, audio_seconds=config.audio_seconds,
        reduction=config.reduction, adaptation=config.adaptation, seed=run_id,
    )  # fmt: skip
    return RunRow(
        run_id=run_id, trial_id=run_id, trial=trial, state="finished", attempt=1,
        status="finished", provenance="measured", metric="wer", split="test",
        n_params=catalogue.backbone(config.backbone).n_params,
        tokens_per_second=config.reduction.tokens_per_second, error=min(error, 0.99),
        std_error=error * made.noise, train_seconds=3600 * float(made.hours[j]),
        started_utc="2026-01-01T00:00:00Z",
    )  # fmt: skip


def latency_of(made: World, j: int, rng: np.random.Generator) -> Latency:
    """A noisy measurement of configuration j's window."""
    config = made.configs[j]
    p95 = made.latency_ms[j] / WORKLOAD.windows(config.audio_seconds)
    p95 = float(p95 * math.exp(LATENCY_NOISE * rng.standard_normal()))
    return Latency(
        device=DEVICE, backbone=config.backbone, audio_seconds=config.audio_seconds,
        reduction=config.reduction, n_output_tokens=tokens(config), p50_ms=p95 / 1.1,
        p90_ms=p95 / 1.02, p95_ms=p95, p99_ms=p95 * 1.1, n_samples=100, n_warmup=3,
        noise_floor=LATENCY_NOISE,
    )  # fmt: skip


@dataclass(slots=True)
class Study:
    """The runs of a world so far; asks the product for a law and a table of candidates."""

    made: World
    rows: list[RunRow]
    latencies: list[Latency]
    rng: np.random.Generator

    @classmethod
    def start(cls, made: World, seed: int, first: Sequence[int]) -> Study:
        """A study whose first runs are of those configurations."""
        study = cls(made, [], [], np.random.default_rng([seed, 2]))
        for j in first:
            study.add(j)
        return study

    def add(self, j: int) -> None:
        """One more run."""
        self.rows.append(run_of(self.made, j, len(self.rows) + 1, self.rng))
        self.latencies.append(latency_of(self.made, j, self.rng))

    def evidence(self) -> Evidence:
        """What the laws are fitted to."""
        return gather(self.rows, "asr")

    def answerable(
        self, law: str = "auto", *, latency: bool = True
    ) -> tuple[LawFit, CandidateTable]:
        """The law and the table of all configurations, by the product's own path."""
        evidence = self.evidence()
        fit = fit_law(evidence.observations, law=law)
        query = PlanQuery(task="asr", flops=1e18, device="desk")
        model = fit_latency_model(self.latencies) if latency else None
        return fit, candidates.build(query, evidence, fit, WORKLOAD, model, self.made.configs)


def sweep(seed: int, n: int) -> list[int]:
    """n configurations that cover every level of every axis: a random sample, drawn until it does."""
    rng = np.random.default_rng([seed, 3])
    configs = all_configs()
    while True:
        chosen = [int(j) for j in rng.choice(len(configs), n, replace=False)]
        levels = [
            {getattr(configs[j], name) for j in chosen}
            for name in ("backbone", "audio_seconds", "reduction")
        ]
        if [len(v) for v in levels] == [len(BACKBONES), len(SECONDS), len(REDUCTIONS)]:
            return chosen
