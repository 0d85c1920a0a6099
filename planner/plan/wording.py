"""How costs, limits and differences are worded in an answer."""

from __future__ import annotations

import math

from planner.words.question import COST_UNITS, PlanQuery
from planner.words.units import (
    format_bytes,
    format_energy,
    format_flops,
    format_ms,
    parse_bytes,
    parse_energy_j,
    parse_flops,
    parse_latency_ms,
)

NAMES = {
    "flops": "FLOPs",
    "latency_ms": "latency",
    "memory_bytes": "memory",
    "train_flops": "training FLOPs",
    "real_time_factor": "speed",
    "cost_per_1000h": "money",
    "energy_j_per_hour": "energy",
    "size_bytes": "model size",
    "train_hours": "training audio",
}


LIMIT_NAMES = {**NAMES, "flops": "FLOP", "train_flops": "training FLOP"}


MAX_LISTED = 5
"""Runners-up, ties and runs of the choice that an answer lists (assumption: one screen)."""


def amount(name: str, value: float) -> str:
    """A cost with its unit, for people: `394.3 GFLOPs`, `212 ms`, `1.9 GiB`."""
    if name == "train_flops" and value <= 1.0:
        return "none"  # an untrained checkpoint; a cost is kept above 0 for its logarithm
    if name in ("flops", "train_flops"):
        return format_flops(value)
    if name in ("memory_bytes", "size_bytes"):
        return format_bytes(value)
    if name == "real_time_factor":
        return f"{1.0 / value:.3g}x real time"
    if name == "cost_per_1000h":
        return f"{value:.3g} for 1,000 h"
    if name == "energy_j_per_hour":
        return f"{format_energy(value)} for 1 h"
    return format_ms(value) if name == "latency_ms" else f"{value:.4g} {COST_UNITS[name]}"


def with_interval(name: str, value: float, ends: tuple[float, float]) -> str:
    """A cost and its interval; words that all three share stand once: `18.9x  [11.3x, 31.6x] real time`."""
    texts = [amount(name, x) for x in (value, *ends)]
    shared = texts[0].split(" ")[1:]
    while shared and not all(t.endswith(" " + " ".join(shared)) for t in texts):
        shared = shared[1:]
    tail = " " + " ".join(shared) if len(shared) > 1 else ""
    told, low, high = (t.removesuffix(tail) for t in texts)
    return f"{told}  [{low}, {high}]{tail}"


def title(name: str) -> str:
    """What a cost is called."""
    return NAMES.get(name, name)


def said(name: str, value: float) -> str:
    """A cost in a sentence: its name goes without saying where the unit tells it."""
    return amount(name, value) if name == "flops" else f"{title(name)} {amount(name, value)}"


def enough(name: str, value: float) -> str:
    """A limit in a sentence that, typed as it is shown, is no less than `value`: rounded up where `said` rounds down.

    A limit that a refusal names is asked next; one that was rounded down was refused again.
    """
    return said(name, _rounded_up(name, value))


def enough_amount(name: str, value: float) -> str:
    """As `enough`, the amount alone."""
    return amount(name, _rounded_up(name, value))


def _rounded_up(name: str, value: float) -> float:
    up = value
    for _ in range(64):
        if _limit_of(name, amount(name, up)) >= value:
            break
        up *= 1.0 + 5e-4
    return up


def _limit_of(name: str, shown: str) -> float:
    """The limit that somebody means who types the amount that is shown."""
    words = shown.split(" ")
    if name in ("flops", "train_flops"):
        return math.inf if shown == "none" else parse_flops(shown)
    if name in ("memory_bytes", "size_bytes"):
        return parse_bytes(shown)
    if name == "latency_ms":
        return parse_latency_ms(shown)
    if name == "energy_j_per_hour":
        return parse_energy_j(" ".join(words[:2]))
    number = float(words[0].removesuffix("x"))
    return 1.0 / number if name == "real_time_factor" else number


def points(error: float) -> str:
    """A difference of two errors in percentage points: `0.30 points`."""
    return f"{100 * error:.2g} points"


def _limits(query: PlanQuery) -> str:
    return " and ".join(said(k, v) for k, v in query.limits.items())
