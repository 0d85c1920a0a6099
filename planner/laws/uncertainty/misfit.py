"""What residuals tell of a law that is not quite right: neighbours err alike.

Rows that differ on one axis alone, in its order, are a chain: the checkpoints of one training, a column of a
grid. Where a law bends otherwise than the truth, neighbours in a chain err to the same side; with lag-1
correlation rho their mean has (1 + rho) / (1 - rho) times the variance of independent residuals (AR(1),
Bartlett 1946), and the residuals show too little of it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from planner.laws.observations import Floats

LEAST_CHAIN = 5
"""Rows of a chain at least: the columns of a grid of four levels say nothing."""
CERTAIN = 1.645
"""Standard errors, 1 / sqrt(pairs), by which a correlation must exceed 0 (assumption)."""
MOST_CORRELATED = 0.9


def chains_of(z: Floats) -> list[tuple[NDArray[np.intp], Floats]]:
    """Rows that differ on one axis alone, in its order, with their places on it; z are log axes, shape (n, k)."""
    out = []
    for axis in range(z.shape[1]):
        others = np.round(np.delete(z, axis, axis=1), 9)
        _, label = np.unique(others, axis=0, return_inverse=True)
        for value in np.unique(label):
            rows = np.flatnonzero(label.reshape(-1) == value)
            rows = rows[np.argsort(z[rows, axis], kind="stable")]
            if len(np.unique(z[rows, axis])) >= LEAST_CHAIN:
                out.append((rows, z[rows, axis]))
    return out


def lag_one(residual: Floats, z: Floats, n_parameters: int) -> float:
    """Correlation of residuals of neighbours in a chain, 0 where it may be chance; at most MOST_CORRELATED.

    Residuals of a law with p parameters correlate by about -p / n of themselves, which is added back.
    """
    products, square, pairs = 0.0, 0.0, 0
    for rows, along in chains_of(z):
        # Runs of one point are no neighbours: what a law errs there is the same for all of them.
        _, place = np.unique(along, return_inverse=True)
        r = np.bincount(place, residual[rows]) / np.bincount(place)
        products += float(r[1:] @ r[:-1])
        square += float(0.5 * (r[1:] @ r[1:] + r[:-1] @ r[:-1]))
        pairs += len(r) - 1
    if pairs == 0 or square <= 0.0:
        return 0.0
    rho = products / square + n_parameters / len(residual)
    return min(rho, MOST_CORRELATED) if rho > CERTAIN / math.sqrt(pairs) else 0.0


def inflation(rho: float) -> float:
    """Variance of correlated residuals' mean over that of independent ones."""
    return (1.0 + rho) / (1.0 - rho)
