"""Huber's loss by falling thresholds, each descended by `damped_newton`.

Huber's loss far below the noise is nearly least absolute deviations, where reweighted least squares
converges linearly and first-order solvers stall: `follow` comes from least squares through a falling
threshold, so that few rows change sides at a time.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from planner.laws.observations import Floats
from planner.laws.solver.damped_newton import Descent, Problem, descend
from planner.laws.solver.losses import Loss, robust_sigma

THRESHOLD_FACTOR = 3.0
"""Ratio of one Huber threshold to the next on the way down (2 to 5 measured alike)."""
STEPS_ON_THE_WAY = 10
"""Most steps of one start at a threshold that is only passed."""


def approach(
    problem: Problem,
    loss: Loss,
    start: Floats,
    *,
    widest: float | None = None,
    tolerance: float = 1e-4,
) -> Descent:
    """Come near the optimum of Huber's loss from afar: falling thresholds, the wanted one excluded.

    Args:
        problem: form, rows, weights and box.
        loss: the loss wanted; least squares descends a few steps.
        start: working parameters, shape (b, p).
        widest: first threshold; None: the robust spread of the residuals at the first start.
        tolerance: of each descent.
    """
    if loss.delta is None:
        few = STEPS_ON_THE_WAY
        return descend(problem, loss, start, n_steps=few, tolerance=tolerance, n_majorised=2)
    if widest is None:
        widest = robust_sigma(problem.evaluator.log_mean(start[:1])[0] - problem.y)
    ratio = max(widest / loss.delta, THRESHOLD_FACTOR)
    n_thresholds = int(np.ceil(np.log(ratio) / np.log(THRESHOLD_FACTOR) - 1e-9))
    n_steps = 0
    for power in range(n_thresholds, 0, -1):
        wide = Loss(delta=loss.delta * THRESHOLD_FACTOR**power)
        first = 2 if power == n_thresholds else 0
        way = descend(
            problem, wide, start, n_steps=STEPS_ON_THE_WAY, tolerance=tolerance, n_majorised=first
        )
        start, n_steps = way.theta, n_steps + way.n_steps
    return dataclasses.replace(way, n_steps=n_steps)


def follow(problem: Problem, loss: Loss, start: Floats, *, n_steps: int = 200) -> Descent:
    """Minimise by following the optimum from a wide Huber threshold down to the wanted one.

    Args:
        problem: form, rows, weights and box.
        loss: the loss wanted; least squares descends at once.
        start: working parameters near the least-squares optimum, shape (b, p).
        n_steps: most steps of one start at the wanted threshold.
    """
    if loss.delta is None:
        return descend(problem, loss, start, n_steps=n_steps)
    way = approach(problem, loss, start)
    end = descend(problem, loss, way.theta, n_steps=n_steps)
    return dataclasses.replace(end, n_steps=way.n_steps + end.n_steps)
