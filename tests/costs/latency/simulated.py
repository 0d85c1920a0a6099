"""A device that is made up: windows on a grid, and what measuring them would give."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from planner.costs.latency.stages import GROUPS, columns_of, regressors
from planner.costs.latency.transfer import (
    DataSheet,
    datasheet_costs,
)
from planner.costs.windows import windows_of
from planner.words.catalogue import Backbone, backbone
from planner.words.records import Device, Latency, Reduction


@dataclass(frozen=True)
class Asked:
    """One window by its numbers."""

    backbone: Backbone
    audio_seconds: float
    reduction: Reduction
    n_output_tokens: int

    def windows(self, batch_size=1):
        return windows_of(
            self.backbone, self.audio_seconds, self.reduction, n_output_tokens=self.n_output_tokens,
            batch_size=batch_size,
        )  # fmt: skip


def predicted(model, asked):
    return model.predict_each([w.windows() for w in asked])


LAPTOP = Device(name="laptop", kind="cpu", model="made up", n_threads=1)
SHEET = DataSheet(name="laptop", kind="cpu", peak_flops=1.5e11, bandwidth=2e10)
TRUTH = datasheet_costs(SHEET)
GRID = [
    Asked(
        backbone=backbone(f"whisper-{size}"),
        audio_seconds=seconds,
        reduction=Reduction.parse(x_v),
        n_output_tokens=n,
    )
    for size, seconds, x_v, n in itertools.product(
        ("micro", "tiny", "base", "small"),
        (2.0, 10.0, 30.0),
        ("none", "stem:2", "layer2:2", "output:4"),
        (2, 12, 40),
    )
]
WINDOWS = [w.windows() for w in GRID]


def measured(window, *, factor=1.0, stages=True, device=LAPTOP, costs=TRUTH, noise=None):
    """A measurement of the simulated device, times a factor, its stages told apart or not."""
    x = regressors([window.windows()])[0] * costs
    parts = {g: factor * float(x[columns_of(g)].sum()) for g in GROUPS}
    p50 = sum(parts.values())
    return Latency(
        device=device, backbone=window.backbone.name, audio_seconds=window.audio_seconds,
        reduction=window.reduction, n_output_tokens=window.n_output_tokens, p50_ms=p50, p90_ms=1.08 * p50,
        p95_ms=1.1 * p50, p99_ms=1.2 * p50, n_samples=20, n_warmup=3, stages_ms=parts if stages else None,
        noise_floor=noise,
    )  # fmt: skip


def spread_out(n):
    """n windows across the grid; the corners come first."""
    rng = np.random.default_rng(3)
    z = np.log(regressors(WINDOWS) + 1.0)
    z = (z - z.mean(0)) / (z.std(0) + 1e-9)
    chosen = [int(rng.integers(len(GRID)))]
    while len(chosen) < n:
        far = np.min([((z - z[i]) ** 2).sum(1) for i in chosen], axis=0)
        chosen.append(int(np.argmax(far)))
    return [GRID[i] for i in chosen]


def half_width(prediction):
    return math.log(prediction.p50_high_ms / prediction.p50_low_ms) / 2
