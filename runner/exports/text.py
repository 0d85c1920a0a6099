"""What an export came to, as JSON and for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from planner.words.units import format_bytes, format_duration, format_ms

if TYPE_CHECKING:
    from runner.engines.parity import Parity


def lines(found: dict[str, Any]) -> list[str]:
    """What an export came to, for people."""
    size, seconds = format_bytes(found["size_bytes"]), format_duration(found["seconds"])
    out = [
        f"{found['label']} → {found['folder']}",
        f"  {found['engine']} · {found['precision']} · {size} · written in {seconds}",
    ]
    parity = found["parity"]
    if parity is None:
        return [*out, "  not scored (--no-parity)"]
    name, error = found["metric"], 100 * parity["error"]
    apart = "" if parity["error_difference"] is None else (
        f" ({100 * parity['error_difference']:+.2f} points ± "
        f"{100 * (parity['error_difference_std_error'] or 0.0):.2f} (se) against the run)"
    )  # fmt: skip
    out.append(
        f"  {name} {error:.2f} %{apart}, {parity['n_equal_texts']} of {parity['n_utterances']} texts equal"
    )
    memory = parity["peak_memory_bytes"]
    out.append(
        f"  window p50 {format_ms(parity['p50_ms'])}, p95 {format_ms(parity['p95_ms'])} on {parity['device']}"
        + ("" if memory is None else f" · peak memory {format_bytes(memory)}")
    )
    if (borders := parity.get("borders")) is not None:
        out.append(
            f"  window borders cost {100 * borders['error_share']:+.2f} points of error ± "
            f"{100 * (borders['std_error'] or 0.0):.2f} (se) against cutting at silence"
        )
    for utterance, new, old in parity["different"][:3]:
        out.append(f"  differs on {utterance}: {new[:70]!r} for {old[:70]!r}")
    return out


def parity_json(found: Parity) -> dict[str, Any]:
    """Scores, latency and memory of an exported folder in its engine, as plain JSON values."""
    score = found.score
    latency = None if found.latency is None else found.latency.latency
    return {
        "error": score.evaluation.error,
        "std_error": score.evaluation.std_error,
        "error_difference": score.error_difference,
        "error_difference_std_error": score.error_difference_std_error,
        "n_equal_texts": score.n_equal_texts,
        "n_utterances": score.evaluation.n_utterances,
        "different": [list(one) for one in found.different],
        "engine_version": score.engine_version,
        "device": score.device.name,
        "n_threads": score.n_threads,
        "p50_ms": None if latency is None else latency.p50_ms,
        "p95_ms": None if latency is None else latency.p95_ms,
        "stages_ms": None if latency is None else latency.stages_ms,
        "window_ms": score.window_ms,
        "window_cpu_ms": score.window_cpu_ms,
        "peak_memory_bytes": score.peak_memory_bytes,
        "cold_start_seconds": found.cold_start_seconds,
        "borders": (score.evaluation.details or {}).get("borders"),
    }
