"""Which form: extrapolation from the cheap runs to the costly ones, with AICc beside it.

Every candidate is fitted to one part of the table and judged by its log residuals on what was held
back: the costliest 30 % and 15 % of the rows, and the upper end of each axis, as a plan asks for what
was not run. Forms are then weighted, not only ranked: a hold-out whose rows share one fitted law's
error is one piece of evidence, so with H hold-outs of mean squared error m_h

    weight ~ prod_h m_h^(-1/2),

the likelihood of H independent normal errors. Where the noise of the runs is known its variance is added to
m_h, as no form can do better and a smaller error is luck, and the mean with the forms' evidence (the
likelihood averaged over variances, with Schwarz's penalty) is taken: a handful of hold-outs jumps. For the same
reason the hold-outs' weights are then averaged over Bayesian bootstraps of them and of their rows (pseudo-BMA+,
Yao, Vehtari, Simpson and Gelman 2018): a row more or less does not turn the answer over. Where
too few runs allow no hold-out the weights are Schwarz's, exp(-BIC / 2), which exists for every form that can
be fitted. A form that the rows do not identify, or whose optimiser did not end, has no weight while another
has.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math

import numpy as np
from numpy.typing import NDArray

from planner.errors import FitError, UnknownNameError
from planner.laws.diagnose import aicc, bic
from planner.laws.forms.base import LEFT_OUT, POWER, SLOPE
from planner.laws.forms.power_laws import COVARIATE
from planner.laws.forms.registry import build_form
from planner.laws.identify import Design
from planner.laws.observations import Floats, Observations
from planner.laws.one_form import Fitted, Setting, fit_form
from planner.laws.solver.losses import parse_loss
from planner.laws.turning import bent_axes, turning_axes
from planner.laws.uncertainty.beyond import beyond_of
from planner.laws.uncertainty.bootstrap import refits
from planner.laws.weighing import Candidate, left_out, weights_of
from planner.words.axes import COMPUTE_AXES

HELD_OUT = (0.3, 0.15)
"""Shares of the rows, costliest first, that are held out."""
SMALLEST_END, LARGEST_END = 0.1, 0.4
"""Shares of the rows between which the upper end of an axis is held out."""
NEAR = 0.5
"""Share of the largest weight from which a form is as good as the heaviest."""
SPARE_RUNS = 2
"""A candidate needs this many runs more than parameters."""
HOLD_OUT_STEPS = 50
"""Most Newton steps of a refit without the held-out rows: a form that needs more is no contender."""
LEVELS_FOR_A_BREAK = 6
"""Levels of an axis from which a break on it is tried."""


def candidate_laws(table: Observations, design: Design) -> list[str]:
    """Names of the forms that make sense for that many power axes."""
    power = design.power_axes
    if not power:
        return ["log-linear"]
    laws = ["additive", "log-linear"]
    if len(power) == 1:
        laws += ["shifted", "saturating"]
    else:
        laws += ["multiplicative", "shared-exponent"]
        laws += [f"sum:{'*'.join(power)}+{axis}" for axis in power]
    if len(power) == 2:
        laws.append("additive+joint")
    if len(power) == 3:
        for pair in itertools.combinations(power, 2):
            base = f"sum:{'*'.join(pair)}+{next(a for a in power if a not in pair)}"
            laws += [base, *(f"{base}+{axis}" for axis in pair)]
    if COVARIATE in power and len(power) > 1:
        laws += ["add-interact", "add-interact-simple"]
    bent = bent_axes(table, design)
    if bent:
        laws.append(f"valley:{'+'.join(bent)}")
        if len(bent) == 1 and len(table.levels(bent[0])) >= LEVELS_FOR_A_BREAK:
            laws.append(f"bnsl-1:{bent[0]}")
    turning = turning_axes(table, design)
    if turning:
        named = "+".join(turning)
        laws += [f"optimum:{named}", f"optimum-skew:{named}"]
    return laws


def select(table: Observations, design: Design, setting: Setting) -> list[Candidate]:
    """All candidates, the chosen one first, then by weight.

    Chosen is the smallest of the forms that weigh at least NEAR of the heaviest: a form with more
    parameters must be clearly better to be the one that is reported.

    Raises:
        FitError: no candidate can be fitted.
    """
    laws = [*candidate_laws(table, design), *setting.also]
    setting = _common_loss(table, laws, setting)
    held = hold_outs(table, design)
    found: list[Candidate] = []
    seen: set[tuple[str, ...]] = set()
    problem: FitError | UnknownNameError | None = None
    for law in laws:
        try:
            found.append(_try(table, law, setting, held, seen))
        except FitError as error:
            problem = error
        except UnknownNameError as error:
            if not setting.known:
                raise
            problem = error
            found.append(Candidate(law=law, n_parameters=0, fitted=None, note=_unheard(error)))
    fitted = [candidate for candidate in found if candidate.fitted is not None]
    if not fitted:
        raise problem or FitError(f"no form can be fitted to {len(table)} runs; add runs")
    weights = weights_of(fitted, len(held))
    weighted = [
        dataclasses.replace(candidate, weight=weight, note=candidate.note or left_out(candidate))
        for candidate, weight in zip(fitted, weights, strict=True)
    ]
    rest = [candidate for candidate in found if candidate.fitted is None]
    order = sorted(weighted, key=lambda c: (-c.weight, c.n_parameters, c.law))
    near = [c for c in order if c.weight >= NEAR * order[0].weight]
    chosen = min(near, key=lambda c: c.n_parameters)
    return [chosen, *(c for c in order if c is not chosen), *rest]


def _unheard(error: UnknownNameError) -> str:
    """Why a form is not tried that has no parameter of which something is known."""
    return f"not tried: {str(error).split(';')[0]}"


def _common_loss(table: Observations, laws: list[str], setting: Setting) -> Setting:
    """One threshold for all forms, that of the form with the least noise: objectives compare."""
    kind, delta = parse_loss(setting.loss)
    if kind != "huber" or delta is not None:
        return setting
    fits = []
    for law in laws:
        with contextlib.suppress(FitError, UnknownNameError):
            fits.append(fit_form(table, law, setting))
    if not fits:
        return setting
    chosen = min(fits, key=lambda fitted: fitted.sigma).estimate.loss
    return dataclasses.replace(setting, loss=f"huber:{float(chosen.delta or 0.0)!r}", shared=chosen)


def _try(
    table: Observations,
    law: str,
    setting: Setting,
    held: list[NDArray[np.bool_]],
    seen: set[tuple[str, ...]],
) -> Candidate:
    fitted = fit_form(table, law, setting)
    p = fitted.form.n_fitted
    signature = tuple(sorted(fitted.form.formula().split()))
    codes = {warning.code for warning in fitted.design.warnings}
    if signature in seen:
        return Candidate(law=law, n_parameters=p, fitted=None, note="reduces to a form above")
    if law != "log-linear" and len(table) < p + SPARE_RUNS and "too-few-runs" in codes:
        return Candidate(law=law, n_parameters=p, fitted=None, note="too few runs")
    seen.add(signature)
    theta = _held_refits(fitted, held)
    return Candidate(
        law=law,
        n_parameters=p,
        fitted=fitted,
        aicc=aicc(fitted),
        bic=bic(fitted),
        cv_error=extrapolation_error(fitted, held, theta, setting),
        beyond=beyond_of(fitted, held, theta),
        held=_held_squares(fitted, held, theta),
    )


def hold_outs(table: Observations, design: Design) -> list[NDArray[np.bool_]]:
    """Which rows each hold-out keeps back: the costliest shares, and each power axis's upper end.

    An axis's upper end is its highest levels, as few as make SMALLEST_END of the rows. A hold-out must
    leave the other rows able to carry the additive law: enough of them, and its levels on every axis. An
    axis with a best value inside (a learning rate) is no cost, and nobody plans beyond its upper end.
    """
    tuned = [a for a in turning_axes(table, design) if a not in COMPUTE_AXES]
    bought = [i for i, a in enumerate(table.axes) if a not in tuned] or list(range(len(table.axes)))
    cost = np.log(table.x[:, bought]).sum(1) if table.cost is None else table.cost
    rank = np.argsort(np.argsort(cost, kind="stable"), kind="stable")
    n = len(table)
    held = [rank >= n - max(round(share * n), 1) for share in HELD_OUT]
    for axis in (a for a in design.power_axes if a not in tuned):
        column = table.x[:, table.axes.index(axis)]
        edge = np.sort(column)[-max(math.ceil(SMALLEST_END * n), 1)]
        held.append(column >= edge * (1.0 - 1e-9))
    return [h for h in held if h.mean() <= LARGEST_END and _carries(table.rows(~h), design)]


def _carries(train: Observations, design: Design) -> bool:
    needed = {POWER: 3, SLOPE: 2, LEFT_OUT: 1}
    levels = all(len(train.levels(axis)) >= needed[role] for axis, role in design.roles.items())
    n_parameters = build_form("additive", design.roles).n_parameters
    return levels and len(train) >= n_parameters + SPARE_RUNS


def _held_refits(fitted: Fitted, held: list[NDArray[np.bool_]]) -> Floats | None:
    """The form refitted without each hold-out, shape (held, p); None where one leaves it too few rows.

    All are refitted in one batch: a held-out row has weight 0.
    """
    weights = np.array([~h for h in held], dtype=np.float64)
    if not held or weights.sum(1).min() < fitted.form.n_fitted + SPARE_RUNS:
        return None
    return refits(fitted.estimate, fitted.rows, weights, n_steps=HOLD_OUT_STEPS)[0]


def extrapolation_error(
    fitted: Fitted, held: list[NDArray[np.bool_]], theta: Floats | None, setting: Setting
) -> float | None:
    """Root mean square log residual on what was held out, fitted to the others (`theta`).

    The geometric mean over the hold-outs, as they differ in difficulty; None where there is none.
    """
    if theta is None:
        return None
    residual = fitted.form.at(fitted.rows.z).log_mean(theta) - fitted.rows.y
    logs = [
        0.5 * math.log(max(_mean_square(r[h], setting.loss), 1e-30))
        for r, h in zip(residual, held, strict=True)
    ]
    return math.exp(sum(logs) / len(logs))


def _held_squares(
    fitted: Fitted, held: list[NDArray[np.bool_]], theta: Floats | None
) -> tuple[Floats, ...]:
    """Squared log residuals on each hold-out of the fit to the others."""
    if theta is None:
        return ()
    residual = fitted.form.at(fitted.rows.z).log_mean(theta) - fitted.rows.y
    return tuple(r[h] ** 2 for r, h in zip(residual, held, strict=True))


def _mean_square(residual: Floats, loss: str) -> float:
    """Mean square; for Huber's losses the squared mean absolute value, which one outlier cannot own."""
    if loss == "log":
        return float((residual**2).mean())
    return float(np.abs(residual).mean() ** 2)
