"""Anybody's table: columns by name or a pandas frame in; plain JSON values, or a frame of predictions, out.

pandas is imported by those who ask for a frame (`prediction_frame`) or hold one: 250 ms of processor time
that nobody else pays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Union

import numpy as np
from numpy.typing import NDArray

from planner.errors import FitError, InputError, UnknownNameError
from planner.laws.axis_links import axis_values, called, columns_in, offset_for, parts_of
from planner.laws.best import BestValues, best_axes, best_values
from planner.laws.dropping import dropped_by
from planner.laws.observations import Floats, Observations
from planner.laws.result import LawFit
from planner.words.table_text import figure

if TYPE_CHECKING:
    import pandas as pd

Columns = Mapping[str, Sequence[Any]]
Remarks = tuple[tuple[str, str], ...]
"""Column name to values."""
Table = Union[Columns, "pd.DataFrame"]
"""What callers may give: columns by name, or a pandas frame."""


def columns_of(table: Table) -> Columns:
    """The columns by name; missing values of a frame (NA, NaN, NaT) are None."""
    if isinstance(table, Mapping):
        return table
    present = table.notna()
    return {
        str(name): [v if p else None for v, p in zip(table[name], present[name], strict=True)]
        for name in table.columns
    }


def answer_of(fit: LawFit, predicted: list[dict[str, Any]]) -> dict[str, Any]:
    """All of a fit as plain JSON values, with its formula and what was predicted from it."""
    answer = {key: value for key, value in fit.to_json().items() if key != "schema"}
    return answer | {"formula": fit.formula(), "predictions": predicted}


def table_observations(
    table: Table,
    *,
    axes: Sequence[str],
    error: str,
    group: str | None = None,
    weight: str | None = None,
    std_error: str | None = None,
    cost: str | None = None,
    drop: Sequence[str] = (),
) -> Observations:
    """The columns as observations; rows are judged when they are fitted.

    Args:
        table: the runs.
        axes: columns that the law depends on.
        error: column of the metric.
        group: column whose equal values mark dependent runs (seeds or checkpoints of one trial).
        weight: column of relative row weights.
        std_error: column of each error's standard error.
        cost: column by which selection holds out the costliest rows.
        drop: rules by which rows are left out, `loss>10` or `status=diverged`; each is said with its rows.

    Raises:
        FitError: the table has no rows.
        InputError: a value is no number, or no axis is named.
        UnknownNameError: a column is not in the table.
    """
    columns = columns_of(table)
    if not axes:
        raise InputError("a fit needs at least one axis column; name them with axes")
    if error in axes:
        raise InputError(
            f"{error} is the error itself, and no axis of its own law; name other columns"
        )
    if len(columns[_known(columns, error)]) == 0:
        raise FitError("the table has no rows; a fit needs at least 3 runs")
    names, x, remarks = _axes_of(columns, axes)
    deviations, unknown = _std_errors(columns, std_error)
    return Observations(
        axes=names,
        x=x,
        error=_numbers(columns, error),
        std_error=deviations,
        group=None if group is None else _labels(columns, group),
        weight=None if weight is None else _numbers(columns, weight),
        cost=None if cost is None else _numbers(columns, cost),
        metric=error,
        dropped=dropped_by(columns, drop),
        remarks=remarks + unknown,
    )


def _std_errors(columns: Columns, name: str | None) -> tuple[Floats | None, Remarks]:
    """A column of standard errors, 0 as not known, and what must be said of that."""
    if name is None:
        return None, ()
    values = _numbers(columns, name)
    zeros = int((values == 0).sum())
    if not zeros:
        return values, ()
    if not (values > 0).any():
        raise InputError(
            f"column {name} holds no standard error above 0; leave it out, and the residuals tell the noise"
        )
    said = (
        f"{name} is 0 in {zeros} {'row' if zeros == 1 else 'rows'}, which no measured error has: taken as not known, "
        "as the median of the others"
    )
    return np.where(values == 0, np.nan, values), (("std-error-zero", said),)


def _axes_of(columns: Columns, axes: Sequence[str]) -> tuple[tuple[str, ...], Floats, Remarks]:
    """Names of the law's axes, their values (n, k), and what must be said: zeros, expressions of columns."""
    names, values, remarks = [], [], []
    known = [str(column) for column in columns]
    for axis in axes:
        numbers = {name: _numbers(columns, name) for name in columns_in(axis, known)}
        name, said = called(axis, known), ""
        if axis in numbers:
            name, said = offset_for(axis, numbers[axis])
        names.append(name)
        values.append(axis_values(name, numbers))
        remarks += [("axis-offset", said)] * bool(said)
    return tuple(names), np.stack(values, axis=1), tuple(remarks)


def predictions(fit: LawFit, table: Table, level: float = 0.9) -> list[dict[str, Any]]:
    """One record for each row: the mean's interval, a new run's, and the distance outside the data.

    Axes with a best value inside may be left out of the table, or of a row: they are then at their best. `best` says
    where each is best at the row's other axes, with its interval; {} where none is.

    Raises:
        InputError: an axis value is missing or not positive; the row is named.
        UnknownNameError: an axis is not among the columns.
    """
    x = points_of(fit, columns_of(table))
    _check_points(fit, x)
    if len(x) == 0:
        return []
    mean, run = fit.predict(x, level), fit.predict(x, level, "new-run")
    best = best_values(fit, x, level) if best_axes(fit) else ()
    return [
        {
            "row": row,
            **dict(zip(fit.axes, x[row].tolist(), strict=True)),
            "mean": float(mean.mean[row]),
            "low": float(mean.low[row]),
            "high": float(mean.high[row]),
            "new_run_low": float(run.low[row]),
            "new_run_high": float(run.high[row]),
            "distance": dict(zip(fit.axes, mean.distance[row].tolist(), strict=True)),
            "best": {one.axis: _best_at(one, row) for one in best},
        }
        for row in range(len(x))
    ]


