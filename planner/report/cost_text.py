"""What a configuration costs, as text."""

from __future__ import annotations

from typing import Any

from planner.plan.wording import amount
from planner.words.units import format_bytes, format_flops


def cost_text(found: dict[str, Any], asked: dict[str, Any]) -> str:
    """Costs on one screen."""
    flops = found["flops"]
    tokens = found["output_tokens"]
    lines = [
        f"{asked['backbone']} · {asked['audio_seconds']:g} s · {asked['reduction']} · "
        f"{asked['adaptation']} · {tokens['value']} output tokens ({tokens['source']})",
        "",
        f"  FLOPs        {format_flops(flops['total']):<16}{flops['convention']}, one window",
    ]
    for part, value in flops["parts"].items():
        share = 100 * value / flops["total"] if flops["total"] else 0.0
        lines.append(f"    {part:<17}{format_flops(value):<14}{share:5.1f} %")
    for name, value in found["memory_bytes"].items():
        if isinstance(value, dict) and "total" in value:
            lines.append(f"  memory       {format_bytes(value['total']):<16}{name}")
    lines += [f"  training     {line}" for line in _training_lines(found["training"])]
    lines += _latency_lines(found.get("latency_ms"))
    return "\n".join(lines)


def _training_lines(training: dict[str, Any]) -> list[str]:
    keys = ("forward", "activation_gradients", "weight_gradients", "recomputed", "total")
    out = [f"{training['n_trainable']:<16,}trainable parameters, {training['adaptation']}"]
    return out + [
        f"{format_flops(training[k]):<16}{k.replace('_', ' ')}, one {training['per']}"
        for k in keys
        if training.get(k)
    ]


def _latency_lines(latency: dict[str, Any] | None) -> list[str]:
    if latency is None:
        return []
    shown = []
    for q in ("p50", "p95"):
        value, low, high = (amount("latency_ms", latency[k]) for k in (q, f"{q}_low", f"{q}_high"))
        where = f"{q} on {latency['device']}, {latency['source']}, 90 % [{low}, {high}]"
        shown.append(f"  latency      {value:<16}{where}")
    rate = latency["audio_seconds_per_second"]
    return [
        *shown,
        f"  real time    {latency['real_time_factor']:<16.3g}p50 / {latency['audio_seconds']:g} s of audio",
        f"  throughput   {rate:<16.3g}seconds of audio a second at batch {latency['batch_size']}",
    ]
