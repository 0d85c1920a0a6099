"""Compute-optimal allocation of anybody's table: a CSV file in, three approaches out, with no database."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from planner.costs.flops.ladder import flops_of
from planner.errors import InputError
from planner.laws.allocate.allocation import Resampling, allocate
from planner.laws.allocate.cost import Cost, cost_of_column, cost_of_formula
from planner.laws.allocate.records import Allocation
from planner.laws.allocate.rows import optimum_rows, replicate_rows
from planner.laws.table_law import TableLaw, fit
from planner.service.own_table import Rows, read_columns

SCHEMA = "allocation/1"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OwnAllocation:
    """An allocation with the law that its third approach rests on."""

    found: TableLaw
    allocation: Allocation

    def to_json(self) -> dict[str, Any]:
        """The answer without its replicates, which `replicates` lists."""
        plain = dataclasses.asdict(self.allocation)
        del plain["replicates"]
        law = self.found.law
        return {
            "schema": SCHEMA,
            **plain,
            "formula": law.formula(),
            "status": law.status,
            "warnings": [dataclasses.asdict(w) for w in law.warnings],
        }

    def optima(self) -> Rows:
        """A row for each approach, budget and axis."""
        return optimum_rows(self.allocation)

    def replicates(self) -> Rows:
        """A row for each replicate: the exponents of every approach; None where it has none."""
        return replicate_rows(self.allocation)


OWN_FLOPS = "flops:"
"""Beginning of a cost that is counted by us."""


def said_cost(text: str, axes: Sequence[str]) -> Cost:
    """A cost that is no column: a formula of the axes, or `flops:whisper`, the FLOPs of a window as we count them.

    >>> said_cost("flops:whisper", ["n_params", "audio_seconds"]).unit
    'FLOPs of a window'

    Raises:
        InputError: it is no formula, or the axes are none that FLOPs depend on.
        UnknownNameError: it names what is no axis, or no family.
    """
    if not text.startswith(OWN_FLOPS):
        return cost_of_formula(text, axes)
    counted = flops_of(text.removeprefix(OWN_FLOPS), tuple(axes))
    return Cost(axes=tuple(axes), text=text, of=counted, unit="FLOPs of a window")


def allocate_file(
    path: str,
    axes: Sequence[str],
    *,
    error: str,
    cost: str,
    budgets: Sequence[float],
    how: Resampling,
    **options: Any,
) -> OwnAllocation:
    """Fit a law to a CSV file and say where each budget should go.

    Args:
        path: of the file, or `-`.
        axes: two or three columns; the last is what a budget is solved for.
        error: column of the error.
        cost: a column of costs, a formula of the axes, or `flops:FAMILY`, our own counts.
        budgets: in the cost's unit; none: three over the table's own.
        how: resamples, draws, slices and how far a budget may lie outside.
        options: of the fit, as in `planner.laws.fit`.

    Raises:
        FitError: no law, or none that an optimum can be told from.
        InputError: a cell is no number, or the cost is neither a column nor a formula of the axes.
        OutsideDataError: a budget lies outside the table's costs and was not asked for with `beyond`.
    """
    numeric = [options.get(name) for name in ("weight", "std_error")]
    columns = read_columns(path, [*axes, error, cost, *filter(None, numeric)])
    column = cost if cost in columns else None
    known = None if column is not None else said_cost(cost, axes)
    found = fit(columns, error=error, axes=axes, cost=column, seed=how.seed, **options)
    table = found.observations
    if table is None or len(axes) < 2:
        raise InputError(f"an allocation needs two or three axes, got {', '.join(axes)}")
    made = allocate(table, found.law, known or cost_of_column(table, cost), budgets, how)
    return OwnAllocation(found=found, allocation=made)
