"""The point estimate of one form on one table: grid, Newton from several starts, the best kept."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.laws.forms.base import Form
from planner.laws.observations import Floats
from planner.laws.solver.bounds import bounds_of, cells_of
from planner.laws.solver.damped_newton import Descent, Problem, descend, local_model
from planner.laws.solver.dispersion import tuned_threshold
from planner.laws.solver.grid import projected_starts
from planner.laws.solver.losses import Loss
from planner.laws.solver.starts import regressed
from planner.laws.solver.thresholds import follow

N_STARTS = 6
GRID_ROWS = 400
"""Rows that the grid and the first descent look at; the final descent sees all."""
FIRST_STEPS = 60
"""Most steps of a start before starts that have met are joined; most need 10, and those in a flat valley
of a form with too many terms go on afterwards."""
AGREEMENT = 1e-6
"""Starts agree when their objectives differ by less than this share of the best."""
APART = 0.05
"""Ends of other objectives whose parameters differ by more are optima of their own."""
SAME_POINT = 1e-3
"""Starts whose parameters differ by less have met on the way and go on as one."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """What a form is fitted to: scaled log axes z (n, k), log error y (n,), weights (n,)."""

    z: Floats
    y: Floats
    weight: Floats

    def __len__(self) -> int:
        return len(self.y)

    def thinned(self, n: int) -> Rows:
        """About n rows, evenly spaced in their order."""
        chosen = np.unique(np.linspace(0, len(self) - 1, n).astype(np.intp))
        return Rows(z=self.z[chosen], y=self.y[chosen], weight=self.weight[chosen])

    def merged(self, replicates: Floats | None = None) -> tuple[Rows, NDArray[np.intp]]:
        """Neighbours of one point as one row, and where each of those begins, shape (m,).

        With W = sum w and ybar = sum w y / W over the rows of a point,
            sum w (f - y)^2 = W (f - ybar)^2 + sum w (y - ybar)^2,
        whose last sum no parameter moves: least squares has the same optimum, at the cost of the points.

        Args:
            replicates: factors of the rows' weights in each of B refits, shape (B, n): rows are merged only
                where they are equal in every one.
        """
        ends = (np.diff(self.z, axis=0) != 0).any(axis=1)
        if replicates is not None:
            ends |= (np.diff(replicates, axis=1) != 0).any(axis=0)
        begins = np.concatenate([[0], np.flatnonzero(ends) + 1])
        if len(begins) == len(self):
            return self, begins
        weight = np.add.reduceat(self.weight, begins)
        y = np.add.reduceat(self.weight * self.y, begins) / np.maximum(weight, 1e-300)
        return Rows(z=self.z[begins], y=y, weight=weight), begins


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Estimate:
    """A fitted form.

    Attributes:
        form: the form.
        theta: working parameters, shape (p,).
        objective: sum over rows of w rho(ln f - ln e).
        residual: ln f - ln e, shape (n,).
        loss: the loss with its threshold, as used.
        n_starts: starts tried; n_agree: those that ended at the best objective.
        gradient_norm: largest scaled gradient component at the estimate.
        at_bound: names of the parameters that lie on their bounds.
        runner_up: objective of the best other end with other parameters, or None.
        converged: whether the best start met the tolerance.
    """

    form: Form
    theta: Floats
    objective: float
    residual: Floats
    loss: Loss
    n_starts: int
    n_agree: int
    gradient_norm: float
    at_bound: tuple[str, ...]
    runner_up: float | None
    converged: bool

    def on_all(self, rows: Rows) -> Estimate:
        """The estimate with the residuals and the objective of all rows, where it was made of their points."""
        if len(self.residual) == len(rows):
            return self
        residual = self.form.at(rows.z).log_mean(self.theta[None])[0] - rows.y
        objective = float(self.loss.value(residual, rows.weight))
        runner_up = self.runner_up
        if runner_up is not None:
            runner_up += objective - self.objective
        return dataclasses.replace(
            self, residual=residual, objective=objective, runner_up=runner_up
        )


def problem_of(form: Form, rows: Rows) -> Problem:
    """The minimisation problem of one form on one table."""
    lower, upper = bounds_of(form, rows.z, rows.y)
    mean, precision = _priors(form)
    return Problem(
        form=form,
        evaluator=form.at(rows.z),
        y=rows.y,
        weight=rows.weight[None, :],
        lower=lower[None, :],
        upper=upper[None, :],
        prior_mean=mean,
        prior_precision=precision,
    )


def _priors(form: Form) -> tuple[Floats | None, Floats | None]:
    """Means and precisions of priors, in units of the objective: noise variance over prior variance."""
    if not form.priors or form.noise == 0.0:
        return None, None
    mean, precision = np.zeros(form.n_parameters), np.zeros(form.n_parameters)
    for i, centre, deviation in form.priors:
        mean[i], precision[i] = centre, form.noise / deviation**2
    return mean, precision


def estimate(
    form: Form,
    rows: Rows,
    loss: Loss,
    *,
    n_starts: int = N_STARTS,
    near: Floats | None = None,
) -> Estimate:
    """Fit one form: projected grid, then damped Newton from the best cells.

    Args:
        form: the law bound to its axes.
        rows: the scaled table.
        loss: least squares, or Huber with its threshold.
        n_starts: cells of the grid that Newton starts from.
        near: working parameters to start from besides the grid, shape (p,).
    """
    points = rows if loss.delta is not None else rows.merged()[0]
    return _estimated(form, points, loss, n_starts, near).on_all(rows)


def _estimated(form: Form, rows: Rows, loss: Loss, n_starts: int, near: Floats | None) -> Estimate:
    problem = problem_of(form, rows)
    few = rows if len(rows) <= GRID_ROWS else rows.thinned(GRID_ROWS)
    sketch = (
        problem
        if few is rows
        else dataclasses.replace(
            problem, evaluator=form.at(few.z), y=few.y, weight=few.weight[None, :]
        )
    )
    cells = cells_of(form, few.z, regressed(form, few.z, few.y, few.weight))
    starts = projected_starts(form, sketch.evaluator, few.y, sketch.weight, cells, n_starts)[0]
    if near is not None:
        starts = np.concatenate([near[None], starts])
    first = descend(sketch, Loss(), starts, n_steps=FIRST_STEPS, tolerance=1e-6, n_majorised=2)
    kept, counts = _met(first.theta)
    ends = follow(problem, loss, first.theta[kept], n_steps=form.most_steps)
    return _best(problem, loss, ends, counts)


def _met(theta: Floats) -> tuple[list[int], list[int]]:
    """Starts that are still apart, and how many each stands for."""
    kept: list[int] = []
    counts: list[int] = []
    for i, point in enumerate(theta):
        apart = [float(np.abs(theta[k] - point).max()) for k in kept]
        if apart and min(apart) < SAME_POINT:
            counts[int(np.argmin(apart))] += 1
        else:
            kept.append(i)
            counts.append(1)
    return kept, counts


def _best(problem: Problem, loss: Loss, ends: Descent, counts: list[int]) -> Estimate:
    best = int(np.argmin(ends.objective))
    smallest = float(ends.objective[best])
    theta = ends.theta[best]
    model = local_model(problem, loss, theta[None])
    inside = (theta > problem.lower[0]) & (theta < problem.upper[0])
    scaled = np.where(inside, model.gradient[0] / np.sqrt(model.diagonal[0]), 0.0)
    names = [spec.name for spec in problem.form.parameters]
    agree = ends.objective <= smallest * (1 + AGREEMENT) + 1e-20
    apart = ~agree & (np.abs(ends.theta - theta).max(1) > APART)
    return Estimate(
        form=problem.form,
        theta=theta,
        objective=smallest,
        residual=problem.evaluator.log_mean(theta[None])[0] - problem.y,
        loss=loss,
        n_starts=sum(counts),
        n_agree=int(np.array(counts)[agree].sum()),
        gradient_norm=float(np.abs(scaled).max()),
        at_bound=tuple(name for name, free in zip(names, inside, strict=True) if not free),
        runner_up=float(ends.objective[apart].min()) if apart.any() else None,
        converged=bool(ends.converged[best]),
    )


def automatic_threshold(form: Form, rows: Rows, near: Floats | None = None) -> Loss:
    """Huber's loss with the threshold that the noise asks for; see `tuned_threshold`."""
    fitted = estimate(form, rows, Loss(), near=near)
    problem = problem_of(form, rows)
    root = np.sqrt(rows.weight)

    def refit(loss: Loss, theta: Floats) -> tuple[Floats, Floats]:
        way = descend(problem, loss, theta[None], n_steps=50, tolerance=1e-8)
        log_mean = problem.evaluator.log_mean(way.theta)[0]
        return way.theta[0], (log_mean - rows.y) * root

    dof = len(rows) - form.n_fitted
    return tuned_threshold(refit, fitted.theta, fitted.residual * root, dof)
