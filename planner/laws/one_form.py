"""One named form on one table: reduced to what the table identifies, estimated, with uncertainty."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from planner.laws.control import Constraint, controlled
from planner.laws.forms.base import Form
from planner.laws.forms.controlled import Controlled
from planner.laws.forms.coverage import Covered, DurationHistogram
from planner.laws.forms.link import Link
from planner.laws.forms.registry import build_form
from planner.laws.identify import Design, design_of, flatten_one
from planner.laws.observations import Floats, Observations
from planner.laws.parts import Member
from planner.laws.reducing import reduced
from planner.laws.solver.dispersion import Dispersion
from planner.laws.solver.estimate import N_STARTS, Estimate, Rows, automatic_threshold, estimate
from planner.laws.solver.losses import Loss, parse_loss
from planner.laws.solver.row_weights import between_run_variance, log_std_error
from planner.laws.uncertainty.deviations import (
    Deviations,
    configurations_of,
    covariance_of,
    deviations_of,
    row_weights,
)
from planner.laws.uncertainty.few_rows import with_usual
from planner.laws.uncertainty.intervals import (
    Uncertainty,
    dispersion_of,
    free_parameters,
    jacobian_of,
    uncertainty_of,
)
from planner.laws.uncertainty.known_noise import by_known_noise, prior_deviations, scatter_of
from planner.laws.uncertainty.misfit import inflation, lag_one

MOST_REDUCTIONS = 20
PRIOR_ROUNDS, NOISE_SETTLED = 30, 1e-4
"""Most rounds of estimate and noise under priors, which pull the law off its rows, and their relative change that ends
them."""
KNOWN_DOF = 1e6
"""Degrees of freedom of a member whose variances are given: the spread between members is the doubt."""
WINDOW_AXIS = "audio_seconds"
"""The axis whose window leaves audio out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How a form is fitted: loss by name, link, and the coverage floor's histogram if there is one.

    `shared` is the loss of several forms, so that objectives compare; `also` are laws that selection tries besides;
    `known` is what the user says of parameters.
    """

    loss: str = "log"
    shared: Loss | None = None
    link: Link = field(default_factory=Link)
    coverage: DurationHistogram | None = None
    also: tuple[str, ...] = ()
    known: tuple[Constraint, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fitted:
    """One form fitted to one table: its design, rows, estimate and uncertainty.

    `deviations` are the variances that the rows' known noise leaves likely, if it is known;
    `rise` is the dispersion of the objective, `sigma` the spread of one run about the law and
    `log_std_error` the runs' own standard errors, if the table has them.
    """

    law: str
    design: Design
    rows: Rows
    scales: Floats
    estimate: Estimate
    jacobian: Floats
    spread: Uncertainty
    rise: float
    sigma: float
    log_std_error: Floats | None
    tau2: float
    coverage: DurationHistogram | None
    deviations: Deviations | None = None
    noise_own: Floats = field(default_factory=lambda: np.empty(0))
    group: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    noise_pairs: Floats | None = None

    @property
    def form(self) -> Form:
        """The form, with its known floor if it has one."""
        return self.estimate.form

    @property
    def covariance(self) -> Floats:
        """Of the working parameters, shape (p, p)."""
        return self.spread.covariance

    @property
    def dof(self) -> float:
        """Degrees of freedom of Student's quantile."""
        return self.spread.dof

    def members(self, weight: float) -> tuple[Member, ...]:
        """The form as parts of an answer: one for each pair of variances that is as likely as another."""
        if self.deviations is None:
            return (self._member(weight, self.covariance, self.dof, self.sigma, None, None),)
        nodes = self.deviations.nodes()
        scatter = scatter_of(self.estimate, self.rows, self.noise_own, self.group, self.noise_pairs)
        own = float(np.median(self.noise_own))
        out = []
        free = free_parameters(self.estimate)
        prior = prior_deviations(self.form)
        for tau2, omega2, share in zip(nodes.tau2, nodes.omega2, nodes.weight, strict=True):
            pair = float(tau2), float(omega2)
            covariance = np.zeros((self.form.n_parameters,) * 2)
            covariance[np.ix_(free, free)] = covariance_of(scatter, prior[free], *pair)
            sigma = float(np.sqrt(sum(pair) + own))
            out.append(
                self._member(weight * float(share), covariance, KNOWN_DOF, sigma, *pair),
            )
        return tuple(out)

    def _member(
        self,
        weight: float,
        covariance: Floats,
        dof: float,
        sigma: float,
        tau2: float | None,
        omega2: float | None,
    ) -> Member:
        return Member(
            law=self.law,
            weight=weight,
            roles=tuple(self.design.roles.items()),
            floor=self.design.floor,
            scales=tuple(self.scales.tolist()),
            theta=tuple(self.estimate.theta.tolist()),
            covariance=tuple(tuple(row) for row in covariance.tolist()),
            dof=dof,
            sigma=sigma,
            coverage=None
            if self.coverage is None
            else (self.coverage.seconds, self.coverage.words),
            tau2=tau2,
            omega2=omega2,
        )