def _best_at(one: BestValues, row: int) -> dict[str, float]:
    ends = {"value": one.value, "low": one.low, "high": one.high}
    return {name: float(values[row]) for name, values in ends.items()}


def _check_points(fit: LawFit, x: Floats) -> None:
    bad = ~(np.isfinite(x) & (x > 0))
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise InputError(
            f"row {row + 1} to predict has {fit.axes[column]} {x[row, column]:g}; axes must be positive"
        )


def points_of(fit: LawFit, columns: Columns) -> Floats:
    """The law's axes side by side, shape (n, k).

    Those with a best value inside are there where they are left out, as a column or, blank, in a row.

    Raises:
        UnknownNameError: another axis is not among the columns.
    """
    known, best = [str(column) for column in columns], best_axes(fit)
    left_out = [axis for axis in best if not parts_of(axis, known)]
    given = [axis for axis in fit.axes if axis not in left_out]
    if not best:
        return numbers_of(columns, given)
    x = np.full((len(next(iter(columns.values()), ())), len(fit.axes)), np.nan)
    for axis in given:
        x[:, fit.axes.index(axis)] = _axis(columns, axis)
    tuned = [fit.axes.index(axis) for axis in best]
    blank = np.zeros(x.shape, dtype=bool)
    blank[:, tuned] = np.isnan(x[:, tuned])
    # A row with another axis that is no number, or not positive, is told by that axis.
    x[blank] = 1.0
    usable = (np.isfinite(x) & (x > 0)).all(axis=1)
    for one in best_values(fit, x[usable]) if blank.any() else ():
        column = fit.axes.index(one.axis)
        x[usable, column] = np.where(blank[usable, column], one.value, x[usable, column])
    return x


def flat_prediction(row: dict[str, Any]) -> dict[str, Any]:
    """A prediction without nested values: `distance_AXIS`, `best_AXIS` with `_low` and `_high`."""
    plain = {k: v for k, v in row.items() if k not in ("distance", "best")}
    for axis, value in row["distance"].items():
        plain[f"distance_{axis}"] = value
    for axis, ends in row["best"].items():
        plain |= {
            f"best_{axis}": ends["value"],
            f"best_{axis}_low": ends["low"],
            f"best_{axis}_high": ends["high"],
        }
    return plain


def prediction_frame(fit: LawFit, table: Table, level: float = 0.9) -> pd.DataFrame:
    """`predictions` as a pandas frame: a row for each of the table's, `distance` as `distance_AXIS`.

    >>> import pandas as pd
    >>> runs = pd.DataFrame({"size": [1, 2, 4, 8, 16], "wer": [0.5, 0.4, 0.33, 0.28, 0.245]})
    >>> from planner.laws.fit_law import fit_law
    >>> fit = fit_law(table_observations(runs, axes=["size"], error="wer"), law="additive")
    >>> list(prediction_frame(fit, runs[:2]).columns)
    ['size', 'mean', 'low', 'high', 'new_run_low', 'new_run_high', 'distance_size']

    Raises:
        InputError: an axis value is missing or not positive; the row is named.
        UnknownNameError: an axis is not among the columns.
    """
    import pandas as pd

    plain = ["mean", "low", "high", "new_run_low", "new_run_high"]
    rows = [flat_prediction(row) for row in predictions(fit, table, level)]
    names = [*fit.axes, *plain, *(f"distance_{axis}" for axis in fit.axes)]
    names += [f"best_{axis}{end}" for axis in best_axes(fit) for end in ("", "_low", "_high")]
    index = None if isinstance(table, Mapping) else table.index
    return pd.DataFrame(rows, columns=names, index=index)


def numbers_of(columns: Columns, names: Sequence[str]) -> Floats:
    """Those axes side by side, columns or expressions of them, shape (n, len(names))."""
    return np.stack([_axis(columns, name) for name in names], axis=1)


def _axis(columns: Columns, name: str) -> Floats:
    parts = columns_in(name, [str(column) for column in columns])
    return axis_values(name, {part: _numbers(columns, part) for part in parts})


def _known(columns: Columns, name: str) -> str:
    names = [str(column) for column in columns]
    if name not in names:
        raise UnknownNameError("column", name, names)
    return name


def _numbers(columns: Columns, name: str) -> Floats:
    values = columns[_known(columns, name)]
    made = np.empty(len(values))
    for row, value in enumerate(values):
        try:
            made[row] = _number_of(value, name)
        except (TypeError, ValueError) as problem:
            said = f": {problem}" if isinstance(problem, InputError) else ""
            raise InputError(
                f"column {name} must hold numbers, row {row + 1} holds {value!r}{said}"
            ) from None
    return made


def _number_of(value: Any, column: str) -> float:
    if value is None:
        return float("nan")
    # Python reads 1_000 and inf as numbers; a table means neither.
    return figure(value, column) if isinstance(value, str) else float(value)


def _labels(columns: Columns, name: str) -> NDArray[np.int64]:
    values = [str(value) for value in columns[_known(columns, name)]]
    return np.unique(np.array(values), return_inverse=True)[1].astype(np.int64).reshape(-1)
