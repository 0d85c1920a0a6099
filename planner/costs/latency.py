"""Latency on a device from its measurements: a non-negative sum of stages, with an interval.

p50 of one window is a sum of stage quantities (planner.costs.stages) with non-negative costs, fitted by
least squares on relative errors. How many stages the measurements support is decided by leave-one-out
error over a fixed order of stage sets, from FLOPs alone upwards. The interval is Student-t on the
leave-one-out errors of ln p50, widened outside the measured range; p95 is p50 times the device's median
ratio of the two, whose scatter widens its interval.

Sources: `measured` (this very configuration on this device), `interpolated` (inside the measured range
of every stage), `transferred` (outside it, or another device's measurements scaled), `datasheet`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from planner.catalogue import Backbone, backbone
from planner.costs.stages import STAGES, Floats, Window, regressors
from planner.errors import InputError
from planner.records import Latency, Reduction

_LADDER: tuple[tuple[str, ...], ...] = (
    ("encoder",),
    ("encoder", "decoder"),
    ("encoder", "steps"),
    ("overhead", "encoder", "steps"),
    ("overhead", "encoder", "traffic"),
    ("frontend", "encoder", "steps"),
    ("overhead", "encoder", "steps", "traffic"),
    ("overhead", "frontend", "encoder", "steps", "traffic"),
    STAGES,
)
"""Stage sets that are tried, smallest first."""
FEWEST_SD = 0.5
"""Standard deviation of ln latency assumed from a single measurement: a factor of 2.3 either way at
90 % (assumption: FLOP-proportional predictions err by 66 % in the median on a CPU)."""
LEAST_SD = 0.02
"""Least standard deviation of ln latency: 2 % (assumption: repeated percentiles differ by as much)."""
TOKEN_TOLERANCE = 2
"""A measurement stands for a configuration when its output tokens differ by at most so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyPrediction:
    """Latency of one window at p50 and p95 with 90 % intervals, in ms, and where it comes from."""

    p50_ms: float
    p50_low_ms: float
    p50_high_ms: float
    p95_ms: float
    p95_low_ms: float
    p95_high_ms: float
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyModel:
    """A fitted device.

    Attributes:
        device: its name.
        stages: names of the stages used; cost: ms for each unit of them.
        sd: standard deviation of ln p50 about the model (leave-one-out); dof: its degrees of freedom.
        log_ratio, ratio_sd: median of ln(p95/p50) over the measurements, and its scatter.
        low, high: measured range of every stage quantity, shape (len(STAGES),).
        measured: the measurements themselves, by configuration.
    """

    device: str
    stages: tuple[str, ...]
    cost: Floats
    sd: float
    dof: float
    log_ratio: float
    ratio_sd: float
    low: Floats
    high: Floats
    measured: dict[tuple[str, float, str], tuple[Latency, ...]] = field(default_factory=dict)

    def predict(
        self, backbone: Backbone, audio_seconds: float, reduction: Reduction, n_output_tokens: int
    ) -> LatencyPrediction:
        """Latency of one window; as measured where this very configuration was measured."""
        window = Window(
            backbone=backbone, audio_seconds=audio_seconds, reduction=reduction,
            n_output_tokens=n_output_tokens,
        )  # fmt: skip
        return self.predict_many([window])[0]

    def predict_many(self, windows: Sequence[Window]) -> list[LatencyPrediction]:
        """Latencies of many windows at once."""
        x = regressors(windows)
        columns = [STAGES.index(s) for s in self.stages]
        log_p50 = np.log(np.maximum(x[:, columns] @ self.cost, 1e-9))
        outside = self._outside(x)
        sd = np.sqrt(self.sd**2 + (0.5 * outside) ** 2)
        return [
            self._known(w) or self._predicted(float(m), float(s), float(o))
            for w, m, s, o in zip(windows, log_p50, sd, outside, strict=True)
        ]

    def _outside(self, x: Floats) -> Floats:
        """Largest ln distance outside the measured range over the stages in use, shape (m,)."""
        columns = [STAGES.index(s) for s in self.stages if s != "overhead"]
        part = np.maximum(x[:, columns], 1e-300)
        low = np.maximum(self.low[columns], 1e-300)
        high = np.maximum(self.high[columns], 1e-300)
        gap = np.maximum(np.log(low / part), np.log(part / high))
        # A part in ten beyond the edge is still the measured range: lengths are on a grid.
        return np.asarray(np.maximum(gap.max(axis=1) - 0.1, 0.0))

    def _predicted(self, log_p50: float, sd: float, outside: float) -> LatencyPrediction:
        source = "transferred" if outside > 0 else "interpolated"
        return _prediction(log_p50, sd, self.log_ratio, self.ratio_sd, _t95(self.dof), source)

    def _known(self, w: Window) -> LatencyPrediction | None:
        key = (w.backbone.name, w.audio_seconds, str(w.reduction))
        near = [
            m
            for m in self.measured.get(key, ())
            if abs(m.n_output_tokens - w.n_output_tokens) <= TOKEN_TOLERANCE
        ]
        if not near:
            return None
        p50 = [math.log(m.p50_ms) for m in near]
        p95 = [math.log(m.p95_ms) for m in near]
        sd = max(LEAST_SD, float(np.std(p50)), max(m.noise_floor or 0.0 for m in near))
        centre = float(np.mean(p50))
        ratio = float(np.mean(p95)) - centre
        return _prediction(centre, sd, ratio, sd, _t95(max(self.dof, 8.0)), "measured")