def fit_form(
    table: Observations,
    law: str,
    setting: Setting,
    design: Design | None = None,
    guide: Fitted | None = None,
) -> Fitted:
    """Fit one named form, reduced to what the table identifies; the reasons are in its design.

    Args:
        table: usable rows.
        law: name of the form.
        setting: loss, link and coverage.
        design: roles to begin with; None: by the table's levels.
        guide: a fit of the same law to a larger table: its scales are kept and its estimate is one
            of the starts.

    Raises:
        FitError: the table cannot carry even slopes.
        UnknownNameError: the form has no parameter of which something is known.
    """
    design, n_points = design or design_of(table), table.n_points()
    for _ in range(MOST_REDUCTIONS):
        bare = build_form(law, design.roles, floor=design.floor)
        guided = guide is not None and guide.form.parameters == bare.parameters
        known = guide if guided else None
        rows, scales = scaled_rows(
            table, bare, setting.link, None if known is None else known.scales
        )
        bare.check_rows(rows.z)
        form = _covered(bare, scales, setting.coverage)
        form = controlled(form, setting.known, scales, setting.link)
        n_needed = form.n_fitted + 1
        if len(table) < n_needed or n_points < form.n_fitted:
            design = flatten_one(table, design, n_needed)
            continue
        fitted, rows, tau2 = _weighted_estimate(form, rows, table, setting, known)
        smaller = reduced(design, fitted, rows, setting.known)
        if smaller is None:
            break
        design = smaller
    return _with_uncertainty(law, design, rows, scales, fitted, table, tau2, setting)


def scaled_rows(
    table: Observations, form: Form, link: Link, scales: Floats | None = None
) -> tuple[Rows, Floats]:
    """Log axes about their means (or given scales), log error, weights of mean 1; and the scales."""
    logs = np.log(table.x[:, [table.axes.index(axis) for axis in form.axes]])
    given = np.ones(len(form.axes)) if form.unscaled else scales
    centre = logs.mean(0) if given is None else np.log(given)
    weight = np.ones(len(table)) if table.weight is None else table.weight / table.weight.mean()
    return Rows(z=logs - centre, y=link.forward(table.error), weight=weight), np.exp(centre)


def _covered(form: Form, scales: Floats, coverage: DurationHistogram | None) -> Form:
    if coverage is None or WINDOW_AXIS not in form.axes:
        return form
    return Covered(form, coverage, WINDOW_AXIS, float(scales[form.axes.index(WINDOW_AXIS)]))


def _is_covered(form: Form) -> bool:
    return isinstance(form.base if isinstance(form, Controlled) else form, Covered)


def _weighted_estimate(
    form: Form, rows: Rows, table: Observations, setting: Setting, guide: Fitted | None
) -> tuple[Estimate, Rows, float]:
    """The estimate; with standard errors, weights and between-run variance in turn until they agree."""
    kind, delta = parse_loss(setting.loss)
    error_scale = log_std_error(table, setting.link)

    def fit(these: Rows, near: Floats | None, n_starts: int = N_STARTS) -> Estimate:
        loss = setting.shared or Loss(delta=delta)
        if kind == "huber" and loss.delta is None:
            loss = automatic_threshold(form, these, near) if guide is None else guide.estimate.loss
        return estimate(form, these, loss, near=near, n_starts=n_starts if guide is None else 2)

    near = None if guide is None else guide.estimate.theta
    if table.noise is not None:
        return by_known_noise(rows, table, fit, near)
    if error_scale is None:
        return _believing(fit(rows, near), rows), rows, 0.0
    tau2, given = 0.0, rows.weight
    for _ in range(10):
        inverse = given / (error_scale**2 + tau2)
        rows = dataclasses.replace(rows, weight=inverse / inverse.mean())
        fitted = fit(rows, near)
        near = fitted.theta
        dof = len(rows) - form.n_fitted
        previous, tau2 = tau2, between_run_variance(fitted.residual, error_scale, dof)
        if abs(tau2 - previous) <= 1e-6 * max(tau2, 1e-12):
            break
    return _believing(fitted, rows), rows, tau2


