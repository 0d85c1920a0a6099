"""What a fit must say about itself: warnings with stable codes, and the statuses they lead to.

| code | status |
|---|---|
| axis-one-level, axis-two-levels, too-few-runs | too-few-levels |
| not-converged | not-converged |
| ill-conditioned | ill-conditioned |
| multimodal | multimodal |
| at-bound, parameter-not-identified | at-bound |
| floor-not-identified | floor-not-identified |
| outliers, duplicate-rows, repeated-values, axes-collinear, axis-not-lowering, rows-excluded, few-runs | - |
| axis-offset | - |
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from planner.laws.forms.base import LEFT_OUT
from planner.laws.forms.formula import is_formula
from planner.laws.observations import SPECIFIC_DIGITS, Exclusion, Floats, Observations, is_specific
from planner.laws.one_form import Fitted
from planner.laws.parts import FitWarning, Parameter
from planner.laws.result import STATUSES
from planner.laws.solver.dispersion import dispersion
from planner.laws.solver.losses import robust_sigma
from planner.laws.suspects import SUSPECT
from planner.laws.uncertainty.bootstrap import refits
from planner.laws.uncertainty.intervals import (
    condition_number,
    free_parameters,
    with_priors,
)

ILL_CONDITIONED = 1e6
"""Condition number of the scaled Jacobian above which single parameters mean nothing."""
OUTLYING, EXTREME = 6.0, 12.0
"""Robust standard deviations from which a row is tried without, alone or with all that extreme."""
SPARE_FOR_OUTLIERS = 5
"""Rows more than parameters from which the spread of the bulk is known well enough to judge a row."""
MOST_ALONE = 6
"""Rows that are left out one at a time at most."""
OUTLIER_STEPS = 50
MOVED = 0.5
"""Share of an exponent's interval that outliers must move it by to be reported."""
LIKELY = 6.0
"""Another optimum is reported where its log-likelihood falls short by less (chi^2 of 2 dof, 95 %)."""
CHANCE_TIES = 3.0
"""Ties are reported from this many times what chance explains."""
EXACT = 1e-9
"""Least spread of log residuals that rows are judged by: below is rounding (nine digits of an error)."""


def warnings_of(
    table: Observations,
    fitted: Fitted,
    parameters: tuple[Parameter, ...],
    row_numbers: NDArray[np.intp],
) -> tuple[FitWarning, ...]:
    """All warnings of one fitted form; `row_numbers` are its rows' places in the table as given."""
    made = list(fitted.design.warnings)
    made += [w for p in parameters for w in _about_parameter(p)]
    made += _about_optimum(fitted)
    made += outliers(fitted, parameters, row_numbers)
    made += _about_table(table)
    made += _about_exclusions(table.exclusions)
    made += [FitWarning(code=code, message=said) for code, said in table.remarks]
    made += _unused_axes(fitted)
    return tuple(made)


def statuses_of(warnings: tuple[FitWarning, ...]) -> tuple[str, ...]:
    """All statuses that apply, gravest first; `converged` if none."""
    by_code = {
        "axis-one-level": "too-few-levels",
        "axis-two-levels": "too-few-levels",
        "too-few-runs": "too-few-levels",
        "parameter-not-identified": "at-bound",
    }
    found = {by_code.get(warning.code, warning.code) for warning in warnings}
    return tuple(status for status in STATUSES if status in found) or ("converged",)


def _about_parameter(parameter: Parameter) -> list[FitWarning]:
    if "not-identified" in parameter.flags:
        code, subject = "parameter-not-identified", f"{parameter.name} not identified"
        if parameter.kind == "floor":
            code, subject = "floor-not-identified", "floor not identified"
        low = "0" if parameter.low is None else f"{parameter.low:.2g}"
        high = "no bound" if parameter.high is None else f"{parameter.high:.2g}"
        message = f"{subject}: its interval is {low} to {high}"
        return [FitWarning(code=code, message=message, axis=parameter.axis)]
    if "at-bound" in parameter.flags:
        message = (
            f"{parameter.name} = {parameter.value:.4g} lies on its bound: the data fix no value"
        )
        return [FitWarning(code="at-bound", message=message, axis=parameter.axis)]
    return []


