"""Latency of one configuration on this device, end to end and by stage.

One sample is one window, batch 1: features, encoder, and the decoding of exactly the mean number of
output tokens that scoring measured. Warm-ups come first, and every stage ends with a
synchronisation.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from planner.words.records import Device, Latency, Trial
from runner.models.base import Audio, SpeechModel
from runner.trial.device import synchronise
from runner.trial.features import autocast
from runner.trial.progress import Report, StageProgress

STAGES = ("features", "encoder", "decode")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbePlan:
    """How many samples: `n_samples`, or fewer (at least `fewest`) when `seconds` are used up."""

    n_warmup: int = 3
    n_samples: int = 20
    fewest: int = 10
    seconds: float = 12.0


@torch.inference_mode()
def time_once(
    model: SpeechModel,
    batch: Sequence[Audio],
    trial: Trial,
    n_output_tokens: int,
    precision: str,
    device: torch.device,
) -> tuple[float, ...]:
    """Seconds of features, encoder and decoding for a batch of windows, in that order."""
    marks = [time.perf_counter()]
    with autocast(device, precision):
        features = model.features(batch)
        synchronise(device)
        marks.append(time.perf_counter())
        encoded = model.encode(features)
        synchronise(device)
        marks.append(time.perf_counter())
        model.decode(encoded, trial.decoding, exactly=n_output_tokens)
        synchronise(device)
        marks.append(time.perf_counter())
    return tuple(b - a for a, b in pairwise(marks))


def _samples(
    once: Callable[[], tuple[float, ...]], plan: ProbePlan, report: Report | None
) -> list[tuple[float, ...]]:
    """Seconds of each stage, a row a sample, after the warm-ups."""
    ended = time.perf_counter() + plan.seconds
    for _ in range(plan.n_warmup):
        once()
    rows: list[tuple[float, ...]] = []
    while len(rows) < plan.n_samples:
        if len(rows) >= plan.fewest and time.perf_counter() > ended:
            break
        rows.append(once())
        if report:
            report(StageProgress(phase="probe", step=len(rows), n_steps=plan.n_samples))
    return rows


def measure_latency(
    model: SpeechModel,
    window: Audio,
    trial: Trial,
    *,
    n_output_tokens: int,
    device_record: Device,
    device: torch.device,
    precision: str,
    attention: str = "sdpa",
    plan: ProbePlan | None = None,
    report: Report | None = None,
) -> Latency:
    """Percentiles of one window's latency, batch 1, and how they were taken."""
    plan = plan or ProbePlan()

    def once() -> tuple[float, ...]:
        return time_once(model, [window], trial, n_output_tokens, precision, device)

    stages_ms = 1e3 * np.array(_samples(once, plan, report))
    total = stages_ms.sum(axis=1)
    p50, p90, p95, p99 = (float(q) for q in np.quantile(total, (0.5, 0.9, 0.95, 0.99)))
    return Latency(
        device=device_record,
        backbone=trial.backbone,
        audio_seconds=trial.audio_seconds,
        reduction=trial.reduction,
        n_output_tokens=n_output_tokens,
        p50_ms=p50,
        p90_ms=p90,
        p95_ms=p95,
        p99_ms=p99,
        n_samples=len(total),
        n_warmup=plan.n_warmup,
        dtype=precision,
        attention=attention,
        kv_cache=trial.decoding.kv_cache,
        noise_floor=spread(total),
        stages_ms=dict(zip(STAGES, np.median(stages_ms, axis=0).tolist(), strict=True)),
    )


def spread(samples: Sequence[float] | np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    """Half the interquartile range as a share of the median: what repeated samples differ by."""
    low, middle, high = np.quantile(np.asarray(samples, dtype=float), (0.25, 0.5, 0.75))
    return float((high - low) / (2 * middle))
