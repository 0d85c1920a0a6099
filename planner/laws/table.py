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
from planner.laws.fit_law import fit_law
from planner.laws.observations import Floats, Observations
from planner.laws.result import LawFit
from planner.words.table_text import figure

if TYPE_CHECKING:
    import pandas as pd

Columns = Mapping[str, Sequence[Any]]
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


def fit_table(
    table: Table,
    *,
    axes: Sequence[str],
    error: str,
    group: str | None = None,
    weight: str | None = None,
    std_error: str | None = None,
    cost: str | None = None,
    law: str = "auto",
    loss: str = "auto",
    bootstrap: int = 0,
    predict: Table | None = None,
    level: float = 0.9,
    link: str = "log",
    seed: int = 0,
) -> dict[str, Any]:
    """Fit a law to columns of a table and predict the rows of another one.

    The names of columns are those of `table_observations`, the options those of `fit_law`; `predict` is another
    table with the axes' columns, or None.

    Returns:
        `law`, `formula`, `parameters`, `objective` (sum over rows of weight times loss of the log
        residual), `status`, `warnings`, `forms`, `predictions` and what else the fit carries.

    Raises:
        FitError: no estimate exists.
        InputError: a value is no number, or an option is not known.
        UnknownNameError: a column is not in its table.
    """
    runs = table_observations(
        table, axes=axes, error=error, group=group, weight=weight, std_error=std_error, cost=cost
    )
    fit = fit_law(runs, law=law, loss=loss, bootstrap=bootstrap, level=level, link=link, seed=seed)
    return answer_of(fit, [] if predict is None else predictions(fit, predict, level))


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

    Raises:
        FitError: the table has no rows.
        InputError: a value is no number, or no axis is named.
        UnknownNameError: a column is not in the table.
    """
    columns = columns_of(table)
    if not axes:
        raise InputError("a fit needs at least one axis column; name them with axes")
    if len(columns[_known(columns, error)]) == 0:
        raise FitError("the table has no rows; a fit needs at least 3 runs")
    return Observations(
        axes=tuple(axes),
        x=numbers_of(columns, axes),
        error=_numbers(columns, error),
        std_error=None if std_error is None else _numbers(columns, std_error),
        group=None if group is None else _labels(columns, group),
        weight=None if weight is None else _numbers(columns, weight),
        cost=None if cost is None else _numbers(columns, cost),
        metric=error,
    )


def predictions(fit: LawFit, table: Table, level: float = 0.9) -> list[dict[str, Any]]:
    """One record for each row: the mean's interval, a new run's, and the distance outside the data.

    Raises:
        InputError: an axis value is missing or not positive; the row is named.
        UnknownNameError: an axis is not among the columns.
    """
    x = numbers_of(columns_of(table), fit.axes)
    bad = ~(np.isfinite(x) & (x > 0))
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise InputError(
            f"row {row + 1} to predict has {fit.axes[column]} {x[row, column]:g}; axes must be positive"
        )
    if len(x) == 0:
        return []
    mean, run = fit.predict(x, level), fit.predict(x, level, "new-run")
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
        }
        for row in range(len(x))
    ]


def prediction_frame(fit: LawFit, table: Table, level: float = 0.9) -> pd.DataFrame:
    """`predictions` as a pandas frame: a row for each of the table's, `distance` as `distance_AXIS`.

    >>> import pandas as pd
    >>> runs = pd.DataFrame({"size": [1, 2, 4, 8, 16], "wer": [0.5, 0.4, 0.33, 0.28, 0.245]})
    >>> fit = fit_law(table_observations(runs, axes=["size"], error="wer"), law="additive")
    >>> list(prediction_frame(fit, runs[:2]).columns)
    ['size', 'mean', 'low', 'high', 'new_run_low', 'new_run_high', 'distance_size']

    Raises:
        InputError: an axis value is missing or not positive; the row is named.
        UnknownNameError: an axis is not among the columns.
    """
    import pandas as pd

    plain = ["mean", "low", "high", "new_run_low", "new_run_high"]
    rows = [
        {**{k: row[k] for k in (*fit.axes, *plain)},
         **{f"distance_{axis}": row["distance"][axis] for axis in fit.axes}}
        for row in predictions(fit, table, level)
    ]  # fmt: skip
    names = [*fit.axes, *plain, *(f"distance_{axis}" for axis in fit.axes)]
    index = None if isinstance(table, Mapping) else table.index
    return pd.DataFrame(rows, columns=names, index=index)


def numbers_of(columns: Columns, names: Sequence[str]) -> Floats:
    """Those columns side by side, shape (n, len(names))."""
    return np.stack([_numbers(columns, name) for name in names], axis=1)


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