def _about_optimum(fitted: Fitted) -> list[FitWarning]:
    made = []
    best = fitted.estimate
    condition = condition_of(fitted)
    if condition > ILL_CONDITIONED:
        message = (
            f"condition number {condition:.1e}: single parameters mean nothing, predictions may"
        )
        made.append(FitWarning(code="ill-conditioned", message=message))
    if not best.converged:
        message = "the optimiser ended before its tolerance was met"
        made.append(FitWarning(code="not-converged", message=message))
    if best.runner_up is not None and best.objective > 0:
        shortfall = 2.0 * (best.runner_up - best.objective) / max(fitted.rise, 1e-300)
        if shortfall < LIKELY:
            message = (
                f"{best.n_starts - best.n_agree} of {best.n_starts} starts end at another optimum "
                f"that fits almost as well (objective {best.runner_up:.6g}, best {best.objective:.6g})"
            )
            made.append(FitWarning(code="multimodal", message=message))
    if fitted.dof <= 2:
        more = min(fitted.dof, float(len(fitted.rows) - fitted.form.n_fitted))
        runs = "run" if more == 1 else "runs"
        message = f"{more:.0f} {runs} more than parameters: intervals rest on a guess of the noise"
        made.append(FitWarning(code="few-runs", message=message))
    return made


def outliers(
    fitted: Fitted, parameters: tuple[Parameter, ...], row_numbers: NDArray[np.intp]
) -> list[FitWarning]:
    """Rows so far from the law that they are no noise of it, or that carry an exponent alone.

    The farthest rows are left out one at a time, and the extreme ones together as well, since outliers
    hide each other; all refits are one batch. A row is reported where leaving it out moves an exponent
    by more than half its interval, and an extreme one in any case.
    """
    scaled = fitted.estimate.residual * np.sqrt(fitted.rows.weight)
    n, spare = len(scaled), len(scaled) - len(parameters)
    if spare < SPARE_FOR_OUTLIERS:
        return []
    # Rows that a law goes through to rounding have no spread to judge by.
    size = np.abs(scaled) / max(robust_sigma(scaled) * math.sqrt(n / spare), EXACT)
    extreme = size > EXTREME
    farthest = [int(row) for row in np.argsort(-size)[:MOST_ALONE] if size[row] > OUTLYING]
    if not farthest or spare - extreme.sum() < 1:
        return []
    sets = [extreme] * bool(extreme.any()) + [np.arange(n) == row for row in farthest]
    weights = np.array([~left for left in sets], dtype=np.float64)
    theta, _ = refits(fitted.estimate, fitted.rows, weights, n_steps=OUTLIER_STEPS)
    for left, other in zip(sets, theta, strict=True):
        for parameter, value in zip(parameters, other.tolist(), strict=True):
            if _moved(parameter, value):
                effect = f"without {parameter.name} is {value:.4g} instead of {parameter.value:.4g}"
                return [_outlying(left, size, row_numbers, effect, parameter.axis)]
    if extreme.any():
        return [_outlying(extreme, size, row_numbers, "the exponents hardly move without", None)]
    return []


def _outlying(
    left: NDArray[np.bool_],
    size: Floats,
    row_numbers: NDArray[np.intp],
    effect: str,
    axis: str | None,
) -> FitWarning:
    rows = ", ".join(str(row + 1) for row in np.sort(row_numbers[left])[:5])
    more = ", …" if left.sum() > 5 else ""
    message = (
        f"{left.sum()} outlying {'row lies' if left.sum() == 1 else 'rows lie'} "
        f"{size[left].min():.2g} robust deviations or more from the law (row {rows}{more}); {effect}"
    )
    return FitWarning(code="outliers", message=message, axis=axis)


def _moved(parameter: Parameter, value: float) -> bool:
    exponent = parameter.kind in ("exponent", "signed", "slope", "change")
    if not exponent or parameter.low is None or parameter.high is None:
        return False
    return abs(value - parameter.value) > MOVED * (parameter.high - parameter.low)


def _unused_axes(fitted: Fitted) -> list[FitWarning]:
    """Axes that a formula of the user's does not name."""
    used = fitted.form.axes
    return [
        FitWarning(
            code="axis-not-in-law",
            message=f"{axis} is not in the law {fitted.law}: predictions do not depend on it",
            axis=axis,
        )
        for axis, role in fitted.design.roles.items()
        if is_formula(fitted.law) and role != LEFT_OUT and axis not in used
    ]


def _about_table(table: Observations) -> list[FitWarning]:
    made = []
    both = np.column_stack([table.x, table.error])
    n_duplicates = len(both) - len(np.unique(both, axis=0))
    if n_duplicates:
        message = (
            f"{n_duplicates} rows repeat another row exactly, to fewer than {SPECIFIC_DIGITS} digits, and are taken as "
            "runs of their own: leave them out where they are copies"
        )
        made.append(FitWarning(code="duplicate-rows", message=message))
    repeated = _repeated_values(table)
    if repeated:
        shown = ", ".join(f"{value:.12g}" for value in repeated[:3])
        message = (
            f"{table.metric} {shown} stands at more than one configuration to all its digits: "
            "a copy or a typing error?"
        )
        made.append(FitWarning(code="repeated-values", message=message))
    return made


