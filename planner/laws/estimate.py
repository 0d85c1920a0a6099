"""The point estimate of one form on one table: grid, Newton from several starts, the best kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planner.laws.forms import Form
from planner.laws.grid import exponent_cells, projected_starts
from planner.laws.losses import HUBER_TUNING, Loss, robust_sigma
from planner.laws.newton import Bounds, descend, local_model
from planner.laws.observations import Floats

N_STARTS = 6
AGREEMENT = 1e-6
"""Starts agree when their objectives differ by less than this share of the best."""

SHALLOWEST, STEEPEST = 0.01, 25.0
"""Bounds of an exponent times the axis's log range: a term that changes by 1 % or by e^25 over the
data is a constant or a step, and its exponent cannot be told (assumption)."""
GRID_SHALLOWEST, GRID_STEEPEST = 0.1, 12.0
DEEPEST = 30.0
"""Smallest floor or amplitude: e^-30 of the smallest error, which no data can tell from 0."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """What a form is fitted to: scaled log axes z (n, k), log error y (n,), weights (n,)."""

    z: Floats
    y: Floats
    weight: Floats

    def __len__(self) -> int:
        return len(self.y)


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
    converged: bool


def bounds_of(form: Form, rows: Rows) -> Bounds:
    """Box of the working parameters: wide, unit-free, by the axes' log ranges."""
    lower, upper = np.empty(form.n_parameters), np.empty(form.n_parameters)
    span = np.ptp(rows.z, axis=0)
    for i, spec in enumerate(form.parameters):
        reach = float(span[form.axes.index(spec.axis)]) if spec.axis in form.axes else 1.0
        if spec.is_log:
            lower[i], upper[i] = rows.y.min() - DEEPEST, rows.y.max() + DEEPEST
        elif spec.kind == "slope":
            lower[i], upper[i] = -STEEPEST / reach, STEEPEST / reach
        else:
            lower[i], upper[i] = SHALLOWEST / reach, STEEPEST / reach
    return Bounds(lower=lower, upper=upper)


def grid_of(form: Form, rows: Rows, n_levels: int | None = None) -> Floats:
    """Cells of the nonlinear parameters: exponents on a grid, slopes at the log-linear regression's."""
    nonlinear = [i for i, spec in enumerate(form.parameters) if not spec.is_log]
    exponents = [i for i in nonlinear if form.parameters[i].kind != "slope"]
    span = np.ptp(rows.z, axis=0)
    reach = np.array([span[form.axes.index(str(form.parameters[i].axis))] for i in exponents])
    cells = exponent_cells(
        GRID_SHALLOWEST / reach,
        GRID_STEEPEST / reach,
        np.zeros(len(exponents), dtype=bool),
        n_levels,
    )
    grid = np.zeros((len(cells), len(nonlinear)))
    regression = log_linear_slopes(rows)
    for column, i in enumerate(nonlinear):
        if i in exponents:
            grid[:, column] = cells[:, exponents.index(i)]
        else:
            grid[:, column] = regression[form.axes.index(str(form.parameters[i].axis))]
    return grid


def log_linear_slopes(rows: Rows) -> Floats:
    """Slopes b of the weighted regression y = a - sum_k b_k z_k, shape (k,)."""
    root = np.sqrt(rows.weight)
    design = np.column_stack([np.ones(len(rows)), -rows.z]) * root[:, None]
    solution = np.linalg.lstsq(design, rows.y * root, rcond=None)[0]
    return np.asarray(solution[1:])


def estimate(
    form: Form,
    rows: Rows,
    loss: Loss,
    *,
    n_starts: int = N_STARTS,
    extra_starts: Floats | None = None,
) -> Estimate:
    """Fit one form: projected grid, then damped Newton from the best cells.

    Args:
        form: the law bound to its axes.
        rows: the scaled table.
        loss: least squares, or Huber with its threshold.
        n_starts: cells of the grid that Newton starts from.
        extra_starts: further working parameters to start from, shape (m, p).
    """
    evaluator, bounds = form.at(rows.z), bounds_of(form, rows)
    weight = rows.weight[None, :]
    starts = projected_starts(form, evaluator, rows.y, weight, grid_of(form, rows), n_starts)[0]
    if extra_starts is not None:
        starts = np.concatenate([starts, extra_starts])
    if loss.delta is not None:
        # A threshold far below the noise has many kinks far from the optimum: come from wide ones.
        for widening in (20.0, 5.0):
            wide = Loss(delta=widening * loss.delta)
            starts = descend(
                evaluator, rows.y, weight, wide, starts, bounds, n_steps=4, n_majorised=4
            ).theta
    ends = descend(evaluator, rows.y, weight, loss, starts, bounds, n_majorised=2)
    best = int(np.argmin(ends.objective))
    smallest = float(ends.objective[best])
    theta = ends.theta[best]
    model = local_model(evaluator, rows.y, weight, loss, theta[None], majorise=False)
    inside = (theta > bounds.lower) & (theta < bounds.upper)
    scaled = np.where(inside, model.gradient[0] / np.sqrt(model.diagonal[0]), 0.0)
    names = [spec.name for spec in form.parameters]
    return Estimate(
        form=form,
        theta=theta,
        objective=smallest,
        residual=evaluator.log_mean(theta[None])[0] - rows.y,
        loss=loss,
        n_starts=len(starts),
        n_agree=int((ends.objective <= smallest * (1 + AGREEMENT) + 1e-20).sum()),
        gradient_norm=float(np.abs(scaled).max()),
        at_bound=tuple(name for name, free in zip(names, inside, strict=True) if not free),
        converged=bool(ends.converged[best]),
    )


def automatic_threshold(form: Form, rows: Rows) -> Loss:
    """Huber's loss with delta = 1.345 robust standard deviations, iterated from least squares."""
    fitted = estimate(form, rows, Loss())
    delta = 0.0
    for _ in range(20):
        scale = robust_sigma(fitted.residual) * np.sqrt(len(rows) / _dof(form, rows))
        if abs(scale * HUBER_TUNING - delta) <= 1e-6 * delta:
            break
        delta = max(scale * HUBER_TUNING, 1e-12)
        fitted = estimate(
            form, rows, Loss(delta=delta), n_starts=2, extra_starts=fitted.theta[None]
        )
    return Loss(delta=delta)


def _dof(form: Form, rows: Rows) -> int:
    return max(len(rows) - form.n_parameters, 1)
