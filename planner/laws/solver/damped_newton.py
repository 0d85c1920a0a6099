"""Batched damped Newton on sum_n w_n rho(ln f_n - y_n), exact Hessian, box bounds.

Many parameter vectors (starts or bootstrap replicates) descend at once; those that are done leave
the batch. A step solves (H + lambda D) s = -g, with D the diagonal of the majorant's Hessian, and is
taken only where it lowers the objective. Amplitudes are stored as logarithms but stepped linearly,
c -> c (1 + s): the law is linear in them, and a floor that goes to 0 gets there in a few steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.laws.forms.base import Evaluator, Form
from planner.laws.observations import Floats
from planner.laws.solver.losses import Loss

Flags = NDArray[np.bool_]
Index = NDArray[np.intp]

BLOCK = 64
"""Replicates that descend together: keeps the working arrays in cache (measured, n = 240)."""
REFILL = 16
"""Places of a block that must be free before new replicates join. One thread: two wait for one another
between these short array operations and take twice as long (measured, 1,000 replicates)."""

FIRST_DAMPING = 1e-4
SMALLEST_DAMPING, LIGHT_DAMPING, LARGEST_DAMPING = 1e-14, 1e-2, 1e8
LARGEST_STEP = 2.0
"""Longest move of one parameter in one step: threefold of an amplitude."""
LARGEST_CUT = 0.98
"""Largest share of an amplitude that one step takes away."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Problem:
    """What is minimised: a form at rows, log errors y (n,), row weights, and a box.

    Weights are (1, n), shared, or (b, n), one row for each start; bounds (1, p) or (b, p) likewise.
    Equal bounds hold a parameter fixed. Priors add precision (theta - mean)^2 / 2, shape (p,) each.
    """

    form: Form
    evaluator: Evaluator
    y: Floats
    weight: Floats
    lower: Floats
    upper: Floats
    prior_mean: Floats | None = None
    prior_precision: Floats | None = None

    def of(self, active: Index) -> Problem:
        """The problem of those starts alone; what is shared stays shared."""
        return Problem(
            form=self.form,
            evaluator=self.evaluator,
            y=self.y,
            weight=_chosen(self.weight, active),
            lower=_chosen(self.lower, active),
            upper=_chosen(self.upper, active),
            prior_mean=self.prior_mean,
            prior_precision=self.prior_precision,
        )


def _chosen(rows: Floats, active: Index) -> Floats:
    return rows if len(rows) == 1 else rows[active]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Descent:
    """Where each of b starts ended.

    Attributes:
        theta: parameters, shape (b, p).
        objective: sum over rows, shape (b,).
        converged: whether the predicted gain fell below the tolerance, shape (b,).
        n_steps: steps tried in all, over the batch.
    """

    theta: Floats
    objective: Floats
    converged: Flags
    n_steps: int


@dataclass(slots=True)
class LocalModel:
    """Quadratic model of b replicates: objective, gradient, Hessian, damping diagonal."""

    value: Floats
    gradient: Floats
    hessian: Floats
    diagonal: Floats

    def __getitem__(self, rows: Index) -> LocalModel:
        return LocalModel(
            self.value[rows], self.gradient[rows], self.hessian[rows], self.diagonal[rows]
        )

    def put(self, rows: Index, other: LocalModel, chosen: Flags) -> None:
        """Overwrite some replicates with the chosen ones of another model."""
        self.value[rows] = other.value[chosen]
        self.gradient[rows] = other.gradient[chosen]
        self.hessian[rows] = other.hessian[chosen]
        self.diagonal[rows] = other.diagonal[chosen]


