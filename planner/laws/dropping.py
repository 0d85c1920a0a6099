"""Rows of a table that are left out, written down: by rules (`loss>10`, `status=diverged`), and copies of others."""

from __future__ import annotations

import dataclasses
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from planner.errors import InputError, UnknownNameError
from planner.laws.observations import Exclusion, Observations, is_specific
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


def without_copies(table: Observations, labels: Sequence[str] | None = None) -> Observations:
    """The table with rows that repeat an earlier one marked to be left out: a copy is no further evidence.

    A copy says the same in axes, error, weight and standard error, and its error has so many digits that two runs
    hardly give it (`is_specific`). Rows of different groups, also of groups that are compared, are no copies.
    """
    beside = [c for c in (table.std_error, table.weight, table.cost) if c is not None]
    said: list[Any] = [table.x, table.error, *beside]
    for marks in (table.group, labels):
        if marks is not None:
            said.append(np.unique(np.asarray(marks), return_inverse=True)[1].reshape(-1))
    every = np.column_stack(said)
    left = {rule.row for rule in table.dropped}
    rows = np.array([row for row in range(len(table)) if row not in left], dtype=np.intp)
    _, first, back = np.unique(every[rows], axis=0, return_index=True, return_inverse=True)
    firsts = rows[first[back.reshape(-1)]]
    found = tuple(
        Exclusion(
            row=int(row),
            reason=f"it repeats row {of + 1} exactly: a copy is no further evidence",
        )
        for row, of in zip(rows, firsts.tolist(), strict=True)
        if row != of and is_specific(float(table.error[row]))
    )
    return dataclasses.replace(table, dropped=table.dropped + found) if found else table


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
