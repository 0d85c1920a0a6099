"""Anybody's table: a CSV file in, a law and predictions out, with no database.

pandas.read_csv takes a quarter of a second of processor time to import and fills rows that are too short
without a word, which here are refused by their number (`planner.words.table_text`); who has a frame gives it
to `planner.laws.fit`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.errors import InputError, UnknownNameError
from planner.laws.axis_links import parts_of
from planner.laws.observations import Observations
from planner.laws.result import LawFit
from planner.laws.row_records import row_records
from planner.laws.table import answer_of, flat_prediction, predictions
from planner.laws.table_law import TableLaw, fit, load
from planner.words.table_text import (
    TableRow,
    column_figures,
    is_number,
    read_as,
    table_rows,
    text_from,
    text_of,
)

STDIN = "-"
WARN_BEYOND = 2.0
"""Factor outside the data from which a prediction carries a warning (assumption: a law of a decade of data is
commonly asked for twice its end)."""

Columns = dict[str, list[float | str]]
Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OwnFit:
    """A law of anybody's table with what was predicted from it.

    Attributes:
        found: the law with its table.
        predicted: rows of `planner.laws.table.predictions` with `key` and `beyond`.
        warnings: of the predictions that lie outside the data.
    """

    found: TableLaw
    predicted: Rows
    warnings: tuple[dict[str, str], ...]

    @property
    def law(self) -> LawFit:
        """The fit."""
        return self.found.law

    @property
    def table(self) -> Observations:
        """What was fitted."""
        assert self.found.observations is not None
        return self.found.observations

    def to_json(self) -> dict[str, Any]:
        """The whole answer; warnings of predictions follow those of the fit."""
        answer = answer_of(self.law, self.predicted)
        return answer | {"warnings": [*answer["warnings"], *self.warnings]}

    def listing(self, of: str | None) -> Rows:
        """The rows that a listing has: `predictions` (where there are some), else `runs`; or `parameters`, `forms`."""
        if of == "predictions" or (of is None and self.predicted):
            return [flat_prediction(row) for row in self.predicted]
        if of in ("parameters", "forms"):
            rows: Rows = self.law.to_json()[of]
            return [
                {k: " ".join(v) if isinstance(v, list) else v for k, v in r.items()} for r in rows
            ]
        return self.runs()

    def runs(self) -> Rows:
        """Every row of the table with residual and influence."""
        return row_records(self.law, self.table, self.found.keys)


def fit_file(
    path: str,
    axes: list[str],
    *,
    predict: str | None = None,
    key: str | None = None,
    warn_beyond: float = WARN_BEYOND,
    **options: Any,
) -> OwnFit:
    """Fit a law to a CSV file and predict the rows of another; `-` is what comes in.

    Raises:
        InputError: a file is no CSV with a header, or a cell of a named column is no number.
        UnknownNameError: a column does not exist.
        FitError: no estimate exists.
    """
    if path == predict == STDIN:
        raise InputError("only one table can come in on stdin; name a file for the other")
    others, read = (None, ()) if predict is None else read_table(predict, axes)
    numeric = [options.get(name) for name in ("error", "weight", "std_error", "cost")]
    columns, notes = read_table(path, [*axes, *filter(None, numeric)])
    found = fit(columns, axes=axes, key=key, **options)
    rows = [] if others is None else predicted(found.law, others, key)
    beyond = warnings_beyond(found.law, rows, warn_beyond)
    return OwnFit(found=found, predicted=rows, warnings=(*notes, *read, *beyond))


def predict_file(
    law: str, path: str, *, key: str | None, warn_beyond: float
) -> tuple[Rows, tuple[dict[str, str], ...]]:
    """Predictions from a law that was saved, with no data, and their warnings.

    Raises:
        InputError: the file holds no law, or a cell of an axis is no number.
        UnknownNameError: an axis is not among the columns.
    """
    found = load(law).law
    columns, notes = read_table(path, found.axes)
    rows = predicted(found, columns, key)
    return [flat_prediction(row) for row in rows], (
        *notes,
        *warnings_beyond(found, rows, warn_beyond),
    )


def predicted(law: LawFit, columns: Columns, key: str | None) -> Rows:
    """`predictions` with the row's key and `beyond`, the factor by which its farthest axis leaves the data."""
    if key is not None and key not in columns:
        raise UnknownNameError(
            "column", key, list(columns), remedy="rows to predict are named by it too"
        )
    rows = predictions(law, columns, law.level)
    return [
        {"row": row["row"] + 1, **({} if key is None else {"key": columns[key][row["row"]]}),
         **{k: v for k, v in row.items() if k != "row"},
         "beyond": math.exp(max(row["distance"].values()))}
        for row in rows
    ]  # fmt: skip


