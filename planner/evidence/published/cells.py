"""Cells of a row of results as numbers, and whether the row's numbers agree with one another."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

from planner.errors import InputError
from planner.words.table_text import number


def number_in(cells: Mapping[str, str], name: str, default: float | None = None) -> float | None:
    """The number of a cell, 0 or more; the default where the cell is empty or the column is not there.

    Raises:
        InputError: it is no number, or negative.
    """
    value = number(cells.get(name, ""), name)
    if math.isnan(value):
        return default
    if value < 0:
        raise InputError(f"{name} must not be negative, got {cells[name]!r}")
    return value


def whole_in(cells: Mapping[str, str], name: str) -> int | None:
    """The whole number of a cell; None where it is empty or the column is not there.

    Raises:
        InputError: it is no number, negative, or has a fraction.
    """
    value = number_in(cells, name)
    if value is not None and value != round(value):
        raise InputError(
            f"{name} must be a whole number, got {cells[name]!r}; write 52576 with nothing between thousands"
        )
    return None if value is None else round(value)


def check_agreement(
    cells: Mapping[str, str], error: float, std_error: float | None, wer: bool
) -> None:
    """Refuse a row whose numbers contradict one another.

    Raises:
        InputError: the error is not errors over units, errors are not S + D + I, the standard error is as large
            as the error, or a quantile of the latency lies below a lower one.
    """
    units, errors = whole_in(cells, "n_units"), whole_in(cells, "n_errors")
    if units and errors is not None and wer:
        counted = errors / units
        # As many decimals as are usual in print: the last one may be rounded.
        if abs(counted - error) > max(6e-4, 6e-3 * counted):
            raise InputError(
                f"error {error:g} is not n_errors / n_units, {errors} / {units} = {counted:.4g}; correct one of them"
            )
    kinds = [whole_in(cells, f"n_{kind}") for kind in ("substitutions", "deletions", "insertions")]
    if errors is not None and None not in kinds and sum(k or 0 for k in kinds) != errors:
        raise InputError(
            f"n_errors {errors} is not the sum of substitutions, deletions and insertions, "
            f"{sum(k or 0 for k in kinds)}; correct one of them"
        )
    if std_error is not None and std_error >= error > 0:
        raise InputError(
            f"std_error {std_error:g} is not below the error {error:g}; are both fractions?"
        )
    quantiles = [f"latency_p{q}_ms" for q in (50, 90, 95, 99)]
    known = [(q, v) for q in quantiles if (v := number_in(cells, q)) is not None]
    for (low, a), (high, b) in itertools.pairwise(known):
        if a > b:
            raise InputError(f"{low} {a:g} is above {high} {b:g}; are they exchanged?")
