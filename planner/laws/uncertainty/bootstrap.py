"""Bootstrap by row weights, all replicates at once, each with a second start from the whole grid.

A replicate draws runs (or whole groups of dependent runs) with replacement, which is a row of integer
weights over one shared design. A replicate that starts from the estimate alone can stay in a worse
basin; so each is also started from its own best cell of the grid, and how often that wins is reported.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from planner.laws.observations import Floats
from planner.laws.parts import Bootstrap
from planner.laws.solver.bounds import cells_of, n_searched
from planner.laws.solver.damped_newton import Problem, descend
from planner.laws.solver.estimate import Estimate, Rows, problem_of
from planner.laws.solver.grid import projected_starts
from planner.laws.solver.losses import robust_sigma
from planner.laws.solver.starts import regressed
from planner.laws.solver.thresholds import approach

BETTER = 1e-7
"""A second start wins where its objective is lower by more than this share."""
SAME_BASIN = 0.02
"""Largest difference of a working parameter between two ends of one basin on the way."""
TOLERANCE = 1e-10
GRID_LEVELS = {1: 32, 2: 10, 3: 6, 4: 4}
"""Levels of the second start's grid, coarser than the first fit's."""
CHUNK = 250
"""Replicates whose grid is held at once."""


def replicate_weights(
    n_rows: int, group: NDArray[np.int64] | None, n: int, rng: np.random.Generator
) -> Floats:
    """Counts of each row in n resamples of runs, or of groups, shape (n, n_rows)."""
    labels = np.arange(n_rows) if group is None else group
    units = int(labels.max()) + 1
    drawn = rng.multinomial(units, np.full(units, 1.0 / units), size=n)
    return np.asarray(drawn[:, labels], dtype=np.float64)


def refits(fitted: Estimate, rows: Rows, weights: Floats, n_steps: int = 200) -> tuple[Floats, int]:
    """Refit under other row weights, each replicate from two starts.

    Args:
        fitted: the estimate, the first start.
        rows: its table.
        weights: of the rows in each replicate, shape (B, n).
        n_steps: most Newton steps of one start.

    Returns:
        Working parameters, shape (B, p), and in how many replicates the second start, the best cell of
        the replicate's own grid, ended lower.
    """
    if fitted.loss.delta is None:
        rows, begins = rows.merged(weights)
        weights = weights[:, begins]
    problem = dataclasses.replace(problem_of(fitted.form, rows), weight=weights * rows.weight)
    warm = np.repeat(fitted.theta[None], len(weights), axis=0)
    first = descend(problem, fitted.loss, warm, n_steps=n_steps, tolerance=TOLERANCE)
    second = approach(
        problem,
        fitted.loss,
        _second_starts(problem, rows),
        widest=robust_sigma(fitted.residual),
        tolerance=1e-3,
    ).theta
    # A second start that comes near the first's end is in its basin and would end there.
    apart = np.flatnonzero(np.abs(second - first.theta).max(1) > SAME_BASIN)
    theta = first.theta.copy()
    if len(apart) == 0:
        return theta, 0
    ends = descend(
        problem.of(apart), fitted.loss, second[apart], n_steps=n_steps, tolerance=TOLERANCE
    )
    wins = ends.objective < first.objective[apart] * (1.0 - BETTER)
    theta[apart[wins]] = ends.theta[wins]
    return theta, int(wins.sum())


def _second_starts(problem: Problem, rows: Rows) -> Floats:
    """The best cell of each replicate's own grid, shape (B, p)."""
    form = problem.form
    known = regressed(form, rows.z, rows.y, rows.weight)
    cells = cells_of(form, rows.z, known, GRID_LEVELS.get(n_searched(form), 3))
    starts = [
        projected_starts(
            form, problem.evaluator, rows.y, problem.weight[begin : begin + CHUNK], cells, 1
        )[:, 0]
        for begin in range(0, len(problem.weight), CHUNK)
    ]
    return np.concatenate(starts)


def bootstrap(
    fitted: Estimate,
    rows: Rows,
    group: NDArray[np.int64] | None,
    scales: Floats,
    *,
    n: int,
    level: float,
    seed: int,
) -> Bootstrap:
    """Refit n resamples and summarise each parameter in natural units.

    Args:
        fitted: the estimate.
        rows: its table.
        group: labels of dependent runs, resampled together, or None.
        scales: of the form's axes, in which places are told.
        n: replicates.
        level: probability of the percentile intervals.
        seed: of the resampling.
    """
    rng = np.random.default_rng(seed)
    clustered = group is not None and len(np.unique(group)) < len(group)
    weights = replicate_weights(len(rows), group if clustered else None, n, rng)
    theta, wins = refits(fitted, rows, weights)
    values = fitted.form.natural(theta).copy()
    logs = fitted.form.log_parameters
    values[:, logs] = np.exp(values[:, logs])
    for i in fitted.form.indices("scale", "place"):
        axis = fitted.form.parameters[i].axis
        values[:, i] = np.exp(values[:, i]) * (
            scales[fitted.form.axes.index(axis)] if axis else 1.0
        )
    tail = 0.5 * (1.0 - level)
    low, high = np.quantile(values, [tail, 1.0 - tail], axis=0)
    return Bootstrap(
        n=n,
        clustered=clustered,
        second_start_wins=wins,
        std_errors=tuple(values.std(0, ddof=1).tolist()),
        low=tuple(low.tolist()),
        high=tuple(high.tolist()),
    )
