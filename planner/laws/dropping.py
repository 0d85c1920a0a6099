"""Rules by which rows of a table are left out, written down: `loss>10`, `status=diverged`, `step<=1000`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from planner.errors import InputError, UnknownNameError
from planner.laws.observations import Exclusion
from planner.words.table_text import figure

_RULE = re.compile(r"\s*(.+?)\s*(<=|>=|!=|==|=|<|>)\s*(.*?)\s*")
ORDERS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def dropped_by(columns: Mapping[str, Sequence[Any]], rules: Sequence[str]) -> tuple[Exclusion, ...]:
    """The rows that a rule leaves out, each with the first rule that does.

    >>> dropped_by({"loss": [2.1, 11.0]}, ["loss>10"])[0].reason
    'dropped by loss>10: loss is 11'

    Raises:
        InputError: a rule is none, or compares what is no number by order.
        UnknownNameError: its column is not in the table.
    """
    found: dict[int, str] = {}
    for rule in rules:
        name, sign, value = _read(rule)
        if name not in columns:
            raise UnknownNameError("column", name, [str(c) for c in columns])
        for row, cell in enumerate(columns[name]):
            if row not in found and _meets(cell, sign, value, rule, row):
                said = f"{cell:g}" if isinstance(cell, int | float) else cell
                found[row] = f"dropped by {rule.strip()}: {name} is {said}"
    return tuple(Exclusion(row=row, reason=reason) for row, reason in sorted(found.items()))


def _read(rule: str) -> tuple[str, str, str]:
    match = _RULE.fullmatch(rule)
    if match is None or not match[3]:
        raise InputError(f"a rule to drop rows reads loss>10 or status=diverged, got {rule!r}")
    return match[1], match[2], match[3]


def _meets(cell: Any, sign: str, value: str, rule: str, row: int) -> bool:
    if cell is None:
        return False
    number = _number(cell)
    if sign in ORDERS:
        limit = figure(value, f"the limit of rule {rule!r}")
        if number is None:
            raise InputError(
                f"rule {rule!r} compares by order, but row {row + 1} holds {cell!r}; use = or !="
            )
        return ORDERS[sign](number, limit)
    wanted = _number(value)
    same = number == wanted if number is not None and wanted is not None else str(cell) == value
    return same if sign in ("=", "==") else not same


def _number(cell: Any) -> float | None:
    if isinstance(cell, str):
        try:
            return figure(cell, "a cell")
        except InputError:
            return None
    return float(cell)
