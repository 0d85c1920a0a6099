"""Profile intervals against constrained refits by scipy, and the curves that a page draws."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.optimize import least_squares
from scipy.stats import t as student

from planner.laws.fit_law import fit_law
from planner.laws.forms.registry import build_form
from planner.laws.observations import Observations
from planner.laws.result import LawFit
from planner.laws.uncertainty.profile_curves import profile_curves

POINTS = np.array([(a, b) for a in (1.0, 2.0, 4.0, 8.0) for b in (1.0, 3.0, 9.0)])
TRUTH = 0.1 + 0.3 * POINTS[:, 0] ** -0.7 + 0.2 * POINTS[:, 1] ** -0.4
NOISE = np.exp(0.01 * np.random.default_rng(1).standard_normal(len(POINTS)))
TABLE = Observations(axes=("a", "b"), x=POINTS, error=TRUTH * NOISE, metric="wer")


@pytest.fixture(scope="module")
def fit():
    return fit_law(TABLE, law="additive")


def held_objective(fit, index, value):
    """Least half sum of squares with one working parameter held, by scipy from the estimate."""
    member = fit.members[0]
    evaluator = build_form("additive", dict(member.roles)).at(np.log(POINTS / member.scales))
    others = [i for i in range(len(member.theta)) if i != index]

    def residual(free):
        theta = np.empty(len(member.theta))
        theta[index], theta[others] = value, free
        return evaluator.log_mean(theta[None])[0] - np.log(TABLE.error)

    start = np.array(member.theta)[others]
    return least_squares(residual, start, xtol=1e-12, ftol=1e-12).cost


@pytest.mark.parametrize("name", ["E", "alpha_a", "alpha_b"])
@pytest.mark.parametrize("side", ["low", "high"])
def test_an_interval_ends_where_the_refitted_misfit_reaches_the_cut(fit, name, side):
    index = next(i for i, p in enumerate(fit.parameters) if p.name == name)
    end = getattr(fit.parameters[index], side)
    objective = held_objective(fit, index, np.log(end) if name == "E" else end)
    statistic = np.sqrt(2 * (objective - fit.objective)) / fit.sigma
    assert statistic == pytest.approx(student.ppf(0.95, fit.dof), rel=0.04)


def test_curves_cross_the_cut_at_the_ends_of_the_intervals(fit):
    for curve in profile_curves(TABLE, fit):
        low, high = curve.parameter.low, curve.parameter.high
        at = np.interp([low or curve.values[0], high], curve.values, curve.deviance)
        assert at[1] == pytest.approx(curve.cut, rel=0.12)
        assert not low or at[0] == pytest.approx(curve.cut, rel=0.12)
        assert curve.deviance.min() == 0.0


def test_the_profile_of_a_plane_in_logarithms_is_its_parabola():
    fit = fit_law(TABLE, law="log-linear")
    curves = profile_curves(TABLE, fit)
    assert [c.parameter.name for c in curves] == ["slope_a", "slope_b"]
    for curve in curves:
        assert curve.deviance == pytest.approx(curve.parabola, rel=1e-6, abs=1e-6)
        assert curve.deviance.max() >= 1.8 * curve.cut * (1 - 1e-9)


def test_a_fit_that_an_older_version_stored_is_still_read(fit):
    stored = fit.to_json() | {"version": "0.1.0"}
    assert LawFit.from_json(stored) == dataclasses.replace(fit, version="0.1.0")