def _prediction(
    log_p50: float, sd: float, log_ratio: float, ratio_sd: float, t: float, source: str
) -> LatencyPrediction:
    wide = math.hypot(sd, ratio_sd)
    log_p95 = log_p50 + log_ratio
    return LatencyPrediction(
        p50_ms=math.exp(log_p50),
        p50_low_ms=math.exp(log_p50 - t * sd),
        p50_high_ms=math.exp(log_p50 + t * sd),
        p95_ms=math.exp(log_p95),
        p95_low_ms=math.exp(log_p95 - t * wide),
        p95_high_ms=math.exp(log_p95 + t * wide),
        source=source,
    )


def _t95(dof: float) -> float:
    """95 % quantile of Student's t, by the expansion in 1/dof of Abramowitz and Stegun 26.7.5."""
    z = 1.6448536269514722
    n = max(dof, 1.0)
    if n < 3:
        return {1: 6.3138, 2: 2.9200}[int(n)]
    g1 = (z**3 + z) / 4
    g2 = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    g3 = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + g1 / n + g2 / n**2 + g3 / n**3


def fit_latency_model(latencies: Sequence[Latency]) -> LatencyModel:
    """The stage model of one device from its measurements at batch size 1.

    Raises:
        InputError: there is no measurement, or they are of several devices.
    """
    usable = [m for m in latencies if m.batch_size == 1]
    if not usable:
        raise InputError(
            "no latency was measured at batch size 1 on this device; run: soundscale probe"
        )
    names = sorted({m.device.name for m in usable})
    if len(names) > 1:
        raise InputError(f"latencies of several devices cannot be one model: {', '.join(names)}")
    x = regressors([_window(m) for m in usable])
    y = np.array([m.p50_ms for m in usable])
    stages, cost, sd, dof = _best_of_ladder(x, y)
    ratios = np.log([m.p95_ms / m.p50_ms for m in usable])
    measured: dict[tuple[str, float, str], list[Latency]] = {}
    for m in usable:
        measured.setdefault((m.backbone, m.audio_seconds, str(m.reduction)), []).append(m)
    return LatencyModel(
        device=names[0],
        stages=stages,
        cost=cost,
        sd=sd,
        dof=dof,
        log_ratio=float(np.median(ratios)),
        ratio_sd=float(np.std(ratios, ddof=1)) if len(ratios) > 1 else 0.1,
        low=x.min(axis=0),
        high=x.max(axis=0),
        measured={k: tuple(v) for k, v in measured.items()},
    )


def _window(m: Latency) -> Window:
    return Window(
        backbone=backbone(m.backbone),
        audio_seconds=m.audio_seconds,
        reduction=m.reduction,
        n_output_tokens=m.n_output_tokens,
    )


def _best_of_ladder(x: Floats, y: Floats) -> tuple[tuple[str, ...], Floats, float, float]:
    """The stage set with the smallest leave-one-out error; its costs, spread, degrees of freedom."""
    n = len(y)
    best: tuple[float, tuple[str, ...]] | None = None
    for stages in _LADDER:
        if n < len(stages) + 2:
            continue
        columns = [STAGES.index(s) for s in stages]
        errors = _left_out(x[:, columns], y)
        spread = float(np.sqrt(np.mean(errors**2)))
        # A larger set has to earn its place: 5 % less error at least.
        if best is None or spread < 0.95 * best[0]:
            best = (spread, stages)
    if best is None:
        total = x[:, [STAGES.index("encoder"), STAGES.index("decoder")]].sum(axis=1)
        rate = math.exp(float(np.median(np.log(y / np.maximum(total, 1.0)))))
        return ("encoder", "decoder"), np.array([rate, rate]), FEWEST_SD, 8.0
    spread, stages = best
    columns = [STAGES.index(s) for s in stages]
    cost = _nonnegative(x[:, columns], y)
    return stages, cost, max(spread, LEAST_SD), float(max(n - len(stages), 1))


def _left_out(x: Floats, y: Floats) -> Floats:
    """ln(predicted / measured) of each measurement by a model fitted to the others."""
    out = np.empty(len(y))
    for i in range(len(y)):
        keep = np.arange(len(y)) != i
        cost = _nonnegative(x[keep], y[keep])
        out[i] = math.log(max(float(x[i] @ cost), 1e-9) / y[i])
    return out


def _nonnegative(x: Floats, y: Floats) -> Floats:
    """Costs >= 0 that minimise the relative error sum((x c / y - 1)^2)."""
    from scipy.optimize import nnls

    scale = np.maximum(x.max(axis=0), 1e-300)
    solution, _ = nnls((x / scale) / y[:, None], np.ones(len(y)))
    return np.asarray(solution / scale, dtype=np.float64)
