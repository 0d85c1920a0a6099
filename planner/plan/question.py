"""What can be asked, and the table of candidates that an answer is chosen from."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError, UnknownNameError

Floats = NDArray[np.float64]
Draws = NDArray[np.float32] | NDArray[np.float64]

COST_UNITS = {
    "flops": "FLOPs",
    "latency_ms": "ms",
    "memory_bytes": "bytes",
    "train_flops": "FLOPs",
}
"""The costs that a limit can be put on and their units; planner.plan.objectives adds to it."""


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
        demand: utterances over the life of the model: training FLOPs are spread over them.
        more_limits: limits on costs that were registered, by name.
        measured_only: choose among configurations that were run.
        grid: choose among levels between those that were run, too.
        candidates: choose among these, each as `backbone,audio_seconds,reduction[,adaptation]`.
        extrapolate: also choose what lies further outside the data than laws are trusted.
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
    demand: float | None = None
    more_limits: tuple[tuple[str, float], ...] = ()
    measured_only: bool = False
    grid: bool = False
    candidates: tuple[str, ...] = ()
    extrapolate: bool = False
    source: str | None = None
    dataset: str | None = None
    adaptation: str | None = None
    accept_status: bool = False
    level: float = 0.9
    n_draws: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        # A stored question is JSON, which has lists alone.
        object.__setattr__(self, "candidates", tuple(self.candidates))
        more = tuple((str(k), float(v)) for k, v in self.more_limits)
        object.__setattr__(self, "more_limits", more)
        unknown = [k for k, _ in more if k not in COST_UNITS]
        if unknown:
            raise UnknownNameError("cost", unknown[0], COST_UNITS)
        limits = [(n, getattr(self, n, None)) for n in (*COST_UNITS, "demand")]
        for name, value in (*limits, *more):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InputError(f"{name} must be a positive number, got {value!r}")
        if self.measured_only and (self.grid or self.candidates):
            raise InputError(
                "measured_only contradicts a finer grid and a list of candidates; drop one of them"
            )
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
        more = dict(self.more_limits)
        set_ = {name: getattr(self, name, more.get(name)) for name in COST_UNITS}
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

    def at(self, j: int) -> Cost:
        """The cost of candidate j alone."""
        return Cost(
            name=self.name,
            value=self.value[j : j + 1],
            low=self.low[j : j + 1],
            high=self.high[j : j + 1],
            source=self.source[j : j + 1],
        )

    @property
    def log_sd(self) -> Floats:
        """Standard deviation of ln(cost), from the 90 % interval read as log-normal, shape (m,)."""
        if self.low is self.high:
            return np.zeros(len(self.value))
        z90 = 1.6448536269514722  # standard normal 95 % quantile
        spread = np.log(self.high) - np.log(self.low)
        return np.asarray(np.where(spread > 0, spread / (2 * z90), 0.0), dtype=np.float64)
