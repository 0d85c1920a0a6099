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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import numpy as np

from planner.errors import InputError, UnknownNameError
from planner.laws.best import best_values
from planner.laws.compare.compare_laws import compare_laws
from planner.laws.compare.records import Asked, LawComparison
from planner.laws.control import constraints
from planner.laws.dropping import without_copies
from planner.laws.fit_law import fit_law
from planner.laws.observations import Observations
from planner.laws.result import SCHEMA, LawFit
from planner.laws.row_records import row_records
from planner.laws.table import (
    Table,
    columns_of,
    points_of,
    prediction_frame,
    table_observations,
)

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from planner.laws.allocate.cost import Cost
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
        cost: str | Cost,
        budgets: Sequence[float] = (),
        *,
        beyond: float = 1.0,
        bootstrap: int = 1000,
        seed: int = 0,
    ) -> Allocation:
        """Where each budget should go, by three approaches side by side; `allocate.rows` makes rows of it.

        Args:
            cost: a formula of the axes, `6*n*d`, or a cost of one's own (`own_allocation.said_cost` has our FLOPs).
            budgets: in its unit; none: three over the table's costs.
            beyond: factor by which a budget may leave the table's costs.
            bootstrap: resamples.
            seed: of resamples and draws.

        Raises:
            FitError: the law leaves an axis out.
            InputError: the law was loaded without its table, or the cost is no formula of its axes.
            OutsideDataError: a budget lies outside the table's costs.
        """
        from planner.laws.allocate.allocation import Resampling, allocate
        from planner.laws.allocate.cost import cost_of_formula

        spent = cost_of_formula(cost, self.law.axes) if isinstance(cost, str) else cost
        table = self._table()
        how = Resampling(beyond=beyond, bootstrap=bootstrap, seed=seed)
        return allocate(table, self.law, spent, budgets, how)

    def best(self, table: Table, level: float | None = None) -> pd.DataFrame:
        """Where each axis with a best value inside is best at the rows' other axes, with intervals.

        Args:
            table: with the other axes; those that are best somewhere may be left out.
            level: probability of the intervals; None: that of the fit.

        Raises:
            FitError: no form of the fit has a best value inside an axis.
            UnknownNameError: an axis is not among the columns.
        """
        import pandas as pd

        x = points_of(self.law, columns_of(table))
        found = best_values(self.law, x, self.law.level if level is None else level)
        columns: dict[str, Any] = {}
        for one in found:
            columns |= {
                one.axis: one.value,
                f"{one.axis}_low": one.low,
                f"{one.axis}_high": one.high,
            }
        return pd.DataFrame(columns, index=getattr(table, "index", None))

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


class FitOptions(TypedDict, total=False):
    """What `fit` takes besides the table, its error and its axes.

    Columns: `group`, whose equal values mark dependent rows; `weight`, relative; `std_error`, of each error;
    `cost`, by which selection holds out the costliest rows.

    `law`: name of a form, a formula (`E + A*n^-a`), or `auto`; `also`: laws of one's own that `auto` tries
    besides its own. `loss`: `log`, `huber:auto`, `huber:DELTA`, or `auto`. `bootstrap`: replicates of the
    parameters. `level`: probability of all intervals. `link`: `log`, `odds` or `signed`. `seed`: of everything
    random. `fix`, `bounds`, `priors`: of parameters by name (`planner.laws.control`). `drop`: rules by which
    rows are left out, `loss>10`.
    """

    group: str | None
    weight: str | None
    std_error: str | None
    cost: str | None
    law: str
    loss: str
    bootstrap: int
    level: float
    link: str
    seed: int
    also: Sequence[str]
    fix: Mapping[str, float] | Sequence[str]
    bounds: Mapping[str, tuple[float | None, float | None]] | Sequence[str]
    priors: Mapping[str, tuple[float, float]] | Sequence[str]
    drop: Sequence[str]


OF_COLUMNS = ("group", "weight", "std_error", "cost", "drop")
OF_PARAMETERS = ("fix", "bounds", "priors")


def fit(
    table: Table,
    *,
    error: str,
    axes: Sequence[str],
    key: str | None = None,
    **options: Unpack[FitOptions],
) -> TableLaw:
    """Fit a law to a frame or to columns by name.

    Args:
        table: the runs, a row each.
        error: column of the metric that the law predicts, lower is better.
        axes: columns that it depends on.
        key: column that names a row; None: a frame's index, else the row's number from 1.
        options: as in `FitOptions`.

    >>> sizes = [1, 2, 4, 8, 16, 32]
    >>> found = fit({"n": sizes, "loss": [2 + 3 * n**-0.5 for n in sizes]}, error="loss", axes=["n"])
    >>> round(float(found.predict({"n": [64]})["mean"].iloc[0]), 3)
    2.375

    Raises:
        FitError: no estimate exists.
        InputError: a value is no number, or an option is not known.
        UnknownNameError: a column is not in its table, or a parameter not in the law.
    """
    given: dict[str, Any] = {"loss": "auto", **options}
    of_columns = {name: given.pop(name) for name in OF_COLUMNS if name in given}
    known = constraints(**{name: given.pop(name) for name in OF_PARAMETERS if name in given})
    runs = without_copies(table_observations(table, axes=axes, error=error, **of_columns))
    found = fit_law(runs, known=known, **given)
    return TableLaw(law=found, observations=runs, keys=keys_of(table, key))


def difference(
    table: Table, *, error: str, axes: Sequence[str], by: str, **options: Any
) -> LawComparison:
    """Are the laws of a table's groups different: parameters, exponents, curves, and where these cross.

    Args:
        table: the runs, a row each.
        error: column of the metric.
        axes: columns that it depends on.
        by: column whose equal values make a group.
        options: `group`, `weight` and `drop` as in `fit`; others as in `planner.laws.compare.records.Asked`.

    `planner.laws.compare.rows.pair_rows` makes rows of it.

    Raises:
        FitError: fewer than two groups, or one does not carry the law.
        UnknownNameError: a column, a group or an axis does not exist.
    """
    columns = columns_of(table)
    if by not in columns:
        raise UnknownNameError("column", by, [str(name) for name in columns])
    of_table = {name: options.pop(name) for name in ("group", "weight", "drop") if name in options}
    labels = [str(v) for v in columns[by]]
    runs = without_copies(table_observations(table, axes=axes, error=error, **of_table), labels)
    return compare_laws(runs, labels, Asked(by=by, **options))


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
