"""How one thing that can be asked is described: its name, kind, range, choices, help and older names."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from planner.errors import InputError
from planner.words.units import (
    parse_bytes,
    parse_energy_j,
    parse_error,
    parse_flops,
    parse_latency_ms,
    parse_power_watts,
    parse_price,
)

READERS = {
    "flops": parse_flops,
    "latency": parse_latency_ms,
    "bytes": parse_bytes,
    "error": parse_error,
    "energy": parse_energy_j,
    "power": parse_power_watts,
    "price": parse_price,
}
"""Kind of a quantity -> how its text with a unit becomes a number in the base unit."""

_SUFFIXES = {
    "latency": "_ms", "bytes": "_bytes", "energy": "_j_per_hour", "power": "_watts",
}  # fmt: skip

UNSAID = "unsaid"
"""In a field's metadata: not part of the JSON of a record that leaves it None, so that records from before
the field was there, and what was hashed of them, stay as they were."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """One thing that can be asked.

    Attributes:
        name: JSON key and column.
        kind: `name` (text), `choice`, `flag`, `lines` (a file's, by a command alone), `number`, or a
            quantity that takes a unit: `flops`, `latency` (ms), `bytes`, `error` (a fraction), `energy` (J),
            `power` (W), `price` (an hour).
        help: for people, a sentence with a full stop.
        default: None where there is none.
        needed: whether it has to be given.
        low, high: smallest and largest value of a number, both allowed.
        example: as it is written on a command line.
        choices: value -> how a form calls it: all values of a `choice`, well-known ones of a `name`.
        old: options of earlier versions that go on working.
        title: how a form calls the field.
    """

    name: str
    kind: str
    help: str
    default: Any = None
    needed: bool = False
    low: float | None = None
    high: float | None = None
    example: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)
    old: tuple[str, ...] = ()
    title: str = ""

    @property
    def option(self) -> str:
        """The option of a command: `--latency` of `latency_ms`."""
        return "--" + self.name.removesuffix(_SUFFIXES.get(self.kind, "\n")).replace("_", "-")

    def check(self, value: Any) -> None:
        """Refuse a value outside the range or the choices; None is always allowed.

        Raises:
            InputError: names the field and the value.
        """
        if value is None:
            return
        if self.kind == "choice" and value not in self.choices:
            listed = " or ".join(self.choices)
            raise InputError(f"{self.name} must be {listed}, got {value!r}")
        if self.low is None or self.high is None:
            return
        if not math.isfinite(value) or value <= 0:
            raise InputError(f"{self.name} must be a positive number, got {value!r}")
        if not self.low <= value <= self.high:
            raise InputError(
                f"{self.name} must lie between {self.low:g} and {self.high:g}, got {value!r}"
            )


def asked(kind: str, help: str, within: tuple[float, float] | None = None, **more: Any) -> Any:
    """The metadata of a field: its description without its name and default."""
    low, high = within or (None, None)
    return {"kind": kind, "help": help, "low": low, "high": high, **more}


def later(kind: str, help: str, within: tuple[float, float] | None = None, **more: Any) -> Any:
    """As `asked`, of a field that questions of before do not have."""
    return {**asked(kind, help, within, **more), UNSAID: True}


def named(fields: Iterable[Asked], name: str) -> Asked:
    """The description of one field."""
    return next(one for one in fields if one.name == name)


def check(fields: Iterable[Asked], **values: Any) -> None:
    """Refuse values outside their ranges.

    Raises:
        InputError: names the first field that is wrong.
    """
    for one in fields:
        if one.name in values:
            one.check(values[one.name])