def local_model(
    problem: Problem, loss: Loss, theta: Floats, *, majorise: bool = False
) -> LocalModel:
    """Quadratic model at theta, amplitudes as relative changes; `majorise` gives one that is convex."""
    at = problem.evaluator.linearise(theta)
    residual = at.log_mean - problem.y
    weight, jacobian = problem.weight, at.jacobian
    psi = weight * loss.slope(residual)
    major = weight * loss.majorant(residual)
    exact = not majorise and at.second is not None
    curvature = major if majorise else weight * loss.curvature(residual)
    if exact:
        curvature = curvature - psi
    hessian = (jacobian * curvature[:, None, :]) @ jacobian.transpose(0, 2, 1)
    if not exact and (loss.delta is None or majorise):
        diagonal = np.einsum("bii->bi", hessian).copy()
    else:
        diagonal = ((jacobian * jacobian) @ np.broadcast_to(major, psi.shape)[:, :, None])[:, :, 0]
    gradient = (jacobian @ psi[:, :, None])[:, :, 0]
    value = loss.value(residual, np.broadcast_to(weight, residual.shape))
    if problem.prior_mean is not None and problem.prior_precision is not None:
        off, precision = theta - problem.prior_mean, problem.prior_precision
        value = value + 0.5 * (precision * off**2).sum(1)
        gradient = gradient + precision * off
        diagonal = diagonal + precision
        hessian = hessian + np.diag(precision)
    if exact and at.second is not None:
        hessian += at.second(psi)
        logs = problem.form.log_parameters
        # d2F/du2 of c (1 + u) is d2F/dtheta2 - dF/dtheta for theta = ln c.
        hessian[:, logs, logs] -= gradient[:, logs]
    floor = 1e-12 * diagonal.max(axis=1, keepdims=True) + 1e-300
    return LocalModel(value, gradient, hessian, np.maximum(diagonal, floor))


def _direction(model: LocalModel, damping: Floats, fixed: Flags) -> Floats:
    """Solve the damped system in scaled parameters; steepest descent where that fails."""
    scale = 1.0 / np.sqrt(model.diagonal)
    matrix = model.hessian * scale[:, :, None] * scale[:, None, :]
    gradient = model.gradient * scale
    if fixed.any():
        matrix *= ~fixed[:, :, None] & ~fixed[:, None, :]
        gradient = np.where(fixed, 0.0, gradient)
    index = np.arange(matrix.shape[1])
    matrix[:, index, index] += np.where(fixed, 1.0, damping[:, None])
    try:
        step = -np.linalg.solve(matrix, gradient[:, :, None])[:, :, 0] * scale
    except np.linalg.LinAlgError:
        step = -gradient * scale / (1.0 + damping[:, None])
    step = np.clip(step, -LARGEST_STEP, LARGEST_STEP)
    uphill = ~((step * np.where(fixed, 0.0, model.gradient)).sum(1) < 0)
    if uphill.any():
        step[uphill] = -0.05 * (gradient * scale)[uphill]
    return np.asarray(step)


def _moved(problem: Problem, here: Floats, step: Floats) -> Floats:
    """The point after a step, inside the box: amplitudes by factors, the rest by addition."""
    logs = problem.form.log_parameters
    there = here + step
    there[:, logs] = here[:, logs] + np.log1p(np.maximum(step[:, logs], -LARGEST_CUT))
    return np.asarray(np.clip(there, problem.lower, problem.upper))


def _next_damping(
    damping: Floats, model: LocalModel, step: Floats, gained: Floats, better: Flags
) -> Floats:
    """Damping by the ratio of the gain to the model's promise."""
    curved = (model.hessian @ step[:, :, None])[:, :, 0]
    promised = -((model.gradient + 0.5 * curved) * step).sum(1)
    ratio = gained / np.maximum(np.abs(promised), 1e-300)
    easier = np.where(ratio > 0.75, 0.05, np.where(ratio > 0.1, 0.33, 1.0))
    harder = np.where(damping < 1e-6, 100.0, 6.0)
    factor = np.where(better, easier, harder)
    return np.asarray(np.clip(damping * factor, SMALLEST_DAMPING, LARGEST_DAMPING))


