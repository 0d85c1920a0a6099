"""Tables read cell for cell: what cannot be one thing alone is refused with row, line, column and cell.

Results, anybody's tables and manifests are read here and nowhere else, so that a row has one number (from 1
below the header, empty lines not counted) and a number one spelling (`12.5`, `-3e-4`; no comma, no unit); `figure`
reads what people write into tables of their own besides (`39M`, `1,000`, `30%`).
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from planner.errors import InputError

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_GROUPED = re.compile(r"[+-]?[0-9]{1,3}(?:[,.' \u00a0\u202f][0-9]{3})+", re.ASCII)
_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]*(?:[.' \u00a0\u202f][0-9]{3})*,[0-9]+", re.ASCII)
_WITH_UNIT = re.compile(
    r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)\s*([^\W\d_][^\d]*|%|\u2030)"
)
_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]+)?", re.ASCII)
_SUFFIXED = re.compile(r"(.*[0-9.])\s*([kKMBGT%])", re.ASCII)
_SUFFIXES = {"": 0, "k": 3, "K": 3, "M": 6, "B": 9, "G": 9, "T": 12, "%": -2}
"""What may stand behind a number in anybody's table, as a power of ten; B is a billion, as of parameters and tokens."""
_UNKNOWN = frozenset({"", "nan", "na", "n/a", "null", "none", "-"})


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row: its number from 1, the line of the file it is on, and its cells by column, stripped."""

    number: int
    line: int
    cells: dict[str, str]

    @property
    def place(self) -> str:
        """`row 3 (line 4)`."""
        return f"row {self.number} (line {self.line})"


def text_of(path: Path) -> str:
    """The text of a file that is UTF-8, with or without a byte-order mark, gzipped or not.

    Raises:
        InputError: it is another encoding; the message names the line and what to do.
    """
    return text_from(path.read_bytes(), path.name)


def text_from(raw: bytes, name: str) -> str:
    """The text of those bytes; `name` is what messages call them.

    Raises:
        InputError: as `text_of`.
    """
    if raw[:2] == b"\x1f\x8b":
        raw = _unpacked(raw, name)
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError(f"{name} is not UTF-8 but UTF-16 (byte 0); save it as UTF-8")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{name} is not UTF-8 (line {line}, byte {error.start}); save it as UTF-8"
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(f"{name} holds a NUL character (line {line}); save it as UTF-8 text")
    return text


def _unpacked(raw: bytes, name: str) -> bytes:
    import gzip
    import zlib

    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{name} is gzipped and broken ({error}); pack it again") from None


def table_rows(
    name: str, text: str, *, delimiter: str = ",", quoted: bool = True
) -> tuple[tuple[str, ...], list[TableRow]]:
    """Header and rows of a CSV or TSV text.

    Args:
        name: of the file, for messages.
        text: with its own line ends.
        delimiter: between cells.
        quoted: whether a quotation mark quotes; Common Voice's TSVs quote nothing.

    Raises:
        InputError: a row is wider or narrower than the header, a column has no name or another one's, a quote
            does not close on its line, or the cells are separated by something else.
    """
    lines = _cells(name, text, delimiter, quoted)
    if not lines:
        raise InputError(f"{name} is empty; give a header and rows below it")
    header = _header(name, lines[0][1], delimiter)
    rows = []
    for number, (line, cells) in enumerate(lines[1:], start=1):
        if len(cells) != len(header):
            raise InputError(_width(name, number, line, cells, header))
        stripped = (cell.strip() for cell in cells)
        rows.append(TableRow(number, line, dict(zip(header, stripped, strict=True))))
    return header, rows


def _cells(name: str, text: str, delimiter: str, quoted: bool) -> list[tuple[int, list[str]]]:
    """Line and cells of each row that is not empty; the header is the first of them."""
    lines = io.StringIO(text, newline="")
    if quoted:
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
    else:
        reader = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE, strict=True)
    found: list[tuple[int, list[str]]] = []
    before = 0
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return found
        except csv.Error as error:
            raise InputError(
                f"row {max(len(found), 1)} of {name} (line {before + 1}): a quote is not closed or stands amid "
                f"a cell ({error}); double it and quote the whole cell"
            ) from None
        if any("\n" in cell or "\r" in cell for cell in cells):
            raise InputError(
                f"row {max(len(found), 1)} of {name} (line {before + 1}): a quote that opens here closes on line "
                f"{reader.line_num}; close it on its line, and write no line break in a cell"
            )
        if any(cell.strip() for cell in cells):
            found.append((before + 1, cells))
        before = reader.line_num


def _header(name: str, cells: list[str], delimiter: str) -> tuple[str, ...]:
    header = tuple(cell.strip() for cell in cells)
    if len(header) == 1:
        for other, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
            if other in header[0] and other != delimiter:
                commas = ", with decimal commas as spreadsheets write them" if other == ";" else ""
                raise InputError(
                    f"{name} is separated by {word} ({other!r}){commas}; save it with commas between cells and "
                    "points in numbers"
                )
    for i, column in enumerate(header):
        if not column:
            raise InputError(f"column {i + 1} of {name} has no name; name it or take it out")
        if column in header[:i]:
            raise InputError(
                f"column {column} of {name} is there twice (columns {header.index(column) + 1} and {i + 1}); "
                "keep one of them"
            )
    return header


def _width(name: str, number: int, line: int, cells: list[str], header: tuple[str, ...]) -> str:
    said = (
        f"row {number} of {name} has {len(cells)} cells, the header has {len(header)} (line {line})"
    )
    if len(cells) < len(header):
        return f"{said}; write a comma for each empty cell"
    return f"{said}; a comma inside a text or a number? quote such a text, and write 12.5 and 52576 with no other comma"


def number(text: str, column: str) -> float:
    """The number of a cell, which is nothing but a number; NaN for an empty one or a word for none.

    >>> number("12.50", "wer"), number("-3e-4", "wer")
    (12.5, -0.0003)

    Raises:
        InputError: it has a unit, a comma, other digits, or is infinite; the message says how to write it.
    """
    cell = text.strip()
    if cell.casefold() in _UNKNOWN:
        return math.nan
    if _NUMBER.fullmatch(cell):
        value = float(cell)
        if math.isfinite(value):
            return value
        raise InputError(f"{column} holds {cell!r}, which is too large for a number")
    raise InputError(f"{column} is not a number: {cell!r}{_remedy(cell)}")


def figure(text: str, column: str) -> float:
    """The number of a cell of anybody's table, as people write it: `39M`, `1,000`, `30%`, or plain.

    >>> figure("39M", "params"), figure("1,000", "steps"), figure("30 %", "wer")
    (39000000.0, 1000.0, 0.3)

    Raises:
        InputError: as `number`; also for a decimal comma and any other unit.
    """
    cell = text.strip()
    found = _SUFFIXED.fullmatch(cell)
    bare, suffix = (found[1], found[2]) if found else (cell, "")
    if _THOUSANDS.fullmatch(bare):
        bare = bare.replace(",", "")
    if not _NUMBER.fullmatch(bare):
        return number(cell, column)
    # A decimal first: 12.3 / 100 is not the double nearest to .123.
    return number(str(Decimal(bare).scaleb(_SUFFIXES[suffix])), column)


def column_figures(cells: Sequence[str], column: str) -> list[float]:
    """The numbers of a column's cells; NaN for empty ones.

    Raises:
        InputError: a cell is no number (`row 3: …`), or some have a sign or a suffix behind them and others do not:
            beside `39` and `74` (million), `1.5B` would be another unit.
    """
    values = []
    for row, cell in enumerate(cells, start=1):
        try:
            values.append(figure(cell, column))
        except InputError as problem:
            raise InputError(f"row {row}: {problem}") from None
    known = [
        (row, _behind(cell))
        for row, (cell, value) in enumerate(zip(cells, values, strict=True), start=1)
        if value and not math.isnan(value)
    ]
    for sort, word in (("%", "the sign"), ("suffix", "a suffix")):
        with_it = [row for row, found in known if found == sort]
        # `1,000,000` is written out, and so of no other unit than `1M`.
        without = [row for row, found in known if found != sort and (sort == "%" or found)]
        if with_it and without:
            # The fewer are the likelier mistake.
            odd, usual = (with_it, without) if len(with_it) < len(without) else (without, with_it)
            raise InputError(
                f"row {odd[0]}: {column} holds {cells[odd[0] - 1]!r} where row {usual[0]} holds "
                f"{cells[usual[0] - 1]!r}; write all of them with {word}, or none"
            )
    return values


def _behind(cell: str) -> str:
    """`%`, `suffix` or `nothing` behind a number; empty for one with commas between thousands."""
    found = _SUFFIXED.fullmatch(cell.strip())
    if found is not None:
        return "%" if found[2] == "%" else "suffix"
    return "nothing" if is_number(cell) else ""


def read_as(cells: Sequence[str], column: str) -> str | None:
    """What a column's cells were read as, where they are written otherwise than as plain numbers; the first of them.

    >>> read_as(["500", "1,000"], "steps")
    "column steps is written for people: '1,000' (row 2) is read as 1000"
    """
    for row, cell in enumerate(cells, start=1):
        if cell.strip() and not is_number(cell) and not math.isnan(value := figure(cell, column)):
            return f"column {column} is written for people: {cell.strip()!r} (row {row}) is read as {value:.12g}"
    return None


def is_number(text: str) -> bool:
    """Whether a cell is a number and nothing else."""
    return _NUMBER.fullmatch(text.strip()) is not None


def _remedy(cell: str) -> str:
    if _DECIMAL_COMMA.fullmatch(cell) or _GROUPED.fullmatch(cell):
        return "; write a point before decimals and nothing between thousands (12.5, 52576)"
    found = _WITH_UNIT.fullmatch(cell)
    if found is None:
        return ""
    if found.group(2).strip() == "%":
        return f"; write it as a fraction ({float(found.group(1)) / 100:g}), without the sign"
    return f"; write the number without its unit ({found.group(2).strip()!r})"
