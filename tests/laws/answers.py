"""A table's fit as the command answers it."""

from __future__ import annotations

from typing import Any

from planner.laws.table import Table, answer_of, predictions
from planner.laws.table_law import fit


def fit_table(table: Table, *, predict: Table | None = None, **options: Any) -> dict[str, Any]:
    """All of a fit as plain JSON values, with the predictions of another table's rows."""
    found = fit(table, **options).law
    return answer_of(found, [] if predict is None else predictions(found, predict, found.level))