@dataclass(slots=True, kw_only=True, eq=False)
class _State:
    """All starts: where each is, its damping and model, and whether it has ended."""

    problem: Problem
    loss: Loss
    tolerance: float
    theta: Floats
    damping: Floats
    converged: Flags
    model: LocalModel
    tried: int = 0

    def look(self, chosen: Index, *, majorise: bool) -> None:
        """Make the models of those starts."""
        found = local_model(
            self.problem.of(chosen), self.loss, self.theta[chosen], majorise=majorise
        )
        self.model.put(chosen, found, np.ones(len(chosen), dtype=bool))

    def step(self, active: Index, *, majorise: bool) -> Index:
        """One step of each active start; returns those that have not ended."""
        mine, now, here = self.problem.of(active), self.model[active], self.theta[active]
        fixed = ((here <= mine.lower) & (now.gradient > 0)) | (
            (here >= mine.upper) & (now.gradient < 0)
        )
        used = self.damping[active]
        step = _direction(now, used, fixed)
        there = _moved(mine, here, step)
        trial = local_model(mine, self.loss, there, majorise=majorise)
        gained = now.value - trial.value
        better = gained > 0
        self.tried += len(active)
        self.theta[active[better]] = there[better]
        self.model.put(active[better], trial, better)
        self.damping[active] = _next_damping(used, now, step, gained, better)
        expected = np.abs((np.where(fixed, 0.0, now.gradient) * step).sum(1))
        # A strongly damped step is short for that reason alone and proves nothing.
        small = (expected <= self.tolerance * now.value + 1e-300) & (used <= LIGHT_DAMPING)
        done = small | (self.damping[active] >= LARGEST_DAMPING)
        self.converged[active[done]] = True
        return np.asarray(active[~done])


def _majorised(state: _State, active: Index, n_steps: int) -> Index:
    """The first steps of one block; returns those that have not ended."""
    state.look(active, majorise=True)
    for _ in range(n_steps):
        active = state.step(active, majorise=True)
        if len(active) == 0:
            break
    return active


def _stream(state: _State, waiting: Index, n_steps: int) -> None:
    """All other steps. Starts that end make room for the next, so that the batch stays full.

    Few starts need many steps; a batch that waited for them would work on one or two at a time, at
    three times the cost of each (measured, n = 240).
    """
    left = np.full(len(state.theta), n_steps)
    active = np.empty(0, dtype=np.intp)
    while True:
        if len(waiting) and len(active) <= BLOCK - REFILL:
            fresh, waiting = np.split(waiting, [BLOCK - len(active)])
            state.look(fresh, majorise=False)
            active = np.concatenate([active, fresh])
        active = active[left[active] > 0]
        if len(active) == 0 and len(waiting) == 0:
            return
        if len(active):
            left[active] -= 1
            active = state.step(active, majorise=False)


def descend(
    problem: Problem,
    loss: Loss,
    start: Floats,
    *,
    n_steps: int = 200,
    tolerance: float = 1e-13,
    n_majorised: int = 0,
) -> Descent:
    """Minimise sum_n w_n rho(ln f(theta)_n - y_n) from each start.

    Args:
        problem: form, rows, weights and box.
        loss: the loss on log residuals.
        start: working parameters, shape (b, p).
        n_steps: most steps of one start.
        tolerance: predicted gain, relative to the objective, below which a start is done.
        n_majorised: first steps that use the convex majorant's Hessian instead of the exact one.
    """
    b, p = start.shape
    state = _State(
        problem=problem,
        loss=loss,
        tolerance=tolerance,
        theta=np.clip(start, problem.lower, problem.upper),
        damping=np.full(b, FIRST_DAMPING),
        converged=np.zeros(b, dtype=bool),
        model=LocalModel(np.empty(b), np.empty((b, p)), np.empty((b, p, p)), np.empty((b, p))),
    )
    left = np.arange(b)
    if n_majorised:
        left = np.concatenate(
            [
                _majorised(state, left[begin : begin + BLOCK], min(n_majorised, n_steps))
                for begin in range(0, b, BLOCK)
            ]
        )
    _stream(state, left, n_steps - n_majorised)
    return Descent(
        theta=state.theta,
        objective=state.model.value,
        converged=state.converged,
        n_steps=state.tried,
    )
