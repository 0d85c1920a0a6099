"""Are the laws of a table's groups different: a CSV file in, every pair of groups out, with no database."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from planner.errors import InputError
from planner.laws.compare.compare_laws import compare_laws
from planner.laws.compare.records import Asked, LawComparison
from planner.laws.compare.rows import pair_rows
from planner.laws.dropping import without_copies
from planner.laws.table import table_observations
from planner.service.own_table import Rows, label_of, named_groups, read_table
from planner.words.table_text import figure

SCHEMA = "law-comparison/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnDifference:
    """A comparison with what was said of the table as it was read."""

    found: LawComparison
    warnings: tuple[dict[str, str], ...]

    def to_json(self) -> dict[str, Any]:
        """The whole answer."""
        plain = dataclasses.asdict(self.found)
        notes = [{"code": "unlike-scatter", "message": note} for note in plain.pop("notes")]
        return {"schema": SCHEMA, **plain, "warnings": [*self.warnings, *notes]}

    def listing(self) -> Rows:
        """A row for each pair and question."""
        return pair_rows(self.found)


def difference_file(
    path: str, axes: Sequence[str], by: str, *, error: str, at: Sequence[str] = (), **options: Any
) -> OwnDifference:
    """Compare the laws of a CSV file's groups.

    Args:
        path: of the file, or `-`.
        axes: columns that the law depends on.
        by: column whose equal values make a group.
        error: column of the metric.
        at: values of other axes where curves may cross, `tokens=1e10`.
        options: `group`, `weight`, `drop` of the table; `law`, `loss`, `level`, `link`, `along`, `beyond`,
            `reference`, `seed` of the comparison.

    Raises:
        FitError: fewer than two groups, or one does not carry the law.
        InputError: a cell is no number, or `at` is no value.
        UnknownNameError: a column, a group or an axis does not exist.
    """
    of_table = {name: options.pop(name) for name in ("group", "weight", "drop") if name in options}
    columns, notes = read_table(path, [*axes, error, *filter(None, [of_table.get("weight")])])
    columns, unnamed = named_groups(columns, by, "--by", [error, *axes])
    labels = [label_of(value) for value in columns[by]]
    table = without_copies(table_observations(columns, axes=axes, error=error, **of_table), labels)
    asked = Asked(by=by, held=dict(_held(text) for text in at), **options)
    return OwnDifference(found=compare_laws(table, labels, asked), warnings=(*notes, *unnamed))


def _held(text: str) -> tuple[str, float]:
    name, equals, value = text.partition("=")
    if not (equals and name.strip()):
        raise InputError(f"--at reads tokens=1e10, got {text!r}")
    number = figure(value, name.strip())
    if not number > 0:
        raise InputError(f"--at {name.strip()} must be positive, got {number:g}")
    return name.strip(), number