def _repeated_values(table: Observations) -> list[float]:
    """Long numbers at several configurations, where ties are not what the values' own grid explains.

    Values on a grid of step g over a range r tie about n^2 g / 2r times by chance.
    """
    values, counts = np.unique(table.error, return_counts=True)
    found = []
    for value in values[counts > 1].tolist():
        places = np.unique(table.x[table.error == value], axis=0)
        if is_specific(value) and len(places) > 1:
            found.append(value)
    if len(values) < 2:
        return []
    expected = len(table) ** 2 * float(np.diff(values).min() / np.ptp(values)) / 2.0
    return found if len(found) > CHANCE_TIES * expected else []


def _about_exclusions(exclusions: tuple[Exclusion, ...]) -> list[FitWarning]:
    if not exclusions:
        return []
    first = exclusions[0]
    message = f"{len(exclusions)} rows were left out, first row {first.row + 1}: {first.reason}"
    return [FitWarning(code="rows-excluded", message=message)]


def about_suspects(
    suspects: tuple[tuple[int, float], ...], are_runs: bool
) -> tuple[FitWarning, ...]:
    """Warnings of runs (or rows) that are left out as wrong, each with its probability of being so."""
    return tuple(
        FitWarning(
            code="suspect-run",
            message=f"{'run' if are_runs else 'row'} {number} lies far from what all others say of it "
            f"(wrong with probability {probability:.2f}): it is left out of the law; repeat it first",
        )
        for number, probability in suspects
        if probability > SUSPECT
    )


def aicc(fitted: Fitted) -> float | None:
    """Akaike's criterion with the small-sample term; None where there are too few rows for it.

    With the runs' own standard errors the likelihood is normal with variances s_n^2 + tau^2, else
    normal with one unknown variance; for Huber's loss its robust variance takes that place.
    """
    n, p = len(fitted.rows), fitted.form.n_fitted + 1
    if n - p - 1 <= 0:
        return None
    penalty = 2.0 * p + 2.0 * p * (p + 1) / (n - p - 1)
    residual = fitted.estimate.residual
    if fitted.log_std_error is not None and fitted.estimate.loss.delta is None:
        variance = fitted.log_std_error**2 + fitted.tau2
        return float((np.log(2 * math.pi * variance) + residual**2 / variance).sum() + penalty)
    scaled = residual * np.sqrt(fitted.rows.weight)
    noise = dispersion(scaled, fitted.estimate.loss, n - p + 1)
    return float(n * math.log(max(noise.variance * (n - p + 1) / n, 1e-300)) + penalty)


def bic(fitted: Fitted) -> float | None:
    """Schwarz's criterion; None where no row is left to tell the noise.

    It exists for every table with a row more than parameters, where AICc needs three: five rows of one
    axis would leave the one form with two parameters alone in the race.
    """
    n, p = len(fitted.rows), fitted.form.n_fitted
    if n - p < 1:
        return None
    if fitted.deviations is not None:
        return -2.0 * fitted.deviations.log_evidence + p * math.log(n)
    scaled = fitted.estimate.residual * np.sqrt(fitted.rows.weight)
    noise = dispersion(scaled, fitted.estimate.loss, n - p)
    return float(n * math.log(max(noise.variance * (n - p) / n, 1e-300)) + (p + 1) * math.log(n))


def identified(fitted: Fitted) -> bool:
    """Whether the rows tell every parameter of the form that can move (rank of the scaled Jacobian)."""
    free = free_parameters(fitted.estimate)
    finite = bool(np.isfinite(fitted.jacobian).all() and np.isfinite(fitted.covariance).all())
    told = with_priors(fitted.form, fitted.jacobian, fitted.rise)
    return finite and (not free or condition_number(told[:, free]) < ILL_CONDITIONED)


def condition_of(fitted: Fitted) -> float:
    """Condition number of the scaled Jacobian over the parameters that are on no bound, priors beside the rows."""
    free = [spec.name not in fitted.estimate.at_bound for spec in fitted.form.parameters]
    told = with_priors(fitted.form, fitted.jacobian, fitted.rise)
    return condition_number(told[:, free]) if any(free) else 1.0
