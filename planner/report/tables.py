"""Tables as plain text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from planner.words.terminal import shown


def cell(value: Any) -> str:
    """A value as a table shows it: `–` for what is not known."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    return shown(str(value), one_line=True)


def plain_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns padded to their widest cell; numbers to the right.

    >>> print(plain_table(["name", "n"], [["a", "1"], ["bb", "20"]]))
    name   n
    a      1
    bb    20
    """
    widths = [max(len(str(r[i])) for r in [headings, *rows]) for i in range(len(headings))]
    right = number_columns(rows) or [False] * len(headings)
    lines = []
    for row in [headings, *rows]:
        cells = [
            str(c).rjust(w) if r else str(c).ljust(w)
            for c, w, r in zip(row, widths, right, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def number_columns(rows: Sequence[Sequence[str]]) -> list[bool]:
    """Of each column whether it holds numbers alone, which stand to the right; empty without rows."""
    return [all(_numeric(str(cell)) for cell in column) for column in zip(*rows, strict=True)]


def _numeric(text: str) -> bool:
    words = text.split(" ")
    # A number with its unit, or with an interval; a sentence that opens with a number is text.
    if len(words) > 2 and not text.endswith("]"):
        return False
    bare = words[0].rstrip("%")
    try:
        float(bare)
    except ValueError:
        return text in ("–", "")
    return True
