"""The first runs of a study, when nothing is known but what a run costs.

ln error is taken as a quadratic in ln of each axis (a slope where an axis has two levels): with f(x) the row of
such a surface, a design of so many hours tells most where det(sum f f^T / hours) is largest (Fedorov 1972,
section 2.7: observations of unequal cost). Cheap runs come first by that alone; where the hours do not
suffice, cost counts by a higher power. The law itself is fitted to what the runs gave, and is not this one.
"""

from __future__ import annotations

import numpy as np

from planner.plan.cost import Floats
from planner.plan.design import optimal

COST_POWERS = (0.5, 1.0, 2.0, 4.0)
"""Powers of the hours by which rows are divided in turn: 1/2 is the design of most information an hour."""
FIRST_SHARE = 0.5
"""Of all hours that the first runs may take: the rest is spent knowing something (assumption)."""
SEEDS = 3
"""Runs of the cheapest configuration: how far seeds lie apart is then measured where it costs least."""
LEAST_RUNS = 2
"""Below this nothing is compared."""


def surface(x: Floats) -> Floats:
    """Rows of the quadratic surface at m configurations, shape (m, p): 1, then of each axis z and z^2.

    z is ln x, centred and scaled to [-1, 1]. An axis of one level has no column, one of two levels no square.

    Args:
        x: coordinates, shape (m, k), > 0.

    >>> surface(np.array([[1.0, 5.0], [2.0, 5.0], [4.0, 5.0]])).tolist()
    [[1.0, -1.0, 1.0], [1.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    """
    columns = [np.ones(len(x))]
    for values in np.log(x).T:
        n_levels = len(np.unique(values))
        if n_levels < 2:
            continue
        low, high = values.min(), values.max()
        z = (2.0 * values - low - high) / (high - low)
        columns += [z, z**2] if n_levels > 2 else [z]
    return np.stack(columns, axis=1)


def first_runs(x: Floats, hours: Floats, n_least: int, budget_hours: float) -> list[int]:
    """Which configurations to run first, the cheapest first; one that comes again is another seed.

    One run more than the surface has parameters, or `n_least` if that is more, within FIRST_SHARE of the
    hours; where that is too little, the cheapest design of them within all hours, and where that is too much, the
    cheapest runs that the hours allow.

    Args:
        x: coordinates of the candidates, shape (m, k), > 0.
        hours: that a run of each takes, shape (m,), > 0.
        n_least: runs at least, as many as there are workers.
        budget_hours: for the whole study; infinite where it has no end.

    Returns:
        Indices of candidates; fewer than LEAST_RUNS where the hours do not suffice for more.
    """
    rows = surface(x)
    n = min(max(rows.shape[1] + 1, n_least), len(x))
    allowed = FIRST_SHARE * budget_hours
    for power in COST_POWERS:
        chosen = _spread(rows / hours[:, None] ** power, n)
        chosen.sort(key=lambda j: (hours[j], j))
        with_seeds = [chosen[0]] * (SEEDS - 1) + chosen
        for found in (with_seeds, chosen):
            if float(hours[found].sum()) <= allowed:
                return found
    if float(hours[chosen].sum()) <= budget_hours:
        return chosen  # a law before anything else, whatever share of the hours it takes
    cheapest = np.lexsort((np.arange(len(hours)), hours))
    total = np.cumsum(hours[cheapest])
    # Too few hours for a law: all of them go into what can be compared.
    return [int(j) for j in cheapest[: int((total <= budget_hours).sum())][:n]]


def _spread(rows: Floats, n: int) -> list[int]:
    """Distinct rows of large determinant; all of them where there are no more."""
    if n >= len(rows):
        return list(range(len(rows)))
    if n < rows.shape[1]:
        return list(range(n))
    return optimal(rows, n, repeats=False)
