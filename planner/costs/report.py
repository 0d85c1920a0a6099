"""All costs of one configuration as the plain dict that `soundscale costs -f json` prints."""

from __future__ import annotations

from typing import Any

from planner.words.catalogue import Backbone
from planner.costs.flops.forward import forward_flops
from planner.costs.latency.model import LatencyModel
from planner.costs.memory.peak import inference_memory, trainable_parameters, training_memory
from planner.costs.flops.training import training_flops
from planner.words.records import Adaptation, Reduction, to_json


def cost_report(
    backbone: Backbone,
    *,
    audio_seconds: float,
    reduction: Reduction,
    adaptation: Adaptation,
    n_output_tokens: int,
    kv_cache: bool = True,
    convention: str = "exact",
    latency_model: LatencyModel | None = None,
    task: str | None = None,
    padding: str = "dynamic",
    dtype: str = "float32",
    batch_size: int = 1,
) -> dict[str, Any]:
    """FLOPs of one window by part, peak memory, training cost of one example, latency if known.

    Keys: `flops` {convention, total, parts}; `memory_bytes` {inference, training}, each {total, parts,
    dtype}; `training` {adaptation, per, n_trainable, forward, …, total}, always in convention exact;
    `latency_ms` {device, source, p50, p50_low, …, level} of a batch where a model is given, with
    `real_time_factor` (p50 over the seconds of one window) and `audio_seconds_per_second` (seconds of all
    windows of the batch over p50).

    Raises:
        InputError: an argument lies outside what the backbone allows.
    """
    shared: dict[str, Any] = {
        "audio_seconds": audio_seconds, "reduction": reduction, "padding": padding, "task": task,
    }  # fmt: skip
    flops = forward_flops(
        backbone, n_output_tokens=n_output_tokens, kv_cache=kv_cache, convention=convention, **shared
    )  # fmt: skip
    labels: dict[str, Any] = {"adaptation": adaptation, "n_label_tokens": max(n_output_tokens, 1)}
    inference = inference_memory(
        backbone, n_output_tokens=n_output_tokens, kv_cache=kv_cache, dtype=dtype, **shared
    )
    training = training_memory(backbone, **labels, **shared)
    report: dict[str, Any] = {
        "flops": to_json(flops),
        "memory_bytes": {
            "inference": {**to_json(inference), "dtype": dtype},
            "training": {**to_json(training), "dtype": "float32", "micro_batch": 1},
        },
        "training": {
            "adaptation": str(adaptation),
            "per": "example",
            "n_trainable": trainable_parameters(backbone, adaptation, task),
            **to_json(training_flops(backbone, **labels, **shared)),
        },
    }
    if latency_model is not None:
        one = latency_model.predict(
            backbone,
            audio_seconds,
            reduction,
            n_output_tokens,
            padding=padding,
            batch_size=batch_size,
        )
        report["latency_ms"] = {
            "device": latency_model.device, "source": one.source, "level": 0.9,
            "p50": one.p50_ms, "p50_low": one.p50_low_ms, "p50_high": one.p50_high_ms,
            "p95": one.p95_ms, "p95_low": one.p95_low_ms, "p95_high": one.p95_high_ms,
            "batch_size": batch_size, "audio_seconds": audio_seconds,
            "real_time_factor": one.p50_ms / 1e3 / audio_seconds,
            "audio_seconds_per_second": batch_size * audio_seconds / (one.p50_ms / 1e3),
        }  # fmt: skip
    return report
