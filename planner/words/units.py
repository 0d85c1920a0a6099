"""Quantities with units, in and out: `700G`, `2PFLOP`, `250ms`, `8GiB`.

Counts and FLOPs use SI prefixes (1 G = 1e9), bytes use binary ones when written `KiB … PiB`.
A bare number is in the base unit: FLOPs, milliseconds, bytes.
"""

from __future__ import annotations

import math
import re

from planner.errors import UnitError

_SI = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_BINARY = {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50}
_MS = {"": 1.0, "ms": 1.0, "s": 1e3, "us": 1e-3, "µs": 1e-3, "min": 6e4, "h": 3.6e6}
_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[a-zA-Z]+)\s*(.*?)\s*$")


def _split(text: str, kind: str, example: str) -> tuple[float, str]:
    found = _NUMBER.match(text)
    try:
        value = float(found.group(1)) if found else math.nan
    except ValueError:
        value = math.nan
    if found is None or not math.isfinite(value) or value <= 0:
        raise UnitError(
            f"{kind} must be a positive number with a unit, got {text!r}; e.g. {example}"
        )
    return value, found.group(2)


def parse_flops(text: str) -> float:
    """FLOPs from `700G`, `1.5 TFLOPs` or `2e9`.

    >>> parse_flops("700G")
    700000000000.0
    """
    value, unit = _split(text, "FLOPs", "700G or 2PFLOP")
    bare = re.sub(r"flops?$", "", unit, flags=re.IGNORECASE).strip()
    if bare not in _SI:
        raise UnitError(
            f"unknown FLOP unit {unit!r} in {text!r}; use k, M, G, T, P or E, e.g. 700G"
        )
    return value * _SI[bare]


def parse_latency_ms(text: str) -> float:
    """Milliseconds from `250ms`, `0.25s` or a bare `250` (milliseconds).

    >>> parse_latency_ms("0.25s")
    250.0
    """
    value, unit = _split(text, "latency", "250ms or 0.4s")
    if unit not in _MS:
        raise UnitError(
            f"unknown time unit {unit!r} in {text!r}; use ms, s, us, min or h, e.g. 250ms"
        )
    return value * _MS[unit]


def parse_bytes(text: str) -> float:
    """Bytes from `8GiB`, `500MB` or a bare number.

    >>> parse_bytes("8GiB")
    8589934592.0
    """
    value, unit = _split(text, "memory", "8GiB or 500MB")
    bare = re.sub(r"B$", "", unit)
    if bare in _BINARY:
        return value * _BINARY[bare]
    if bare in _SI:
        return value * _SI[bare]
    raise UnitError(f"unknown memory unit {unit!r} in {text!r}; use MB, GB, MiB or GiB, e.g. 8GiB")


def parse_error(text: str) -> float:
    """An error rate as a fraction, from `8%` or `0.08`.

    >>> parse_error("8%")
    0.08
    """
    value, unit = _split(text, "error", "8% or 0.08")
    if unit not in ("", "%"):
        raise UnitError(f"unknown unit {unit!r} of an error rate in {text!r}; use 8% or 0.08")
    return value / 100 if unit == "%" else value


def parse_factor(text: str) -> float:
    """A factor of at least 1, from `2x` or a bare `2`.

    >>> parse_factor("2x")
    2.0
    """
    value, unit = _split(text, "factor", "2x")
    if unit not in ("", "x", "×") or value < 1:
        raise UnitError(f"a factor is a number of at least 1 like 2x, got {text!r}")
    return value


_JOULES = {
    "": 1.0,
    "J": 1.0,
    "kJ": 1e3,
    "MJ": 1e6,
    "GJ": 1e9,
    "TJ": 1e12,
    "Wh": 3.6e3,
    "kWh": 3.6e6,
}
_WATTS = {"": 1.0, "W": 1.0, "mW": 1e-3, "kW": 1e3}
_HOURS = {"": 1.0, "/h": 1.0, "/min": 60.0, "/s": 3600.0, "/day": 1 / 24}


def parse_energy_j(text: str) -> float:
    """Joules from `20kJ`, `5Wh` or a bare number.

    >>> parse_energy_j("5Wh")
    18000.0
    """
    value, unit = _split(text, "energy", "20kJ or 5Wh")
    if unit not in _JOULES:
        raise UnitError(f"unknown energy unit {unit!r} in {text!r}; use J, kJ, MJ, GJ, Wh or kWh")
    return value * _JOULES[unit]


def parse_power_watts(text: str) -> float:
    """Watts from `45W`, `1.2kW` or a bare number.

    >>> parse_power_watts("1.2kW")
    1200.0
    """
    value, unit = _split(text, "power", "45W")
    if unit not in _WATTS:
        raise UnitError(f"unknown unit of power {unit!r} in {text!r}; use W, mW or kW, e.g. 45W")
    return value * _WATTS[unit]


def parse_price(text: str) -> float:
    """Money an hour from `2.5/h`, `60/day` or a bare number (an hour); the currency is the asker's.

    >>> parse_price("60/day")
    2.5
    """
    value, unit = _split(text, "price", "2.5/h")
    if unit not in _HOURS:
        raise UnitError(f"unknown time {unit!r} in price {text!r}; use /h, /min, /s or /day")
    return value * _HOURS[unit]


def format_energy(value: float) -> str:
    """`21.6 kJ` from joules."""
    return _scaled(value, [(1e9, "G"), (1e6, "M"), (1e3, "k")], "J")


def _scaled(value: float, steps: list[tuple[float, str]], suffix: str) -> str:
    for scale, name in steps:
        if abs(value) >= scale:
            return f"{value / scale:.4g} {name}{suffix}"
    return f"{value:.4g} {suffix}".rstrip()


def format_flops(value: float) -> str:
    """`394.3 GFLOPs` from 394.3e9.

    >>> format_flops(394.3e9)
    '394.3 GFLOPs'
    """
    steps = [(1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")]
    return _scaled(value, steps, "FLOPs")


def format_count(value: float) -> str:
    """`37.8 M` from 37.8e6; for parameters and rows."""
    return _scaled(value, [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")], "")


def format_bytes(value: float) -> str:
    """`1.9 GiB` from bytes."""
    return _scaled(value, [(2.0**40, "Ti"), (2.0**30, "Gi"), (2.0**20, "Mi"), (2.0**10, "Ki")], "B")


def format_ms(value: float) -> str:
    """`212 ms`, or `1.2 s` and `3.4 min` where those read better."""
    if value >= 60_000:
        return f"{value / 60_000:.3g} min"
    return f"{value / 1000:.3g} s" if value >= 1000 else f"{value:.3g} ms"


def format_duration(seconds: float) -> str:
    """`1 h 05 min`, `4 min 12 s` or `38 s`: for progress and estimates."""
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, secs = divmod(rest, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {secs:02d} s" if minutes else f"{secs} s"
