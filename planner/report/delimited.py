"""Rows as CSV: the one writer of the command and of the service."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

_BEGINS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet takes for the beginning of a formula (OWASP, CSV injection)."""

_NESTED = (dict, list, tuple)


def csv_text(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, for_spreadsheet: bool = False
) -> str:
    """The rows as CSV (RFC 4180) under a header.

    Args:
        columns: names of the columns.
        rows: cells in the order of the columns; lists and mappings are written as JSON.
        for_spreadsheet: text that a spreadsheet would run as a formula gets an apostrophe before it,
            as does text that begins with one. Numbers stay as they are.

    >>> csv_text(["a", "n"], [["=1+1", -2.5]], for_spreadsheet=True)
    "a,n\\n'=1+1,-2.5\\n"
    """
    lines = [",".join(_cell(name, for_spreadsheet) for name in columns)] if columns else []
    lines += [",".join(_cell(value, for_spreadsheet) for value in row) or '""' for row in rows]
    return "".join(f"{line}\n" for line in lines)


def _cell(value: Any, for_spreadsheet: bool) -> str:
    """One cell; quoted where it must be, a lone carriage return too, which Python's writer leaves."""
    if value is None:
        return ""
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, _NESTED) else str(value)
    if for_spreadsheet and isinstance(value, str) and text.startswith((*_BEGINS_A_FORMULA, "'")):
        text = f"'{text}"
    if any(mark in text for mark in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text
