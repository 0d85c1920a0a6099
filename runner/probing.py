"""`soundscale probe`: measure the latency of configurations on this device, without training them.

The number of output tokens is forced, and so the time does not depend on what the weights say:
models are built at random and nothing is downloaded.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from planner.catalogue import backbone
from planner.costs.tokens import check_seconds, encoder_tokens
from planner.records import Adaptation, Latency, Reduction, Resources, Trial
from planner.units import format_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRequest:
    """What is measured, and how: every combination of the three axes."""

    backbones: tuple[str, ...]
    audio_seconds: tuple[float, ...]
    reductions: tuple[str, ...]
    task: str | None
    n_output_tokens: int
    n_samples: int
    threads: int
    device_label: str | None


def trials_of(request: ProbeRequest) -> list[Trial]:
    """The configurations, each checked against its backbone, as trials that train nothing.

    Raises:
        InputError: a length or a reduction does not fit a backbone.
    """
    found = []
    for name, seconds, text in itertools.product(
        request.backbones, request.audio_seconds, request.reductions
    ):
        shape, reduction = backbone(name), Reduction.parse(text)
        check_seconds(shape, seconds)
        encoder_tokens(shape, seconds, reduction)
        found.append(
            Trial(
                task=request.task or shape.task,
                dataset="none",
                dataset_digest="",
                split_policy="none",
                n_train=0,
                n_test=0,
                backbone=shape.name,
                audio_seconds=seconds,
                reduction=reduction,
                adaptation=Adaptation(kind="none", lora_rank=None),
                initialisation="random",
            )
        )
    return found


def measure(request: ProbeRequest, trials: Sequence[Trial]) -> Iterator[Latency]:
    """Latencies one by one, in the order of the trials."""
    from runner.device import describe, torch_device, use_threads
    from runner.models.base import SAMPLE_RATE, BuildRequest, builder_for
    from runner.models.whisper import ByteTokenizer
    from runner.probe import ProbePlan, measure_latency
    from runner.recipe import precision_for

    resources = Resources(cpus=float(request.threads), gpus=1.0)
    use_threads(resources)
    device = torch_device(resources)
    for trial in trials:
        shape = backbone(trial.backbone)
        build = BuildRequest(
            trial=trial,
            backbone=shape,
            device=device,
            tokenizer=ByteTokenizer(),
            labels=tuple(f"class {i}" for i in range(6)),
        )
        samples = round(trial.audio_seconds * SAMPLE_RATE)
        noise = np.random.default_rng(0).normal(0.0, 0.05, samples).astype(np.float32)
        yield measure_latency(
            builder_for(shape.family, trial.task)(build),
            noise,
            trial,
            n_output_tokens=request.n_output_tokens if trial.task == "asr" else 0,
            device_record=describe(device, request.device_label),
            device=device,
            precision=precision_for("auto", device.type),
            plan=ProbePlan(n_samples=request.n_samples),
        )


def row_of(latency: Latency) -> dict[str, Any]:
    """A measurement as plain values."""
    return {
        "device": latency.device.name,
        "backbone": latency.backbone,
        "audio_seconds": latency.audio_seconds,
        "reduction": str(latency.reduction),
        "n_output_tokens": latency.n_output_tokens,
        "p50_ms": latency.p50_ms,
        "p95_ms": latency.p95_ms,
        "n_samples": latency.n_samples,
        "noise_floor": latency.noise_floor,
        "stages_ms": latency.stages_ms,
        "dtype": latency.dtype,
    }


def run(db: str | None, request: ProbeRequest, output_format: str, *, store: bool) -> None:
    """Measure, store where asked, print."""
    from planner.cli_common import echo_rows, talk

    trials = trials_of(request)
    latencies = []
    for i, latency in enumerate(measure(request, trials), start=1):
        latencies.append(latency)
        p95 = format_ms(latency.p95_ms)
        talk(f"  {i} of {len(trials)}  {trials[i - 1].label.rsplit(' · ', 1)[0]}: p95 {p95}")
    if store:
        _save(db, latencies)
    columns = [(k, k) for k in ("device", "backbone", "audio_seconds", "reduction")]
    columns += [("p50_ms", "p50 ms"), ("p95_ms", "p95 ms"), ("noise_floor", "noise")]
    echo_rows([row_of(latency) for latency in latencies], output_format, columns)


def _save(db: str | None, latencies: list[Latency]) -> None:
    from planner.store.engine import open_store
    from planner.store.write import save_latencies

    engine = open_store(db)
    try:
        save_latencies(engine, latencies)
    finally:
        engine.dispose()
