"""Anybody's table: columns by name in, a fit and predictions as plain JSON values out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.errors import FitError, InputError, UnknownNameError
from planner.laws.fit import fit_law
from planner.laws.observations import Floats, Observations
from planner.laws.result import LawFit

Columns = Mapping[str, Sequence[Any]]
"""Column name to values; a pandas frame is one too."""


def fit_table(
    columns: Columns,
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
    predict: Columns | None = None,
    level: float = 0.9,
    link: str = "log",
    seed: int = 0,
) -> dict[str, Any]:
    """Fit a law to columns of a table and predict the rows of another one.

    Args:
        columns: the table of runs.
        axes: columns that the law depends on.
        error: column of the metric.
        group: column whose equal values mark dependent runs (seeds or checkpoints of one trial).
        weight: column of relative row weights.
        std_error: column of each error's standard error.
        cost: column by which selection holds out the costliest rows.
        law: name of a form, or `auto`.
        loss: `log`, `huber:auto`, `huber:DELTA`, or `auto`: `huber:auto` from 50 rows on, else `log`.
        bootstrap: replicates, 0 for none.
        predict: another table with the axes' columns, or None.
        level: probability of all intervals.
        link: `log`, `odds` or `signed`.
        seed: of everything random.

    Returns:
        `law`, `formula`, `parameters`, `objective` (sum over rows of weight times loss of the log
        residual), `status`, `warnings`, `forms`, `predictions` and what else the fit carries.

    Raises:
        FitError: no estimate exists.
        InputError: a value is no number, or an option is not known.
        UnknownNameError: a column is not in its table.
    """
    table = table_observations(
        columns, axes=axes, error=error, group=group, weight=weight, std_error=std_error, cost=cost
    )
    fit = fit_law(table, law=law, loss=loss, bootstrap=bootstrap, level=level, link=link, seed=seed)
    answer = {key: value for key, value in fit.to_json().items() if key != "schema"}
    answer["formula"] = fit.formula()
    answer["predictions"] = [] if predict is None else predictions(fit, predict, level)
    return answer


def table_observations(
    columns: Columns,
    *,
    axes: Sequence[str],
    error: str,
    group: str | None = None,
    weight: str | None = None,
    std_error: str | None = None,
    cost: str | None = None,
) -> Observations:
    """The columns as observations; rows are judged when they are fitted.

    Raises:
        FitError: the table has no rows.
        InputError: a value is no number, or no axis is named.
        UnknownNameError: a column is not in the table.
    """
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


def predictions(fit: LawFit, columns: Columns, level: float = 0.9) -> list[dict[str, Any]]:
    """One record for each row: the mean's interval, a new run's, and the distance outside the data.

    Raises:
        InputError: an axis value is missing or not positive; the row is named.
        UnknownNameError: an axis is not among the columns.
    """
    x = numbers_of(columns, fit.axes)
    bad = ~(np.isfinite(x) & (x > 0))
    if bad.any():
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise InputError(
            f"row {row} to predict has {fit.axes[column]} {x[row, column]:g}; axes must be positive"
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
            made[row] = float("nan") if value is None or value == "" else float(value)
        except (TypeError, ValueError):
            raise InputError(
                f"column {name} must hold numbers, row {row} holds {value!r}"
            ) from None
    return made


def _labels(columns: Columns, name: str) -> NDArray[np.int64]:
    values = [str(value) for value in columns[_known(columns, name)]]
    return np.unique(np.array(values), return_inverse=True)[1].astype(np.int64).reshape(-1)
