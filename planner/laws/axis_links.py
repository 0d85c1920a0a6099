"""Axes that are no plain column: expressions of columns, and offsets where a column holds zeros.

A law needs positive axes. An axis may be written as an expression, `share/(1-share)` or `n*d`, and is called by it;
a column of shares or counts with zeros becomes `(share+c)` by itself, c half its smallest value above 0.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from planner.errors import InputError, UnknownNameError
from planner.laws.expression.parse import parse
from planner.laws.expression.tree import names_of, value_of
from planner.laws.observations import Floats

LEAST_ZEROS = 2
"""Rows with a zero from which it is a level of the axis and no slip."""
LEAST_SHARE = 0.05
"""Share of the rows, likewise: a single 0 among a hundred sizes is left out, as before."""


def columns_in(axis: str, columns: Collection[str]) -> tuple[str, ...]:
    """The columns that an axis is made of; the axis alone where it is one.

    Raises:
        UnknownNameError: it is neither a column nor an expression of columns.
    """
    if axis in columns:
        return (axis,)
    names = _names(axis)
    unknown = next((n for n in names if n not in columns), axis)
    if not names or unknown in names:
        raise UnknownNameError("column", unknown, list(columns))
    return names


def parts_of(axis: str, columns: Collection[str]) -> tuple[str, ...]:
    """As `columns_in`, and those that exist where others do not."""
    return (axis,) if axis in columns else tuple(n for n in _names(axis) if n in columns)


def called(axis: str, columns: Collection[str]) -> str:
    """What an axis is called in its law: a column by its name, an expression in brackets without blanks."""
    if axis in columns:
        return axis
    bare = "".join(axis.split())
    return bare if bare.startswith("(") and bare.endswith(")") else f"({bare})"


def _names(axis: str) -> tuple[str, ...]:
    try:
        return tuple(names_of(parse(axis)))
    except InputError:
        return ()


def axis_values(axis: str, numbers: Mapping[str, Floats]) -> Floats:
    """The values of an axis from those of its columns, shape (n,).

    >>> axis_values("(share+0.5)", {"share": np.array([0.0, 1.0])}).tolist()
    [0.5, 1.5]
    """
    if axis in numbers:
        return numbers[axis]
    with np.errstate(all="ignore"):
        found = value_of(parse(axis), dict(numbers))
    return np.asarray(np.broadcast_to(found, next(iter(numbers.values())).shape), dtype=np.float64)


def offset_for(axis: str, values: Floats) -> tuple[str, str]:
    """The name of the axis that a law takes for a column, and what must be said of it (empty: nothing).

    The column itself, unless zeros are one of its levels: then `(column+c)`.
    """
    known = values[np.isfinite(values)]
    zeros, positive = int((known == 0).sum()), known[known > 0]
    common = zeros >= LEAST_ZEROS and zeros >= LEAST_SHARE * len(values)
    if not common or len(positive) == 0 or (known < 0).any() or _names(axis) != (axis,):
        return axis, ""
    least = float(positive.min())
    linked = f"({axis}+{0.5 * least:.4g})"
    said = (
        f"{axis} holds {zeros} zeros, which no power takes: the law is in {linked}, half its smallest value "
        f"above 0; name another axis to have it otherwise, e.g. {axis}+{least:.4g}"
    )
    return linked, said
