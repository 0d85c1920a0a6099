"""What each row of a table does to its law: residual, leverage, and how far the law moves without it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.laws.leading import leading_form
from planner.laws.observations import Floats, Observations
from planner.laws.one_form import Fitted
from planner.laws.result import LawFit
from planner.laws.uncertainty.bootstrap import refits
from planner.laws.uncertainty.intervals import free_parameters

MOST_REFITS = 1000
"""Rows that are left out in turn at most, those first whose leverage and residual are largest: a table of
thousands would be refitted for minutes, and the others do not move its law (assumption)."""
AT_ONCE = 250
"""Refits that are held at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Influence:
    """One fitted row and its law.

    Attributes:
        leverage: share of the row in its own prediction, 0 to 1.
        standardised: residual ln(measured / predicted) over its standard deviation, with the leverage.
        moved: largest move of a parameter in the refit without the row, in standard errors; None where the
            row was not left out.
        parameter: the one that moves most.
    """

    leverage: float
    standardised: float
    moved: float | None
    parameter: str | None


def influence(observations: Observations, fit: LawFit) -> tuple[Influence, ...]:
    """Influence of each usable row on the leading form, in the table's order.

    The refits are exact, each from two starts, not the linear formula: a row that carries an exponent alone
    moves it by more than the formula says.
    """
    fitted, order = leading_form(observations, fit)
    n = len(fitted.rows)
    leverage = _leverage(fitted)
    residual = -fitted.estimate.residual * np.sqrt(fitted.rows.weight)
    scale = fitted.sigma * np.sqrt(np.maximum(1.0 - leverage, 1e-12))
    rank = np.argsort(-np.abs(residual) * leverage, kind="stable")[:MOST_REFITS]
    moves = {int(i): move for i, move in zip(rank, _moves(fitted, rank), strict=True)}
    names = [spec.name for spec in fitted.form.parameters]
    found = [
        Influence(
            leverage=float(leverage[i]),
            standardised=float(residual[i] / scale[i]),
            moved=float(np.abs(moves[i]).max()) if i in moves else None,
            parameter=names[int(np.abs(moves[i]).argmax())] if i in moves else None,
        )
        for i in range(n)
    ]
    return tuple(found[i] for i in np.argsort(order))


def _leverage(fitted: Fitted) -> Floats:
    """Diagonal of the hat matrix J (J^T J)^-1 J^T over the parameters that can move, shape (n,)."""
    free = free_parameters(fitted.estimate)
    jacobian = fitted.jacobian[:, free]
    length = np.maximum(np.linalg.norm(jacobian, axis=0), 1e-300)
    left = np.linalg.svd(jacobian / length, full_matrices=False)[0]
    leverage: Floats = np.minimum((left**2).sum(1), 1.0)
    return leverage


def _moves(fitted: Fitted, left_out: np.ndarray) -> Floats:
    """Moves of the working parameters in standard errors without each of those rows, shape (rows, p)."""
    error = np.sqrt(np.maximum(np.diag(fitted.covariance), 0.0))
    moves = []
    for begin in range(0, len(left_out), AT_ONCE):
        some = left_out[begin : begin + AT_ONCE]
        weights = np.ones((len(some), len(fitted.rows)))
        weights[np.arange(len(some)), some] = 0.0
        theta, _ = refits(fitted.estimate, fitted.rows, weights)
        moves.append(theta - fitted.estimate.theta)
    # A floor that is not identified moves by anything and says nothing: its error is as large.
    return np.concatenate(moves) / np.where(error > 0, error, np.inf)
