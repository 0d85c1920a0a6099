"""Anybody's table: a CSV file in, a law and predictions out, with no database.

pandas.read_csv takes a quarter of a second of processor time to import and fills rows that are too short
without a word, which here are refused by their number (`planner.words.table_text`); who has a frame gives it
to `planner.laws.table.fit_table`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from planner.errors import InputError
from planner.laws.table import fit_table
from planner.words.table_text import TableRow, is_number, number, table_rows, text_of


def fit_file(path: str, axes: list[str], *, predict: str | None, **options: Any) -> dict[str, Any]:
    """Fit a law to a CSV file and predict the rows of another.

    Raises:
        InputError: a file is no CSV with a header, or a cell of a named column is no number.
        UnknownNameError: a column does not exist.
        FitError: no estimate exists.
    """
    others = None if predict is None else read_columns(predict, axes)
    numeric = [options.get(name) for name in ("error", "weight", "std_error", "cost")]
    columns = read_columns(path, [*axes, *filter(None, numeric)])
    return fit_table(columns, axes=axes, predict=others, **options)


def read_columns(path: str, numeric: Sequence[str] = ()) -> dict[str, list[float | str]]:
    """The columns of a CSV file (TSV by its suffix); cells that are numbers and nothing else are numbers.

    Raises:
        InputError: the file is no table, or a cell of a `numeric` column is no number: with row, line and column.
    """
    file = Path(path)
    delimiter = "\t" if file.suffix.lower() == ".tsv" else ","
    header, rows = table_rows(file.name, text_of(file), delimiter=delimiter)
    if not rows:
        raise InputError(f"{path} has no rows below a header; give a CSV file with named columns")
    for row in rows:
        for name in numeric:
            _check_number(row, name, file.name)
    return {name: [_cell(row.cells[name]) for row in rows] for name in header}


def _check_number(row: TableRow, column: str, file: str) -> None:
    try:
        number(row.cells.get(column, ""), column)
    except InputError as problem:
        raise InputError(f"row {row.number} of {file} (line {row.line}): {problem}") from None


def _cell(text: str) -> float | str:
    return float(text) if is_number(text) else text
