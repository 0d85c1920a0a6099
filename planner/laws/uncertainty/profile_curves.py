"""Profile-likelihood curves of a fitted law: how the misfit grows as one parameter moves away."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from planner.laws.leading import leading_form
from planner.laws.observations import Floats, Observations
from planner.laws.one_form import Fitted
from planner.laws.parts import Parameter
from planner.laws.result import LawFit
from planner.laws.uncertainty.profile import ProfiledParameter, curve
from planner.words.student import t_quantile

PROFILED = ("floor", "exponent", "signed", "slope", "change")
"""Kinds of parameters that are drawn: the floor and every exponent."""
DRAWN_BEYOND = 1.8
"""The curve ends at this many times the cut."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ProfileCurve:
    """The profile of one parameter.

    Attributes:
        parameter: with its interval, as the fit reports it.
        values: of the parameter in natural units, ascending, shape (m,).
        deviance: 2 (objective - least objective) / dispersion at each, all other parameters refitted,
            shape (m,); a parabola where a Student-t interval is exact.
        parabola: that parabola at the same values, in the logarithm of a positive parameter; NaN where
            the parameter has no standard error.
        cut: the deviance at the ends of the interval, t^2.
    """

    parameter: Parameter
    values: Floats
    deviance: Floats
    parabola: Floats
    cut: float


def profile_curves(observations: Observations, fit: LawFit) -> tuple[ProfileCurve, ...]:
    """Profiles of the floor and the exponents of the leading form.

    Args:
        observations: the table that was fitted.
        fit: the law; its leading form is fitted again, which is the same to the last bit.
    """
    fitted, _ = leading_form(observations, fit)
    return tuple(
        _curve(fitted, i, parameter, fit)
        for i, parameter in enumerate(fit.parameters)
        if parameter.kind in PROFILED
        and ("at-bound" not in parameter.flags or i in _floors(fitted))
    )


def _floors(fitted: Fitted) -> list[int]:
    return fitted.form.indices("floor")


def _curve(fitted: Fitted, i: int, parameter: Parameter, fit: LawFit) -> ProfileCurve:
    best, spec = fitted.estimate, fitted.form.parameters[i]
    theta = float(best.theta[i])
    error = math.sqrt(max(float(fitted.covariance[i, i]), 0.0))
    reach = t_quantile(0.5 + 0.5 * fit.level, fit.dof)
    dispersion = fitted.rise * float(fitted.spread.stretch[i])
    values, rise = curve(
        fitted.form,
        fitted.rows,
        best.loss,
        best.theta,
        best.objective,
        ProfiledParameter(
            index=i,
            half_width=min(reach * error, 2.0 if spec.is_log else abs(theta)) or 1.0,
            threshold=0.5 * dispersion * DRAWN_BEYOND * reach**2,
        ),
    )
    pressed = spec.name in best.at_bound or error == 0.0
    if spec.kind == "exponent":
        parabola = (np.log(values / theta) * theta / max(error, 1e-300)) ** 2
    else:
        parabola = ((values - theta) / max(error, 1e-300)) ** 2
    offset = fit.offset if spec.kind == "floor" else 0.0
    return ProfileCurve(
        parameter=parameter,
        values=np.exp(values) - offset if spec.is_log else values,
        deviance=2.0 * rise / dispersion,
        parabola=np.full(len(values), np.nan) if pressed else parabola,
        cut=reach**2,
    )
