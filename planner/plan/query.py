"""What can be asked, and the table of candidates that an answer is chosen from."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError
from planner.records import Adaptation, Reduction

Floats = NDArray[np.float64]

COST_UNITS = {
    "flops": "FLOPs",
    "latency_ms": "ms",
    "memory_bytes": "bytes",
    "train_flops": "FLOPs",
}
"""The costs that a limit can be put on and their units; a new cost is a new key and a new array."""


@dataclass(frozen=True, slots=True, kw_only=True, order=False)
class Config:
    """One configuration that could be deployed: a point on the three axes, and its adaptation."""

    backbone: str
    audio_seconds: float
    reduction: Reduction
    adaptation: Adaptation
    padding: str = "dynamic"

    @property
    def label(self) -> str:
        """`whisper-small · 30 s window · 25 tokens/s (stem:2) · lora:16`."""
        rate = f"{self.reduction.tokens_per_second:g} tokens/s"
        if self.reduction.factor > 1:
            rate += f" ({self.reduction})"
        return f"{self.backbone} · {self.audio_seconds:g} s window · {rate} · {self.adaptation}"

    def to_json(self) -> dict[str, Any]:
        """Plain values; `reduction` and `adaptation` in the short form that commands take."""
        return {
            "backbone": self.backbone,
            "audio_seconds": self.audio_seconds,
            "reduction": str(self.reduction),
            "tokens_per_second": self.reduction.tokens_per_second,
            "adaptation": str(self.adaptation),
            "padding": self.padding,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanQuery:
    """A question: limits, what they are limits of, and how sure the answer has to be.

    Attributes:
        flops: most FLOPs per `per` under `convention`.
        latency_ms: most milliseconds at `quantile` on `device`.
        memory_bytes, train_flops: most peak inference memory; most training FLOPs in all.
        min_prob: least probability of meeting all limits together.
        per: `utterance` (all windows of one utterance) or `window`.
        utterance_seconds: length of an utterance; None takes those that were scored.
        output_tokens: output tokens of an utterance; None takes the measured mean.
        measured_only: choose among configurations that were run.
        source: provenance of the runs to learn from (`measured`, `published`, `imported`) or a file.
    """

    task: str
    flops: float | None = None
    latency_ms: float | None = None
    quantile: str = "p95"
    device: str | None = None
    memory_bytes: float | None = None
    train_flops: float | None = None
    min_prob: float = 0.9
    convention: str = "exact/1"
    per: str = "utterance"
    utterance_seconds: float | None = None
    output_tokens: float | None = None
    measured_only: bool = False
    source: str | None = None
    dataset: str | None = None
    adaptation: str | None = None
    accept_status: bool = False
    level: float = 0.9
    n_draws: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        for name in COST_UNITS:
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InputError(f"{name} must be a positive number, got {value!r}")
        if not 0 < self.min_prob < 1:
            raise InputError(f"min_prob must lie between 0 and 1, got {self.min_prob!r}")
        if not 0 < self.level < 1:
            raise InputError(f"level must lie between 0 and 1, got {self.level!r}")
        if self.quantile not in ("p50", "p90", "p95", "p99"):
            raise InputError(f"quantile must be p50, p90, p95 or p99, got {self.quantile!r}")
        if self.per not in ("utterance", "window"):
            raise InputError(f"per must be utterance or window, got {self.per!r}")
        for name in ("utterance_seconds", "output_tokens"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InputError(f"{name} must be a positive number, got {value!r}")

    @property
    def limits(self) -> dict[str, float]:
        """The limits that were set, by cost name."""
        set_ = {name: getattr(self, name) for name in COST_UNITS}
        return {name: float(value) for name, value in set_.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One cost of every candidate, with an interval where it is not exact.

    Attributes:
        value, low, high: shape (m,); the interval is the central 90 % (equal to value when exact).
        source: where each number comes from (`exact/1`, `measured`, `interpolated`, …), length m.
    """

    name: str
    value: Floats
    low: Floats
    high: Floats
    source: tuple[str, ...]

    @classmethod
    def exact(cls, name: str, value: Floats, source: str) -> Cost:
        """A cost that is counted, not estimated."""
        return cls(name=name, value=value, low=value, high=value, source=(source,) * len(value))

    @property
    def log_sd(self) -> Floats:
        """Standard deviation of ln(cost), from the 90 % interval read as log-normal, shape (m,)."""
        z90 = 1.6448536269514722  # standard normal 95 % quantile
        spread = np.log(self.high) - np.log(self.low)
        return np.asarray(np.where(spread > 0, spread / (2 * z90), 0.0), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateTable:
    """Every candidate with its predicted error and costs.

    Attributes:
        configs: length m.
        error: expected error, shape (m,); error_low, error_high: interval of the mean at the level.
        draws: joint draws of the mean error, shape (n_draws, m).
        costs: by name.
        run_ids: the runs that measured each candidate (empty: it was never run).
        measured_error: error of those runs, NaN where there is none.
        distance: how far outside the data, in log range, 0 inside; shape (m,).
        n_windows: windows that one utterance takes, shape (m,).
    """

    configs: tuple[Config, ...]
    error: Floats
    error_low: Floats
    error_high: Floats
    draws: Floats
    costs: dict[str, Cost]
    run_ids: tuple[tuple[int, ...], ...]
    measured_error: Floats
    distance: Floats
    n_windows: Floats
    unknown: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.configs)
