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
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from planner.laws.dispersion import dispersion
from planner.laws.identify import Design
from planner.laws.intervals import condition_number
from planner.laws.losses import robust_sigma
from planner.laws.observations import Exclusion, Observations
from planner.laws.result import STATUSES, FitWarning, Parameter
from planner.laws.single import Fitted, Setting, fit_form

ILL_CONDITIONED = 1e6
"""Condition number of the scaled Jacobian above which single parameters mean nothing."""
OUTLYING = 5.0
"""Robust standard deviations beyond which a row's effect on the exponents is tried out."""
MOST_OUTLYING = 0.1
"""Largest share of rows that are tried out together: more are not outliers but the data."""
MOVED = 0.5
"""Share of an exponent's interval that outliers must move it by to be reported."""
LIKELY = 6.0
"""Another optimum is reported where its log-likelihood falls short by less (chi^2 of 2 dof, 95 %)."""
SPECIFIC_DIGITS = 5
"""An error given to this many digits that repeats at another configuration is a typing error or a copy."""


def warnings_of(
    table: Observations, fitted: Fitted, parameters: tuple[Parameter, ...], setting: Setting
) -> tuple[FitWarning, ...]:
    """All warnings of one fitted form, gravest first within each kind."""
    made = list(fitted.design.warnings)
    made += [w for p in parameters for w in _about_parameter(p)]
    made += _about_optimum(fitted)
    made += outliers(table, fitted, parameters, setting)
    made += _about_table(table)
    made += _about_exclusions(table.exclusions)
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
    free = [spec.name not in best.at_bound for spec in fitted.form.parameters]
    condition = condition_number(fitted.jacobian[:, free]) if any(free) else 1.0
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
        message = (
            f"{fitted.dof:.0f} runs more than parameters: intervals rest on a guess of the noise"
        )
        made.append(FitWarning(code="few-runs", message=message))
    return made


def outliers(
    table: Observations, fitted: Fitted, parameters: tuple[Parameter, ...], setting: Setting
) -> list[FitWarning]:
    """Rows far from the law whose removal moves an exponent by more than half its interval."""
    scaled = fitted.estimate.residual * np.sqrt(fitted.rows.weight)
    size = np.abs(scaled) / max(robust_sigma(scaled), 1e-300)
    far = size > OUTLYING
    if not far.any() or far.mean() > MOST_OUTLYING or len(table) - far.sum() <= len(parameters):
        return []
    without = fit_form(table.rows(~far), fitted.law, setting, _plain(fitted.design))
    names = [spec.name for spec in without.form.parameters]
    for parameter in parameters:
        if (
            parameter.kind not in ("exponent", "signed", "slope", "change")
            or parameter.name not in names
        ):
            continue
        other = float(without.estimate.theta[names.index(parameter.name)])
        if parameter.low is None or parameter.high is None:
            continue
        moved = abs(other - parameter.value)
        if moved > MOVED * (parameter.high - parameter.low):
            rows = ", ".join(str(row) for row in np.flatnonzero(far)[:5])
            message = (
                f"{far.sum()} rows lie more than {OUTLYING:g} robust deviations from the law "
                f"(fitted rows {rows}{', …' if far.sum() > 5 else ''}); without them "
                f"{parameter.name} is {other:.4g} instead of {parameter.value:.4g}"
            )
            return [FitWarning(code="outliers", message=message, axis=parameter.axis)]
    return []


def _plain(design: Design) -> Design:
    return dataclasses.replace(design, warnings=())


def _about_table(table: Observations) -> list[FitWarning]:
    made = []
    both = np.column_stack([table.x, table.error])
    n_duplicates = len(both) - len(np.unique(both, axis=0))
    if n_duplicates:
        message = f"{n_duplicates} rows repeat another row exactly: they are no further evidence"
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
    values, counts = np.unique(table.error, return_counts=True)
    found = []
    for value in values[counts > 1].tolist():
        digits = len(f"{abs(value):.12g}".replace(".", "").lstrip("0").rstrip("0"))
        places = np.unique(table.x[table.error == value], axis=0)
        if digits >= SPECIFIC_DIGITS and len(places) > 1:
            found.append(value)
    return found


def _about_exclusions(exclusions: tuple[Exclusion, ...]) -> list[FitWarning]:
    if not exclusions:
        return []
    first = exclusions[0]
    message = f"{len(exclusions)} rows were left out, first row {first.row}: {first.reason}"
    return [FitWarning(code="rows-excluded", message=message)]


def aicc(fitted: Fitted) -> float | None:
    """Akaike's criterion with the small-sample term; None where there are too few rows for it.

    With the runs' own standard errors the likelihood is normal with variances s_n^2 + tau^2, else
    normal with one unknown variance; for Huber's loss its robust variance takes that place.
    """
    n, p = len(fitted.rows), fitted.form.n_parameters + 1
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
