"""What may be spent on a study: hours of runs or of GPUs, and the regret that is small enough."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from planner.errors import InputError, UnknownNameError
from planner.words.units import parse_error

SPEND = ("hours", "gpu_hours", "until", "worth")
WORTH = 1e-4
"""Least value of a run in error, as for `suggest`: 0.01 points (assumption: nobody decides by less)."""
_UNTIL = re.compile(r"\s*regret\s*<=\s*(.+?)\s*$")
_POINTS = re.compile(r"([0-9.eE+-]+)\s*(?:pt|points?)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What may be spent, as a file or a command line says it; None where it does not.

    Attributes:
        hours: of runs, all workers together.
        gpu_hours: the same, counted a GPU: a run of two GPUs spends two in an hour.
        until_regret: the study ends once the 95 % bound of the choice's regret is this small (error).
    """

    hours: float | None = None
    gpu_hours: float | None = None
    until_regret: float | None = None

    def over(self, other: Spending) -> Spending:
        """This one, and the other's where it says nothing; hours of either kind are one thing."""
        silent = self.hours is None and self.gpu_hours is None
        hours = other if silent else self
        until = other.until_regret if self.until_regret is None else self.until_regret
        return Spending(hours=hours.hours, gpu_hours=hours.gpu_hours, until_regret=until)


def spending_of(given: Mapping[str, Any]) -> tuple[Spending, float]:
    """A file's [spend] and its `worth`.

    Raises:
        InputError: a value cannot be read, or hours are given twice over.
    """
    for key in given:
        if key not in SPEND:
            raise UnknownNameError("key", f"spend.{key}", [f"spend.{k}" for k in SPEND])
    until, worth = given.get("until"), given.get("worth")
    found = Spending(
        hours=_hours(given, "hours"), gpu_hours=_hours(given, "gpu_hours"),
        until_regret=None if until is None else parse_until(str(until)),
    )  # fmt: skip
    return checked(found), WORTH if worth is None else parse_error(str(worth))


def _hours(given: Mapping[str, Any], key: str) -> float | None:
    hours = given.get(key)
    if hours is not None and (isinstance(hours, bool) or not isinstance(hours, int | float)):
        raise InputError(f"spend.{key}: must be a number of hours, got {hours!r}")
    return None if hours is None else float(hours)


def checked(found: Spending) -> Spending:
    """Spending that can be kept.

    Raises:
        InputError: hours are not a positive number, or of both kinds.
    """
    if found.hours is not None and found.gpu_hours is not None:
        raise InputError("hours and gpu_hours are both given; give one of them")
    for name in ("hours", "gpu_hours"):
        value = getattr(found, name)
        if value is not None and not 0 < value < float("inf"):
            raise InputError(f"{name} must be a positive number, got {value!r}")
    return found


def in_hours(found: Spending, gpus_a_run: float) -> Spending:
    """The spending in hours of runs, of which each uses so many GPUs.

    >>> in_hours(Spending(gpu_hours=4.0), 2.0).hours
    2.0

    Raises:
        InputError: GPU-hours are to be spent by runs that use no GPU.
    """
    if found.gpu_hours is None:
        return found
    if not gpus_a_run:
        raise InputError(
            f"{found.gpu_hours:g} GPU-hours cannot be spent: runs use no GPU here; give --hours H of runs, or "
            "join a cluster that has one with --ray ADDRESS"
        )
    return Spending(hours=found.gpu_hours / gpus_a_run, until_regret=found.until_regret)


def parse_until(text: str) -> float:
    """The error of `regret<=0.2pt`: a regret in points, in per cent or as a fraction.

    Raises:
        InputError: it is not that.

    >>> parse_until("regret<=0.2pt"), parse_until("regret <= 0.5%")
    (0.002, 0.005)
    """
    found = _UNTIL.match(text)
    if not found:
        raise InputError(f"until {text!r} cannot be read; write regret<=0.2pt")
    in_points = _POINTS.match(found.group(1))
    try:
        value = float(in_points.group(1)) / 100.0 if in_points else parse_error(found.group(1))
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise InputError(
            f"until {text!r}: the regret must lie between 0 and 100 points; write regret<=0.2pt"
        )
    return value
