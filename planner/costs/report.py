"""All costs of one configuration as the plain dict that `soundscale costs -f json` prints."""

from __future__ import annotations

from typing import Any

from planner.catalogue import Backbone
from planner.costs.flops import forward_flops, training_flops
from planner.costs.latency import LatencyModel
from planner.costs.memory import inference_memory
from planner.records import Adaptation, Reduction, to_json


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
) -> dict[str, Any]:
    """FLOPs of one window by part, peak memory, training FLOPs of one example, latency if known.

    Raises:
        InputError: an argument lies outside what the backbone allows.
    """
    flops = forward_flops(
        backbone, audio_seconds=audio_seconds, reduction=reduction,
        n_output_tokens=n_output_tokens, kv_cache=kv_cache, convention=convention,
    )  # fmt: skip
    memory = inference_memory(
        backbone, audio_seconds=audio_seconds, reduction=reduction, n_output_tokens=n_output_tokens
    )
    training = training_flops(
        backbone, audio_seconds=audio_seconds, reduction=reduction, adaptation=adaptation,
        n_label_tokens=max(n_output_tokens, 1),
    )  # fmt: skip
    report: dict[str, Any] = {
        "flops": to_json(flops),
        "memory_bytes": {"inference": {**to_json(memory), "dtype": "float32"}},
        "training": {"adaptation": str(adaptation), "per": "example", **to_json(training)},
    }
    if latency_model is not None:
        one = latency_model.predict(backbone, audio_seconds, reduction, n_output_tokens)
        report["latency_ms"] = {
            "device": latency_model.device, "source": one.source,
            "p50": one.p50_ms, "p50_low": one.p50_low_ms, "p50_high": one.p50_high_ms,
            "p95": one.p95_ms, "p95_low": one.p95_low_ms, "p95_high": one.p95_high_ms,
        }  # fmt: skip
    return report