def _believing(fitted: Estimate, rows: Rows) -> Estimate:
    """The estimate again with what is believed of its parameters, weighed by the noise of the rows."""
    for _ in range(PRIOR_ROUNDS if fitted.form.priors else 0):
        assert isinstance(fitted.form, Controlled)
        noise = dispersion_of(fitted, rows).variance
        if abs(noise - fitted.form.noise) <= NOISE_SETTLED * noise:
            break
        form = fitted.form.beside(noise)
        fitted = estimate(form, rows, fitted.loss, near=fitted.theta, n_starts=2)
    return fitted


def _with_uncertainty(
    law: str,
    design: Design,
    rows: Rows,
    scales: Floats,
    fitted: Estimate,
    table: Observations,
    tau2: float,
    setting: Setting,
) -> Fitted:
    if table.noise is not None:
        return _with_known_noise(law, design, rows, scales, fitted, table, setting)
    jacobian = jacobian_of(fitted, rows)
    noise = dispersion_of(fitted, rows)
    if table.group is None:
        alike = fitted.residual * np.sqrt(rows.weight)
        noise = noise.widened(inflation(lag_one(alike, rows.z, fitted.form.n_fitted)))
    dof = len(rows) - fitted.form.n_fitted
    noise, usual = with_usual(noise, dof if setting.link.name == "log" else len(rows))
    sigma = float(np.sqrt(noise.variance))
    error_scale = log_std_error(table, setting.link)
    if error_scale is not None:
        # The stated standard errors are believed as a lower limit: a lucky misfit narrows nothing.
        stated = 1.0 / float((1.0 / (error_scale**2 + tau2)).mean())
        noise = noise.widened(max(stated / max(noise.variance, 1e-300), 1.0))
        sigma = float(np.sqrt(np.median(error_scale) ** 2 + tau2))
    spread = uncertainty_of(fitted, jacobian, noise, rows, table.group)
    spread = dataclasses.replace(spread, dof=spread.dof + usual)
    return Fitted(
        law=law,
        design=design,
        rows=rows,
        scales=scales,
        estimate=fitted,
        jacobian=jacobian,
        spread=spread,
        rise=noise.rise,
        sigma=sigma,
        log_std_error=error_scale,
        tau2=tau2,
        coverage=setting.coverage if _is_covered(fitted.form) else None,
    )


def _with_known_noise(
    law: str,
    design: Design,
    rows: Rows,
    scales: Floats,
    fitted: Estimate,
    table: Observations,
    setting: Setting,
) -> Fitted:
    """As `_with_uncertainty`, from the noise that is known and the variances that it leaves likely."""
    assert table.noise is not None
    own, group = table.noise.own, configurations_of(table.group, len(table))
    likely = deviations_of(scatter_of(fitted, rows, own, group, table.noise.pairs))
    tau2, omega2 = likely.mean()
    variance = 1.0 / float(row_weights(own, group, tau2, omega2).mean())
    dof = float(max(int(group.max()) + 1 - fitted.form.n_parameters, 1))
    jacobian = jacobian_of(fitted, rows)
    noise = Dispersion(variance, variance, (2.0 * dof) ** -0.5, 1.0)
    spread = uncertainty_of(fitted, jacobian, noise, rows, None, equal=True)
    return Fitted(
        law=law,
        design=design,
        rows=rows,
        scales=scales,
        estimate=fitted,
        jacobian=jacobian,
        spread=dataclasses.replace(spread, dof=dof),
        rise=variance,
        sigma=float(np.sqrt(tau2 + omega2 + np.median(own))),
        log_std_error=np.sqrt(own + omega2),
        tau2=tau2,
        coverage=setting.coverage if _is_covered(fitted.form) else None,
        deviations=likely,
        noise_own=own,
        group=group,
        noise_pairs=table.noise.pairs,
    )
