"""One row of `soundscale doctor`, and the limits from which a figure is told."""

from __future__ import annotations

from dataclasses import dataclass

CLOCK_SECONDS = 5.0
"""More than this between two clocks is said (s); leases go by the database's clock and do not mind."""

ROOM_BYTES = 2 * 2**30
"""Less free space than this is said (bytes; assumption: checkpoints of a few adapters)."""

LIBRARIES = ("soundscale", "torch", "transformers", "peft", "ray", "sqlalchemy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at: `good`, `doubtful` (works, but know it) or `bad`."""

    what: str
    state: str
    found: str
    remedy: str | None = None


def signed_seconds(value: float) -> str:
    """Seconds with a sign, and none before zero.

    >>> signed_seconds(-0.04), signed_seconds(-61.2)
    ('0.0 s', '-61.2 s')
    """
    rounded = round(value, 1)
    return f"{rounded:+.1f} s" if rounded else "0.0 s"
