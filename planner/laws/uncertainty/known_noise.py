"""A form fitted by noise that is known: weights of the rows, residuals as they are, what is believed before."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from planner.laws.forms.base import Form
from planner.laws.observations import Floats, Observations
from planner.laws.solver.estimate import N_STARTS, Estimate, Rows
from planner.laws.uncertainty.deviations import (
    Scatter,
    configurations_of,
    deviations_of,
    row_weights,
)
from planner.laws.uncertainty.intervals import free_parameters, jacobian_of
from planner.laws.uncertainty.paired_noise import row_covariance, whitened

FIRST_VARIANCES = (0.05**2, 0.04**2)
"""tau^2 and omega^2 before the residuals are seen: about the prior's (assumption)."""
WEIGHINGS = 2
SAME_WEIGHTS = 0.5
"""Change of ln variance below which the weights are kept: the estimate hardly depends on them."""
PRIOR_LOG, PRIOR_PLAIN = 2.0, 0.5
"""Deviations of the logarithm of an amplitude and of an exponent about their estimate, before any run tells
more (assumption: exponents of published laws of speech lie between 0 and 1, mostly)."""


def prior_deviations(form: Form) -> Floats:
    """Deviation of each working parameter before any run tells of it, shape (p,)."""
    return np.array([PRIOR_LOG if p.is_log else PRIOR_PLAIN for p in form.parameters])


def by_known_noise(
    rows: Rows,
    table: Observations,
    fit: Callable[..., Estimate],
    near: Floats | None,
) -> tuple[Estimate, Rows, float]:
    """The estimate with the weights that the expected variances of configurations and seeds give."""
    assert table.noise is not None
    own, group = table.noise.own, configurations_of(table.group, len(table))
    given, pair = rows.weight, FIRST_VARIANCES
    # Where rows are whitened that is the second weighing.
    for turn in range(WEIGHINGS if table.noise.pairs is None else 1):
        rows = _weighed(rows, given * row_weights(own, group, *pair))
        joined = _joined(rows, own, group, pair[1])
        fitted = fit(joined, near, N_STARTS if turn == 0 else 1).on_all(rows)
        near = fitted.theta
        scatter = scatter_of(fitted, rows, own, group, table.noise.pairs)
        previous, pair = pair, deviations_of(scatter).mean()
        if max(abs(math.log(a / b)) for a, b in zip(pair, previous, strict=True)) < SAME_WEIGHTS:
            break
    if table.noise.pairs is not None:
        rows = _weighed(rows, given * row_weights(own, group, *pair))
        covariance = row_covariance(own, table.noise.pairs, group, *pair)
        fitted = whitened(fitted, rows, covariance)
        pair = deviations_of(scatter_of(fitted, rows, own, group, table.noise.pairs)).mean()
    return fitted, rows, pair[0]


def _weighed(rows: Rows, weight: Floats) -> Rows:
    """The rows with those weights, of mean 1."""
    return dataclasses.replace(rows, weight=weight / weight.mean())


def scatter_of(
    fitted: Estimate,
    rows: Rows,
    own: Floats,
    group: NDArray[np.int64],
    pairs: Floats | None = None,
) -> Scatter:
    """Residuals and Jacobian of an estimate, without the rows' weights."""
    root = np.sqrt(rows.weight)[:, None]
    jacobian = (jacobian_of(fitted, rows) / root)[:, free_parameters(fitted)]
    residual = -fitted.residual
    if fitted.loss.delta is not None:
        # A loss that cuts off far rows at delta cuts them off here, too.
        reach = fitted.loss.delta / root[:, 0]
        residual = np.clip(residual, -reach, reach)
    return Scatter(residual=residual, jacobian=jacobian, own=own, group=group, pairs=pairs)


def _joined(rows: Rows, own: Floats, group: NDArray[np.int64], omega2: float) -> Rows:
    """One row for each configuration: its runs' mean by their precision, with their weights together.

    The law is one value there, so the squares differ by a constant alone and the estimate is the same.
    """
    first = np.unique(group, return_index=True)[1]
    if len(first) == len(rows):
        return rows
    precision = 1.0 / (own + omega2)
    mean = np.bincount(group, precision * rows.y) / np.bincount(group, precision)
    return Rows(
        z=rows.z[first],
        y=mean,
        weight=np.asarray(np.bincount(group, rows.weight), dtype=np.float64),
    )
