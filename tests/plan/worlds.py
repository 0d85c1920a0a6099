"""Random candidate tables for the planner's tests: costs, errors and draws without any law."""

import numpy as np

from planner.plan.candidates import CandidateTable
from planner.plan.configurations import Config
from planner.plan.cost import Cost
from planner.words.records import Adaptation, Reduction

BACKBONES = ("whisper-tiny", "whisper-base", "whisper-small", "whisper-medium")
REDUCTIONS = ("none", "stem:2", "stem:4")


def configs(n: int) -> tuple[Config, ...]:
    out = []
    for i in range(n):
        out.append(
            Config(
                backbone=BACKBONES[i % 4],
                audio_seconds=5.0 * (1 + i // 12),
                reduction=Reduction.parse(REDUCTIONS[(i // 4) % 3]),
                adaptation=Adaptation.parse("lora:8"),
            )
        )
    return tuple(out)


def world(seed: int, n: int = 24, n_draws: int = 200, soft: bool = True) -> CandidateTable:
    """n candidates whose error falls with cost, with noise in both; latency uncertain if soft."""
    rng = np.random.default_rng(seed)
    flops = np.exp(rng.normal(25, 1, n))
    error = 0.02 + 0.3 * (flops / flops.min()) ** -0.3 * np.exp(0.1 * rng.normal(size=n))
    draws = error * np.exp(
        0.05 * rng.normal(size=(n_draws, n)) + 0.03 * rng.normal(size=(n_draws, 1))
    )
    latency = 50 * (flops / flops.mean()) ** 0.7 * np.exp(0.2 * rng.normal(size=n))
    spread = np.exp(0.15) if soft else 1.0
    costs = {
        "flops": Cost.exact("flops", flops, "exact/1"),
        "latency_ms": Cost(
            name="latency_ms", value=latency, low=latency / spread, high=latency * spread,
            source=("interpolated",) * n,
        ),
        "memory_bytes": Cost.exact("memory_bytes", flops**0.5, "closed form"),
    }  # fmt: skip
    return CandidateTable(
        configs=configs(n),
        error=draws.mean(axis=0),
        error_low=np.quantile(draws, 0.05, axis=0),
        error_high=np.quantile(draws, 0.95, axis=0),
        draws=draws,
        costs=costs,
        run_ids=tuple((i,) if i % 2 else () for i in range(n)),
        measured_error=np.where(np.arange(n) % 2 == 1, error, np.nan),
        distance=np.zeros(n),
        n_windows=np.ones(n),
    )


def permuted(table: CandidateTable, order: np.ndarray) -> CandidateTable:
    """The same candidates listed in another order."""
    costs = {
        name: Cost(
            name=name, value=c.value[order], low=c.low[order], high=c.high[order],
            source=tuple(c.source[i] for i in order),
        )
        for name, c in table.costs.items()
    }  # fmt: skip
    return CandidateTable(
        configs=tuple(table.configs[i] for i in order),
        error=table.error[order],
        error_low=table.error_low[order],
        error_high=table.error_high[order],
        draws=table.draws[:, order],
        costs=costs,
        run_ids=tuple(table.run_ids[i] for i in order),
        measured_error=table.measured_error[order],
        distance=table.distance[order],
        n_windows=table.n_windows[order],
    )
