"""Measured latencies that belong together: of one device, under one condition, the quietest of each configuration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from planner.errors import InputError, MissingResourceError
from planner.words.records import IN_TURNS, Latency

LEAST_SD = 0.02
"""Least relative spread: 2 % (assumption: repeated percentiles differ by as much)."""


def usable(latencies: Sequence[Latency], device: str | None) -> list[Latency]:
    """Measurements of one device under its most frequent condition, cache on.

    Raises:
        InputError: there is none at all, or they are of several devices and none is named.
        MissingResourceError: the named device has none.
    """
    known = sorted({m.device.name for m in latencies})
    if not known:
        raise InputError("no latency is measured; run: soundscale probe")
    if device is not None and device not in known:
        raise MissingResourceError(
            f"no latency is measured on device {device!r}; measured: {', '.join(known)}; "
            "run soundscale probe on it"
        )
    if device is None and len(known) > 1:
        raise InputError(f"latencies of several devices ({', '.join(known)}); name one of them")
    own = [m for m in latencies if m.kv_cache and m.device.name == (device or known[0])]
    if not own:
        raise InputError(
            f"device {device or known[0]!r} was measured without a key/value cache only; "
            "run soundscale probe on it"
        )
    best = Counter((m.dtype, m.attention) for m in own).most_common(1)[0][0]
    return quietest([m for m in own if (m.dtype, m.attention) == best])


def quietest(own: Sequence[Latency]) -> list[Latency]:
    """The best that is known of each configuration: quiet; else taken in turns; else whatever there is.

    What was taken under load is left out where something better is known of the very same.
    """
    best: dict[Any, int] = {}
    for m in own:
        best[configuration(m)] = max(_rank(m), best.get(configuration(m), 0))
    return [m for m in own if _rank(m) == best[configuration(m)]]


def _rank(m: Latency) -> int:
    return 2 if m.quiet else int(m.method.endswith(IN_TURNS))


def configuration(m: Latency) -> tuple[object, ...]:
    """What a measurement is of; repeats are equal."""
    return (m.backbone, m.audio_seconds, str(m.reduction), m.batch_size, m.n_output_tokens)


def by_configuration(
    own: Sequence[Latency],
) -> dict[tuple[str, float, str, int], tuple[Latency, ...]]:
    """Measurements by backbone, seconds, reduction and batch size."""
    found: dict[tuple[str, float, str, int], list[Latency]] = {}
    for m in own:
        key = (m.backbone, m.audio_seconds, str(m.reduction), m.batch_size)
        found.setdefault(key, []).append(m)
    return {k: tuple(v) for k, v in found.items()}


def tail_ratio(own: Sequence[Latency]) -> tuple[float, float]:
    """Median of ln(p95/p50), and its scatter (0.1 from one measurement: assumption)."""
    ratios = np.log([m.p95_ms / m.p50_ms for m in own])
    return float(np.median(ratios)), float(np.std(ratios, ddof=1)) if len(own) > 1 else 0.1


def noise_of(own: Sequence[Latency]) -> float:
    """Median noise floor of the measurements as a relative spread, `LEAST_SD` at least."""
    known = [m.noise_floor for m in own if m.noise_floor is not None]
    return max(LEAST_SD, float(np.median(known)) if known else 0.0)
