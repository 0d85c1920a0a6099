"""One law for the many curves of a table: a CSV file in, every group's law and predictions out, with no database."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from planner.errors import InputError, UnknownNameError
from planner.laws.dropping import without_copies
from planner.laws.groups.group_law import LEAST_EFFECTIVE, GroupLaw, fit_groups
from planner.laws.table import numbers_of, table_observations
from planner.service.own_table import Columns, Rows, group_of, label_of, named_groups, read_columns

SCHEMA = "group-law/1"
MOST_OFFSETS = 8
"""Groups of which offsets are told: more are a population, whose spread says it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OwnGroups:
    """The groups of a table with what was predicted for them."""

    column: str
    law: GroupLaw
    predicted: Rows
    warnings: tuple[dict[str, str], ...]

    def to_json(self) -> dict[str, Any]:
        """The answer: what groups share, every group's parameters, predictions."""
        found, law = self.law.population, self.law
        drawn = found.shared
        return {
            "schema": SCHEMA,
            "law": law.law,
            "group_law": self.column,
            "formula": law.coordinates.form.formula(),
            "scales": dict(zip(law.coordinates.form.axes, law.scales.tolist(), strict=True)),
            "metric": law.metric,
            "n_groups": len(law.names),
            "n_rows": sum(law.n_rows),
            "level": law.level,
            "sigma": found.sigma,
            # Of the draws that intervals rest on, so that the one explains the other.
            "shared": [
                {
                    "name": name,
                    "mean": float(drawn.mu[:, i].mean()),
                    "std_error": float(drawn.mu[:, i].std()),
                    "spread": float(np.median(drawn.tau[:, i])),
                }
                for i, name in enumerate(law.coordinates.names())
            ],
            "n_effective": drawn.effective,
            "parameters": [dataclasses.asdict(p) for p in law.parameters()],
            "offsets": self._offsets(),
            "predictions": self.predicted,
            "status": self._status(),
            "exclusions": [dataclasses.asdict(e) for e in law.exclusions],
            "warnings": [*self.warnings, *self._few_draws()],
        }

    def _status(self) -> str:
        if not self.law.population.converged:
            return "not-converged"
        return "few-draws" if self._few_draws() else "converged"

    def _few_draws(self) -> list[dict[str, str]]:
        """That intervals rest on too few draws to be told twice alike."""
        found = self.law.population.shared.effective
        if found >= LEAST_EFFECTIVE:
            return []
        message = (
            f"what groups share rests on {found:.0f} effective draws, where {LEAST_EFFECTIVE:g} are wanted: groups "
            "differ hardly or rows scatter little, and another --seed tells other intervals"
        )
        return [{"code": "few-draws", "message": message}]

    def _offsets(self) -> Rows:
        """Levels of the groups over the first one's, of tables with few groups: of families, not of test sets."""
        first, *rest = self.law.names
        if len(rest) >= MOST_OFFSETS:
            return []
        return [dataclasses.asdict(self.law.offset(name, first)) for name in rest]

    def listing(self, of: str | None) -> Rows:
        """Predictions where there are some, else the parameters of every group."""
        if of not in (None, "predictions", "parameters"):
            raise InputError(f"a law of groups lists predictions or parameters, not {of}")
        if self.predicted and of != "parameters":
            return self.predicted
        return [dataclasses.asdict(p) for p in self.law.parameters()]


def group_file(
    path: str,
    axes: Sequence[str],
    column: str,
    *,
    error: str,
    predict: str | None,
    warn_beyond: float,
    weight: str | None = None,
    level: float = 0.9,
    link: str = "log",
    seed: int = 0,
) -> OwnGroups:
    """Fit one law to the groups of a CSV file and predict the rows of another.

    Args:
        path: of the table, or `-`.
        axes: columns that the law depends on.
        column: whose equal values make a group.
        error: column of the metric.
        predict: of the rows to predict; one whose group is empty, or not in the table, is of a new group.
        warn_beyond: factor outside the data from which a prediction is warned of.
        weight: column of relative row weights.
        level: of all intervals.
        link: `log`.
        seed: of the draws.

    Raises:
        FitError: there are fewer than two groups, or no law exists.
        InputError: a cell is no number.
        UnknownNameError: a column does not exist.
    """
    columns = read_columns(path, [*axes, error, *filter(None, [weight])])
    named, notes = named_groups(columns, column, "--group-law", [error, *axes])
    labels = [label_of(v) for v in named[column]]
    table = without_copies(table_observations(named, axes=axes, error=error, weight=weight), labels)
    law = fit_groups(table, labels, level=level, link=link, seed=seed)
    rows = [] if predict is None else _predicted(law, read_columns(predict, axes), column)
    notes += _left_out(law) + _beyond(rows, warn_beyond)
    return OwnGroups(column=column, law=law, predicted=rows, warnings=notes)


def _left_out(law: GroupLaw) -> tuple[dict[str, str], ...]:
    if not law.exclusions:
        return ()
    message = f"rows left out: {len(law.exclusions)}, the first: {law.exclusions[0].reason}"
    return ({"code": "rows-excluded", "message": message},)


def _predicted(law: GroupLaw, columns: Columns, column: str) -> Rows:
    if column not in columns:
        raise UnknownNameError(
            "column", column, list(columns), remedy="leave its cells empty for a new group"
        )
    x = numbers_of(columns, law.axes)
    bad = ~(np.isfinite(x) & (x > 0)).all(axis=1)
    if bad.any():
        raise InputError(
            f"row {int(np.argmax(bad)) + 1} to predict has an axis that is not positive"
        )
    labels = [group_of(v) for v in columns[column]]
    mean, low, high = law.predict(labels, x)
    _, run_low, run_high = law.predict(labels, x, "new-run")
    beyond = law.distance(x)
    return [
        {"row": i + 1, column: labels[i] or "", "known": labels[i] in law.names,
         **dict(zip(law.axes, x[i].tolist(), strict=True)), "mean": float(mean[i]), "low": float(low[i]),
         "high": float(high[i]), "new_run_low": float(run_low[i]), "new_run_high": float(run_high[i]),
         "beyond": float(beyond[i])}
        for i in range(len(x))
    ]  # fmt: skip


def _beyond(rows: Rows, factor: float) -> tuple[dict[str, str], ...]:
    return tuple(
        {"code": "beyond-data",
         "message": f"row {r['row']} to predict lies {r['beyond']:.3g}x outside the data: its interval rests on the "
         "form of the law"}
        for r in rows
        if r["beyond"] > factor
    )  # fmt: skip
