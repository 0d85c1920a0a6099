"""Tables as plain text."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import Any

from planner.words.terminal import shown

_BY_WORDS: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}


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
    """Of each column whether it holds numbers alone, which stand to the right; empty without rows.

    >>> number_columns([["4.07 % ± 0.50", "2 min 05 s", "3 of 4"], ["–", "51 s", "4 of 4"]])
    [True, True, False]
    """
    return [all(_numeric(str(cell)) for cell in column) for column in zip(*rows, strict=True)]


_DURATION = re.compile(r"\d+ (h|min) \d+ (min|s)")


def _numeric(text: str) -> bool:
    value, _, spread = text.partition(" ± ")
    if spread:
        return _numeric(value) and _numeric(spread)
    words = text.split(" ")
    # A number with its unit, twice in a duration, or with an interval; a sentence that opens with a number is text.
    if len(words) > 2 and not text.endswith("]") and not _DURATION.fullmatch(text):
        return False
    bare = words[0].rstrip("%")
    try:
        float(bare)
    except ValueError:
        return text in ("–", "")
    return True


def table_within(headings: list[str], rows: list[list[str]], width: int) -> list[str]:
    """A plain table no wider than `width`, whose first column is a mark and whose second is a label.

    Columns go from the right until it fits, the third stays. A label that is still too wide takes several
    lines and is broken between words only.
    """
    shown = len(headings)
    while shown > 3 and _width(headings[:shown], [r[:shown] for r in rows]) > width:
        shown -= 1
    table = [r[:shown] for r in [headings, *rows]]
    over = _width(table[0], table[1:]) - width
    if over > 0:
        room = max(max(len(r[1]) for r in table) - over, 20)
        table = [line for row in table for line in _label_lines(row, room)]
    return plain_table(table[0], table[1:]).split("\n")


def _label_lines(row: list[str], room: int) -> list[list[str]]:
    """A row as rows of its own width: the label goes on below, beside empty cells."""
    first, *more = textwrap.wrap(row[1], room, **_BY_WORDS) or [""]
    return [[row[0], first, *row[2:]], *(["", part, *("" for _ in row[2:])] for part in more)]


def _width(headings: list[str], rows: list[list[str]]) -> int:
    return max(len(line) for line in plain_table(headings, rows).split("\n"))


def within(text: str, width: int) -> str:
    """Text whose lines are at most `width` wide, broken between words alone and indented as they began.

    A line that opens with one word and a gap, as `note  …` does, goes on below what follows the gap. Of a row of
    cells, with gaps between them, those that do not fit go on below, whole and further in than the next row
    begins. A word that is wider than `width` stays whole.

    >>> print(within("why   fewest errors of all", 18))
    why   fewest
          errors of
          all
    >>> print(within("  E    0.0494  [0.03, 0.05]  wer  not identified", 32))
      E    0.0494  [0.03, 0.05]  wer
          not identified
    """
    return "\n".join(
        line if len(line) <= width else "\n".join(_wrapped(line, width))
        for line in text.split("\n")
    )


_LEAD = re.compile(r"\s*(?:\S+\s{2,})?")
_GAP = re.compile(r"(?<=\S)\s{2,}(?=\S)")
_FURTHER_IN = 4


def _wrapped(line: str, width: int) -> list[str]:
    begins = len(line) - len(line.lstrip())
    gaps = list(_GAP.finditer(line))
    fitting = [gap for gap in gaps if gap.start() <= width]
    if len(gaps) > 1 and len(fitting) > 1:
        rest = " " * (begins + _FURTHER_IN) + line[fitting[-1].end() :]
        return [
            line[: fitting[-1].start()],
            *(_wrapped(rest, width) if len(rest) > width else [rest]),
        ]
    found = _LEAD.match(line)
    lead = len(found.group()) if found else 0
    return textwrap.wrap(
        line, width, subsequent_indent=" " * (lead if lead <= width // 3 else 2), **_BY_WORDS
    )
