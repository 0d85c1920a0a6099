"""Fit a law to a table of runs: the one entry of this room."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

import planner
from planner.errors import FitError, InputError
from planner.laws.estimate import Estimate, Rows, automatic_threshold, estimate
from planner.laws.forms import SLOPE, Form
from planner.laws.identify import Design, design_of, flatten_one, short
from planner.laws.intervals import (
    condition_number,
    correlation_of,
    covariance_of,
    jacobian_of,
    residual_variance,
    wald_parameters,
)
from planner.laws.losses import Loss, parse_loss
from planner.laws.noise import between_run_variance, log_std_error
from planner.laws.observations import Exclusion, Floats, Observations, usable
from planner.laws.registry import build_form
from planner.laws.result import STATUSES, FitWarning, FormScore, LawFit, Member, Parameter

NEGLIGIBLE = 1e-6
"""A term below this share of the law at every run is not there."""
ILL_CONDITIONED = 1e6
"""Condition number of the scaled Jacobian above which single parameters mean nothing."""
MOST_REDUCTIONS = 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fitted:
    """One form fitted to one table: its design, rows, estimate and uncertainty.

    `variance` is that of a residual at weight 1 and `sigma` the spread of one run about the law.
    """

    law: str
    design: Design
    rows: Rows
    scales: Floats
    estimate: Estimate
    jacobian: Floats
    covariance: Floats
    dof: float
    sigma: float


def fit_law(
    observations: Observations,
    *,
    law: str = "auto",
    loss: str = "log",
    seed: int = 0,
    bootstrap: int = 0,
    level: float = 0.9,
    link: str = "log",
) -> LawFit:
    """Fit a scaling law by log residuals.

    Args:
        observations: the runs; rows with values that have no logarithm are excluded and named.
        law: name of a form, or `auto`.
        loss: `log`, `huber:auto` or `huber:DELTA` (in log residuals); summed over rows.
        seed: of everything random; the same seed gives the same fit.
        bootstrap: replicates of the bootstrap, 0 for none.
        level: probability of the parameters' intervals.
        link: `log`, or `odds` for a metric in [0, 1] that must stay there.

    Raises:
        FitError: no estimate exists: too few runs, one level on every axis, collinear axes.
        InputError: an argument is not known.
        UnknownNameError: no law has the name.
    """
    del bootstrap
    if not 0 < level < 1:
        raise InputError(f"level must lie between 0 and 1, got {level!r}")
    if link not in ("log", "odds"):
        raise InputError(f"link must be log or odds, got {link!r}")
    table = _inside_link(usable(observations), link)
    name = "additive" if law == "auto" else law
    fitted = fit_form(table, name, loss, link)
    return _assemble(table, fitted, loss=loss, seed=seed, level=level, link=link)


def fit_form(table: Observations, law: str, loss: str, link: str) -> Fitted:
    """Fit one named form, reduced to what the table identifies; the reasons are in its design."""
    design = design_of(table)
    error_scale = log_std_error(table, link)
    for _ in range(MOST_REDUCTIONS):
        form = build_form(law, design.roles, floor=design.floor)
        n_needed = form.n_parameters + 1
        n_distinct = len(np.unique(table.x, axis=0))
        if len(table) < n_needed or n_distinct < form.n_parameters:
            design = flatten_one(table, design, n_needed)
            continue
        rows, scales = scaled_rows(table, form, link)
        fitted, rows = _weighted_estimate(form, rows, error_scale, loss)
        smaller = _reduced(design, fitted, rows)
        if smaller is None:
            break
        design = smaller
    return _with_uncertainty(law, design, rows, scales, fitted, error_scale)


def scaled_rows(table: Observations, form: Form, link: str) -> tuple[Rows, Floats]:
    """Log axes about their means, log error (or log odds), weights of mean 1; and the scales."""
    columns = [table.axes.index(axis) for axis in form.axes]
    logs = np.log(table.x[:, columns])
    centre = logs.mean(0)
    error = table.error
    y = np.log(error / (1.0 - error)) if link == "odds" else np.log(error)
    weight = np.ones(len(y)) if table.weight is None else table.weight / table.weight.mean()
    return Rows(z=logs - centre, y=y, weight=weight), np.exp(centre)


def _weighted_estimate(
    form: Form, rows: Rows, error_scale: Floats | None, loss: str
) -> tuple[Estimate, Rows]:
    """The estimate; with standard errors, weights and between-run variance in turn until they agree."""
    kind, delta = parse_loss(loss)

    def fit(these: Rows) -> Estimate:
        if kind == "huber" and delta is None:
            return estimate(form, these, automatic_threshold(form, these))
        return estimate(form, these, Loss(delta=delta))

    if error_scale is None:
        return fit(rows), rows
    tau2, given = 0.0, rows.weight
    for _ in range(8):
        inverse = given / (error_scale**2 + tau2)
        rows = dataclasses.replace(rows, weight=inverse / inverse.mean())
        fitted = fit(rows)
        dof = len(rows) - form.n_parameters
        previous, tau2 = tau2, between_run_variance(fitted.residual, error_scale, dof)
        if abs(tau2 - previous) <= 1e-6 * max(tau2, 1e-12):
            break
    return fitted, rows


def _reduced(design: Design, fitted: Estimate, rows: Rows) -> Design | None:
    """The design without the terms that the best fit sends to zero, or None."""
    form = fitted.form
    terms = form.at(rows.z).log_terms(fitted.theta[None])
    top = fitted.residual + rows.y
    names = [spec for spec in form.parameters if spec.is_log]
    for spec, term in zip(names, terms, strict=True):
        if float((term[0] - top).max()) > np.log(NEGLIGIBLE):
            continue
        if spec.kind == "floor":
            return design.without_floor(
                FitWarning(
                    code="floor-not-identified",
                    message="floor not identified: the best fit sends E to 0, so the law has none",
                )
            )
        if spec.axis is not None:
            return design.with_role(
                spec.axis,
                SLOPE,
                FitWarning(
                    code="axis-not-lowering",
                    message=f"{short(spec.axis)} does not lower the error as a power law would: "
                    "a slope of either sign is fitted for it",
                    axis=spec.axis,
                ),
            )
    return None


def _with_uncertainty(
    law: str,
    design: Design,
    rows: Rows,
    scales: Floats,
    fitted: Estimate,
    error_scale: Floats | None,
) -> Fitted:
    jacobian = jacobian_of(fitted, rows)
    dof = len(rows) - fitted.form.n_parameters
    variance = residual_variance(fitted, rows)
    sigma = float(np.sqrt(variance))
    if error_scale is not None:
        tau2 = between_run_variance(fitted.residual, error_scale, dof)
        # The stated standard errors are believed as a lower limit: a lucky misfit narrows nothing.
        variance = max(variance, 1.0 / float((1.0 / (error_scale**2 + tau2)).mean()))
        sigma = float(np.sqrt(np.median(error_scale) ** 2 + tau2))
    return Fitted(
        law=law,
        design=design,
        rows=rows,
        scales=scales,
        estimate=fitted,
        jacobian=jacobian,
        covariance=covariance_of(fitted, jacobian, variance),
        dof=float(dof),
        sigma=sigma,
    )


def _assemble(
    table: Observations, fitted: Fitted, *, loss: str, seed: int, level: float, link: str
) -> LawFit:
    best = fitted.estimate
    parameters = wald_parameters(best, fitted.covariance, fitted.dof, level, table.metric)
    condition = condition_number(fitted.jacobian)
    warnings = list(fitted.design.warnings)
    warnings += _parameter_warnings(parameters, fitted, condition)
    warnings += _excluded(table.exclusions)
    statuses = _statuses(warnings)
    member = Member(
        law=fitted.law,
        weight=1.0,
        roles=tuple(fitted.design.roles.items()),
        floor=fitted.design.floor,
        scales=tuple(fitted.scales.tolist()),
        theta=tuple(best.theta.tolist()),
        covariance=tuple(tuple(row) for row in fitted.covariance.tolist()),
        dof=fitted.dof,
        sigma=fitted.sigma,
    )
    score = FormScore(
        law=fitted.law,
        n_parameters=best.form.n_parameters,
        objective=best.objective,
        weight=1.0,
        status=statuses[0],
    )
    return LawFit(
        law=fitted.law,
        metric=table.metric,
        link=link,
        axes=table.axes,
        roles=member.roles,
        status=statuses[0],
        statuses=statuses,
        warnings=tuple(warnings),
        parameters=parameters,
        loss=loss,
        delta=best.loss.delta,
        objective=best.objective,
        forms=(score,),
        members=(member,),
        domain=tuple((axis, *table.domain(axis)) for axis in table.axes),
        levels=tuple((axis, table.levels(axis)) for axis in table.axes),
        n_runs=len(table),
        n_parameters=best.form.n_parameters,
        dof=fitted.dof,
        sigma=fitted.sigma,
        level=level,
        correlation=tuple(tuple(row) for row in correlation_of(fitted.covariance).tolist()),
        condition_number=condition,
        gradient_norm=best.gradient_norm,
        n_starts=best.n_starts,
        n_agree=best.n_agree,
        residuals=tuple(best.residual.tolist()),
        run_ids=table.run_ids,
        exclusions=table.exclusions,
        seed=seed,
        version=planner.__version__,
    )


def _parameter_warnings(
    parameters: tuple[Parameter, ...], fitted: Fitted, condition: float
) -> list[FitWarning]:
    made = []
    for parameter in parameters:
        if "at-bound" in parameter.flags:
            made.append(
                FitWarning(
                    code="at-bound",
                    message=f"{parameter.name} = {parameter.value:.4g} lies on its bound: the data "
                    "fix no value",
                    axis=parameter.axis,
                )
            )
        elif "not-identified" in parameter.flags:
            code = (
                "floor-not-identified" if parameter.kind == "floor" else "parameter-not-identified"
            )
            subject = (
                "floor not identified"
                if parameter.kind == "floor"
                else f"{parameter.name} not identified"
            )
            shown = (
                f"{parameter.low:.2g} to {parameter.high:.2g}"
                if parameter.low is not None and parameter.high is not None
                else "unbounded"
            )
            made.append(
                FitWarning(
                    code=code, message=f"{subject}: its interval is {shown}", axis=parameter.axis
                )
            )
    if condition > ILL_CONDITIONED:
        made.append(
            FitWarning(
                code="ill-conditioned",
                message=f"condition number {condition:.1e}: single parameters mean nothing, predictions may",
            )
        )
    if not fitted.estimate.converged:
        made.append(
            FitWarning(
                code="not-converged", message="the optimiser ended before its tolerance was met"
            )
        )
    return made


def _excluded(exclusions: tuple[Exclusion, ...]) -> list[FitWarning]:
    if not exclusions:
        return []
    first = exclusions[0]
    return [
        FitWarning(
            code="rows-excluded",
            message=f"{len(exclusions)} rows were left out, first row {first.row}: {first.reason}",
        )
    ]


def _statuses(warnings: list[FitWarning]) -> tuple[str, ...]:
    by_code = {
        "axis-one-level": "too-few-levels",
        "axis-two-levels": "too-few-levels",
        "too-few-runs": "too-few-levels",
        "parameter-not-identified": "at-bound",
    }
    found = {by_code.get(warning.code, warning.code) for warning in warnings}
    kept = tuple(status for status in STATUSES if status in found)
    return kept or ("converged",)


def _inside_link(table: Observations, link: str) -> Observations:
    if link == "odds" and not (table.error < 1).all():
        row = int(np.argmax(table.error >= 1))
        raise FitError(
            f"link odds needs {table.metric} below 1, row {row} has {table.error[row]:g}; use link log"
        )
    return table
