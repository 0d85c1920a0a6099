"""A device that was measured elsewhere: the JSON of `tests/benchmarks/gpu.py`, made where no database is.

A machine with the accelerator often has neither our store nor a network; what was measured there is brought
here as a file and then serves as the device's own measurements do.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from planner.errors import InputError
from planner.words.catalogue import Catalogue
from planner.words.records import Device, Latency, Reduction

FORMAT = "soundscale-device/1"
_TIMES = ("p50_ms", "p90_ms", "p95_ms", "p99_ms", "audio_seconds")


def read(path: Path, catalogue: Catalogue) -> list[Latency]:
    """The latencies of such a file, each checked before any is stored.

    Args:
        path: the file.
        catalogue: backbones that are known here.

    Raises:
        InputError: the file is not one of these, has no latencies, or a value in it is none.
        UnknownNameError: a backbone is not known here.
    """
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as problem:
        raise InputError(f"{path} cannot be read as a measured device: {problem}") from None
    told = document.get("format") if isinstance(document, dict) else None
    if told != FORMAT:
        raise InputError(
            f"{path} is not a measured device: its format is {told!r}, wanted {FORMAT}, as "
            "tests/benchmarks/gpu.py writes it"
        )
    part = document.get("parts", {}).get("latency", {})
    rows = part.get("latencies")
    if not rows:
        why = part.get("problem") or "that part was not run"
        raise InputError(f"{path} holds no latencies ({why}); nothing was stored")
    return [_latency(path, place, row, catalogue) for place, row in enumerate(rows, start=1)]


def _latency(path: Path, place: int, row: dict[str, Any], catalogue: Catalogue) -> Latency:
    try:
        found = Latency(
            **{
                **row,
                "device": Device(**row["device"]),
                "reduction": Reduction(**row["reduction"]),
            }
        )
    except (KeyError, TypeError, ValueError) as problem:
        raise InputError(f"{path}: latency {place} cannot be read: {problem}") from None
    for name in _TIMES:
        value = getattr(found, name)
        good = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not (good and math.isfinite(value) and value > 0):
            raise InputError(
                f"{path}: latency {place} has {name} {value!r}, wanted a positive number"
            )
    if not found.p50_ms <= found.p95_ms:
        raise InputError(
            f"{path}: latency {place} has p50 {found.p50_ms:g} ms above p95 {found.p95_ms:g} ms"
        )
    catalogue.backbone(found.backbone)
    return found
