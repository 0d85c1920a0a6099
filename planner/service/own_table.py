"""Anybody's table: a CSV file in, a law and predictions out, with no database.

The standard library reads the file. pandas.read_csv takes a quarter of a second of processor time to import
and fills rows that are too short without a word, which here are refused by their number; who has a frame
gives it to `planner.laws.table.fit_table`.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from planner.errors import InputError
from planner.laws.table import fit_table


def fit_file(path: str, axes: list[str], *, predict: str | None, **options: Any) -> dict[str, Any]:
    """Fit a law to a CSV file and predict the rows of another.

    Raises:
        InputError: a file is no CSV with a header, or a cell of a named column is no number.
        UnknownNameError: a column does not exist.
        FitError: no estimate exists.
    """
    others = None if predict is None else read_columns(predict)
    return fit_table(read_columns(path), axes=axes, predict=others, **options)


def read_columns(path: str) -> dict[str, list[float | str]]:
    """The columns of a CSV file; cells that read as numbers are numbers."""
    with Path(path).open(encoding="utf-8-sig", newline="") as lines:
        rows = list(csv.reader(lines))
    if len(rows) < 2:
        raise InputError(f"{path} has no rows below a header; give a CSV file with named columns")
    header = [h.strip() for h in rows[0]]
    for number, row in enumerate(rows[1:], start=1):
        if len(row) != len(header):
            raise InputError(
                f"row {number} of {path} has {len(row)} cells, the header has {len(header)}"
            )
    return {name: [_cell(row[i]) for row in rows[1:]] for i, name in enumerate(header)}


def _cell(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
