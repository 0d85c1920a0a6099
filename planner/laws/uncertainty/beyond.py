"""How much farther a law errs beyond its rows than it says: its hold-outs' errors against their intervals.

A smooth law that is not quite right leaves its rows behind it like a random walk: the variance by which a new run
lies off grows evenly with the ln distance from the data. By how much is told by the hold-outs, drawn towards what
public tables show (`GROWTH`), and is part of a new run's interval; the law's own interval is that of its form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.laws.observations import Floats
from planner.laws.one_form import Fitted
from planner.laws.uncertainty.intervals import free_parameters

MOST_BEYOND = 25.0
"""Largest ratio of variances that hold-outs are believed to show: fivefold intervals (assumption)."""
GROWTH = 0.5
"""Variance that a form's misfit adds at the distance of the hold-outs, over the scatter and for hold-outs that err
as they say: measured on the tables that `tests/benchmarks/real_tables.py` sets aside for it."""
PRIOR_HOLD_OUTS = 1.0
"""Hold-outs that err as they say and stand beside those of the table (assumption)."""
USUAL_DISTANCE = 0.2
"""Ln distance of hold-outs where a table is too small for any (assumption: that of tables with a few more rows)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beyond:
    """Ratio of the variance of errors outside the rows to what the law says, and where it is reached.

    Attributes:
        ratio: at least 1.
        at: ln distance outside the data from which the whole of it holds; it grows evenly up to there.
        misfit: variance of a new run over the scatter that each unit of ln distance adds.
    """

    ratio: float = 1.0
    at: float = 1.0
    misfit: float = 0.0


def beyond_of(fitted: Fitted, held: list[NDArray[np.bool_]], theta: Floats | None) -> Beyond:
    """By the hold-outs, each refitted without its rows (`theta`, shape (held, p); None: there are too few rows).

    Where the noise of the runs is known it is the deviations that are weighed, and this stays 1.
    """
    if fitted.deviations is not None:
        return Beyond()
    if theta is None:
        return Beyond(misfit=GROWTH / USUAL_DISTANCE)
    z, y, weight = fitted.rows.z, fitted.rows.y, fitted.rows.weight
    free = free_parameters(fitted.estimate)
    variance = fitted.sigma**2
    ratios, distances = [], []
    for out, point in zip(held, theta, strict=True):
        at = fitted.form.at(z).linearise(point[None])
        jacobian = at.jacobian[0].T[:, free]
        root = np.sqrt(weight[~out])[:, None]
        length = np.maximum(np.linalg.norm(jacobian[~out] * root, axis=0), 1e-300)
        inverse = np.linalg.pinv(jacobian[~out] * root / length, rcond=1e-10) / length[:, None]
        told = variance * (1.0 / weight[out] + ((jacobian[out] @ inverse) ** 2).sum(1))
        # Rows that follow a law to the last digit have a scatter of 0.
        told = np.maximum(told, np.finfo(float).tiny)
        ratios.append(float((((at.log_mean[0] - y)[out] ** 2) / told).mean()))
        distances.append(float(np.maximum(z[out] - z[~out].max(0), 0.0).max(1).mean()))
    ratio = float(np.clip(np.exp(np.log(np.maximum(ratios, 1e-12)).mean()), 1.0, MOST_BEYOND))
    erred = (PRIOR_HOLD_OUTS + sum(ratios)) / (PRIOR_HOLD_OUTS + len(ratios))
    reached = max(float(np.mean(distances)), 0.1)
    return Beyond(ratio=ratio, at=reached, misfit=GROWTH * min(erred, MOST_BEYOND) / reached)