def warnings_beyond(law: LawFit, rows: Rows, factor: float) -> tuple[dict[str, str], ...]:
    """A warning for each row that lies farther outside the data than the factor, with the axis."""
    found = []
    for row in rows:
        name = max(law.axes, key=lambda axis: row["distance"][axis])
        if row["beyond"] > factor:
            message = (
                f"row {row['row']} to predict lies {row['beyond']:.3g}x outside the data on {name} "
                f"({row[name]:.4g}): its interval rests on the form of the law"
            )
            found.append({"code": "beyond-data", "message": message, "axis": name})
    return tuple(found)


def read_columns(path: str, numeric: Sequence[str] = ()) -> Columns:
    """The columns of `read_table` alone."""
    return read_table(path, numeric)[0]


def read_table(
    path: str, numeric: Sequence[str] = ()
) -> tuple[Columns, tuple[dict[str, str], ...]]:
    """The columns of a CSV file (TSV by its suffix), or of what comes in where the path is `-`.

    Cells of `numeric` columns are numbers as people write them (`39M`, `1,000`, `30%`); others are numbers where
    they are nothing else. Beside them a note for each numeric column that is not written as plain numbers.

    Raises:
        InputError: the file is no table, or a cell of a `numeric` column is no number: with row, line and column.
    """
    name, text = (
        ("stdin", text_from(sys.stdin.buffer.read(), "stdin")) if path == STDIN else _read(path)
    )
    header, rows = table_rows(name, text, delimiter="\t" if name.lower().endswith(".tsv") else ",")
    if not rows:
        raise InputError(f"{name} has no rows below a header; give a CSV file with named columns")
    wanted = list(dict.fromkeys(part for axis in numeric for part in parts_of(axis, header)))
    numbers = {column: _figures(rows, column, name) for column in wanted}
    said = (read_as([row.cells[column] for row in rows], column) for column in wanted)
    notes = tuple({"code": "read-as", "message": f"{name}: {one}"} for one in said if one)
    columns: Columns = {
        column: [*numbers[column]]
        if column in numbers
        else [_cell(row.cells[column]) for row in rows]
        for column in header
    }
    return columns, notes


def _read(path: str) -> tuple[str, str]:
    file = Path(path)
    return file.name, text_of(file)


def _figures(rows: Sequence[TableRow], column: str, file: str) -> list[float]:
    try:
        return column_figures([row.cells[column] for row in rows], column)
    except InputError as problem:
        place, _, said = str(problem).partition(": ")
        row = rows[int(place.removeprefix("row ")) - 1]
        raise InputError(f"row {row.number} of {file} (line {row.line}): {said}") from None


def _cell(text: str) -> float | str:
    return float(text) if is_number(text) else text


def label_of(value: float | str) -> str:
    """A cell as the name of a group."""
    return f"{value:g}" if isinstance(value, float) else value


def named_groups(
    columns: Columns, column: str, option: str, taken: Sequence[str]
) -> tuple[Columns, tuple[dict[str, str], ...]]:
    """The rows that name a group, and a note on those that do not: a row without a name is of no group.

    Args:
        columns: of the table.
        column: whose equal values make a group.
        option: that named it, for messages.
        taken: the error, and the axes, which are no groups.

    Raises:
        InputError: the column is the error, or an axis.
        UnknownNameError: it does not exist.
    """
    if column not in columns:
        raise UnknownNameError("column", column, list(columns))
    if column in taken:
        what = "the error itself" if column == taken[0] else "an axis"
        raise InputError(f"{option} {column}: it is {what}; name a column of groups")
    named = [bool(group_of(v)) for v in columns[column]]
    if all(named):
        return columns, ()
    kept = {
        k: [v for v, use in zip(values, named, strict=True) if use] for k, values in columns.items()
    }
    n, first = named.count(False), named.index(False) + 1
    message = f"rows left out whose {column} is empty: {n}, the first row {first}"
    return kept, ({"code": "rows-excluded", "message": message},)


def group_of(value: float | str) -> str | None:
    """The group that a cell names; None of an empty one."""
    label = label_of(value).strip()
    return None if label in ("", "nan") else label
