"""A law of anybody's table as Python's users hold it: pandas in and out.

    from planner import laws
    fit = laws.fit(frame, error="loss", axes=["n", "d"])
    fit.predict(next)
    fit.plot()

The fourth way in beside command, HTTP and notebook; the numbers are those of `soundscale fit table`.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.errors import InputError, UnknownNameError
from planner.laws.fit_law import fit_law
from planner.laws.forms.link import Link
from planner.laws.influence import Influence, influence
from planner.laws.observations import Observations, usable_rows
from planner.laws.result import SCHEMA, LawFit
from planner.laws.table import Table, columns_of, prediction_frame, table_observations

_PREDICTED = ("predicted", "low", "high", "residual")
_INFLUENCE = tuple(field.name for field in dataclasses.fields(Influence))

if TYPE_CHECKING:
    from collections.abc import Sequence

    import altair as alt
    import pandas as pd

    from planner.laws.allocate.records import Allocation


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TableLaw:
    """A law and, unless it was loaded, the table that it was fitted to.

    Attributes:
        law: the fit itself; its record says what each field is.
        observations: the table, or None for a law that was loaded from its file.
        keys: of each row as given: its number from 1, the values of the key column, or a frame's index.
    """

    law: LawFit
    observations: Observations | None = None
    keys: tuple[Any, ...] = ()

    @property
    def formula(self) -> str:
        """The law with its numbers, to six digits."""
        return self.law.formula()

    @property
    def parameters(self) -> pd.DataFrame:
        """Parameters with their intervals, a row each, by name."""
        import pandas as pd

        rows = [dataclasses.asdict(p) for p in self.law.parameters]
        return pd.DataFrame(rows).set_index("name")

    def predict(self, table: Table, level: float | None = None) -> pd.DataFrame:
        """The law at the rows of another table, with its index.

        Args:
            table: a frame or columns by name, with the law's axes.
            level: probability of the intervals; None: that of the fit.

        Returns:
            The axes, `mean` with `low` and `high`, `new_run_low` and `new_run_high`, `distance_AXIS` (ln),
            and `beyond`, the factor by which the farthest axis leaves the data (1 inside).

        Raises:
            InputError: an axis value is missing or not positive; the row is named.
            UnknownNameError: an axis is not among the columns.
        """
        frame = prediction_frame(self.law, table, self.law.level if level is None else level)
        distances = frame[[f"distance_{axis}" for axis in self.law.axes]]
        return frame.assign(beyond=np.exp(distances.max(axis=1).astype(float)))

    def rows(self) -> pd.DataFrame:
        """Every row of the table with what the law says of it, keyed: `row_records` as a frame.

        Raises:
            InputError: the law was loaded without its table.
        """
        import pandas as pd

        return pd.DataFrame(row_records(self.law, self._table(), self.keys))

    def plot(self, *, width: int = 260) -> alt.VConcatChart:
        """Measured against predicted, the law and the residuals along each axis, and its extrapolation.

        Raises:
            InputError: the law was loaded without its table.
            MissingResourceError: Altair is not installed.
        """
        from planner.report.table_charts import chart_of

        return chart_of(self._table(), self.law, width=width)

    def allocate(
        self,
        cost: str,
        budgets: Sequence[float] = (),
        *,
        beyond: float = 1.0,
        bootstrap: int = 1000,
        seed: int = 0,
    ) -> Allocation:
        """Where each budget should go, by three approaches side by side; `allocate.rows` makes rows of it.

        Args:
            cost: a formula of the axes, `6*n*d`.
            budgets: in its unit; none: three over the table's costs.
            beyond: factor by which a budget may leave the table's costs.
            bootstrap: resamples.
            seed: of resamples and draws.

        Raises:
            FitError: the law leaves an axis out.
            InputError: the law was loaded without its table, or the cost is no formula of its axes.
            OutsideDataError: a budget lies outside the table's costs.
        """
        from planner.laws.allocate.allocation import allocate
        from planner.laws.allocate.cost import cost_of_formula

        spent, table = cost_of_formula(cost, self.law.axes), self._table()
        return allocate(
            table, self.law, spent, budgets, beyond=beyond, bootstrap=bootstrap, seed=seed
        )

    def latex(self) -> str:
        """Formula and table of parameters as LaTeX."""
        from planner.report.latex import latex

        return latex(self.law)

    def save(self, path: str | Path) -> None:
        """Write the law as JSON: `load` and `soundscale fit predict` need no data to predict from it."""
        text = json.dumps(self.law.to_json(), indent=1, allow_nan=False)
        Path(path).write_text(text + "\n", encoding="utf-8")

    def _table(self) -> Observations:
        if self.observations is None:
            raise InputError(
                "this law was loaded without its table; fit the table again for its rows"
            )
        return self.observations


def fit(
    table: Table,
    *,
    error: str,
    axes: Sequence[str],
    key: str | None = None,
    group: str | None = None,
    weight: str | None = None,
    std_error: str | None = None,
    cost: str | None = None,
    law: str = "auto",
    loss: str = "auto",
    bootstrap: int = 0,
    level: float = 0.9,
    link: str = "log",
    seed: int = 0,
    also: Sequence[str] = (),
) -> TableLaw:
    """Fit a law to a frame or to columns by name.

    Args:
        table: the runs, a row each.
        error: column of the metric that the law predicts, lower is better.
        axes: columns that it depends on.
        key: column that names a row; None: a frame's index, else the row's number from 1.
        group: column whose equal values mark dependent rows.
        weight: column of relative row weights.
        std_error: column of each error's standard error.
        cost: column by which selection holds out the costliest rows.
        law: name of a form, a formula (`E + A*n^-a`), or `auto`.
        loss: `log`, `huber:auto`, `huber:DELTA`, or `auto`.
        bootstrap: replicates of the parameters; 0 for none.
        level: probability of all intervals.
        link: `log`, `odds` or `signed`.
        seed: of everything random.
        also: laws of one's own that `auto` tries besides its own.

    >>> sizes = [1, 2, 4, 8, 16, 32]
    >>> found = fit({"n": sizes, "loss": [2 + 3 * n**-0.5 for n in sizes]}, error="loss", axes=["n"])
    >>> round(float(found.predict({"n": [64]})["mean"].iloc[0]), 3)
    2.375

    Raises:
        FitError: no estimate exists.
        InputError: a value is no number, or an option is not known.
        UnknownNameError: a column is not in its table.
    """
    runs = table_observations(
        table, axes=axes, error=error, group=group, weight=weight, std_error=std_error, cost=cost
    )
    found = fit_law(
        runs,
        law=law,
        loss=loss,
        bootstrap=bootstrap,
        level=level,
        link=link,
        seed=seed,
        also=tuple(also),
    )
    return TableLaw(law=found, observations=runs, keys=keys_of(table, key))


def keys_of(table: Table, key: str | None) -> tuple[Any, ...]:
    """What each row of a table goes by.

    Raises:
        UnknownNameError: the key is no column.
    """
    columns = columns_of(table)
    if key is not None:
        if key not in columns:
            raise UnknownNameError("column", key, [str(name) for name in columns])
        return tuple(columns[key])
    index = getattr(table, "index", None)
    n = len(next(iter(columns.values()), ()))
    return tuple(range(1, n + 1)) if index is None else tuple(index.tolist())


def load(path: str | Path) -> TableLaw:
    """The law that `TableLaw.save` or `soundscale fit table --save` wrote.

    Raises:
        InputError: the file holds no law of this version.
    """
    text = Path(path).read_text(encoding="utf-8")
    try:
        value = json.loads(text)
    except json.JSONDecodeError as problem:
        raise InputError(
            f"{path} holds no law: it is no JSON ({problem}); save one with --save"
        ) from None
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        raise InputError(f"{path} holds no law of schema {SCHEMA}; save one with fit table --save")
    return TableLaw(law=LawFit.from_json(value))


def row_records(
    fit: LawFit, observations: Observations, keys: tuple[Any, ...]
) -> list[dict[str, Any]]:
    """Every row as given: measured, predicted, residual and influence, or why it was left out.

    `row` counts from 1; `low` and `high` are the interval of a new run; `residual` is ln(measured / predicted)
    on the law's link; what `Influence` holds is of the leading form.
    """
    used = usable_rows(observations, signed=fit.link == "signed")
    reasons = {one.row: one.reason for one in fit.exclusions}
    fitted = observations.rows(used)
    band = fit.predict(fitted.x, level=fit.level, kind="new-run")
    link = Link(fit.link, fit.offset)
    off = link.forward(fitted.error) - link.forward(band.mean)
    effects = influence(observations, fit)
    found = iter(zip(band.mean, band.low, band.high, off, effects, strict=True))
    records = []
    for i, use in enumerate(used.tolist()):
        x = {a: _plain(v) for a, v in zip(observations.axes, observations.x[i], strict=True)}
        record: dict[str, Any] = {"row": i + 1, "key": keys[i], **x}
        record[observations.metric] = _plain(observations.error[i])
        if use:
            *numbers, effect = next(found)
            record |= dict(zip(_PREDICTED, map(float, numbers), strict=True))
            record |= dataclasses.asdict(effect) | {"left_out": None}
        else:
            record |= dict.fromkeys((*_PREDICTED, *_INFLUENCE)) | {
                "left_out": reasons.get(i, "not usable")
            }
        records.append(record)
    return records


def _plain(value: float) -> float | None:
    return None if not math.isfinite(value) else float(value)
