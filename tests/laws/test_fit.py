"""Fitting, its honest degradation and what a fit carries."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from planner.errors import FitError, InputError, UnknownNameError
from planner.laws.fit_law import fit_law
from planner.laws.observations import Observations
from planner.laws.result import LawFit

AXES = ("n_params", "audio_seconds", "tokens_per_second")


def law_of(x):
    return (
        0.04
        + 0.05 * (x[:, 0] / 1e8) ** -0.4
        + 0.03 * (x[:, 1] / 8) ** -1.2
        + 0.02 * (x[:, 2] / 25) ** -0.8
    )


def codes(fit):
    return {(warning.code, warning.axis) for warning in fit.warnings}


def test_a_noise_free_law_is_recovered_to_a_millionth(grid_points):
    fit = fit_law(Observations(axes=AXES, x=grid_points, error=law_of(grid_points)), law="additive")
    values = {p.name: p.value for p in fit.parameters}
    expected = {"E": 0.04, "alpha_n_params": 0.4, "alpha_audio_seconds": 1.2}
    for name, value in expected.items():
        assert values[name] == pytest.approx(value, rel=1e-6)


def test_an_axis_of_one_level_is_left_out_and_named(grid_points):
    x = grid_points.copy()
    x[:, 2] = 50.0
    fit = fit_law(Observations(axes=AXES, x=x, error=law_of(x)), law="additive")
    assert dict(fit.roles)["tokens_per_second"] == "left-out"
    assert ("axis-one-level", "tokens_per_second") in codes(fit)


def test_an_axis_of_two_levels_gets_a_slope_that_may_hurt(star_points):
    error = law_of(star_points) * (star_points[:, 0] / 5e7) ** 0.9
    fit = fit_law(Observations(axes=AXES, x=star_points, error=error), law="additive")
    slope = next(p for p in fit.parameters if p.name == "slope_n_params")
    assert slope.value < 0
    assert ("axis-two-levels", "n_params") in codes(fit)


def test_one_level_on_every_axis_ends_in_one_line():
    x = np.ones((5, 3))
    with pytest.raises(FitError, match="needs an axis with two levels") as caught:
        fit_law(Observations(axes=AXES, x=x, error=np.full(5, 0.1)))
    assert "\n" not in str(caught.value)


def test_too_few_runs_say_how_many_are_needed():
    x = np.array([[1e7, 4.0], [2e7, 8.0]])
    with pytest.raises(FitError):
        fit_law(Observations(axes=AXES[:2], x=x, error=np.array([0.2, 0.1])))
    x = np.array([[1e7, 4.0], [2e7, 8.0], [2e7, 4.0]])
    with pytest.raises(FitError, match="needs at least 4 runs"):
        fit_law(Observations(axes=AXES[:2], x=x, error=np.array([0.2, 0.1, 0.15])))


def test_axes_that_move_together_are_an_error_that_names_both(grid_points):
    x = grid_points.copy()
    x[:, 2] = 1e3 * x[:, 1] ** 1.5
    with pytest.raises(FitError, match="audio_seconds and tokens_per_second move together"):
        fit_law(Observations(axes=AXES, x=x, error=law_of(x)))


def test_fewer_runs_than_parameters_reduce_the_form_and_say_so(star_points):
    few = star_points[[0, 1, 2, 3, 4, 6]]
    fit = fit_law(Observations(axes=AXES, x=few, error=law_of(few)), law="additive")
    assert "too-few-runs" in {warning.code for warning in fit.warnings}
    assert fit.dof >= 1


def test_a_fit_survives_json_bit_for_bit(table):
    fit = fit_law(table, law="additive")
    assert LawFit.from_json(json.loads(json.dumps(fit.to_json(), allow_nan=False))) == fit


def test_another_schema_is_refused(table):
    with pytest.raises(InputError, match="schema"):
        LawFit.from_json({**fit_law(table, law="additive").to_json(), "schema": "law-fit/0"})


def test_draws_are_positive_and_the_same_for_a_seed(table):
    fit = fit_law(table, law="additive")
    first, again = fit.draws(table.x, 500, 7), fit.draws(table.x, 500, 7)
    assert (first > 0).all()
    assert np.array_equal(first, again)
    assert not np.array_equal(first, fit.draws(table.x, 500, 8))


def test_draws_agree_with_the_interval_of_the_mean(table):
    fit = fit_law(table, law="additive")
    points = table.x[[0, 20, 40]]
    interval = fit.predict(points)
    low, high = np.quantile(fit.draws(points, 20_000, 0), [0.05, 0.95], axis=0)
    assert np.log(low / interval.low) == pytest.approx(0, abs=0.002)
    assert np.log(high / interval.high) == pytest.approx(0, abs=0.002)


def test_a_new_run_is_less_sure_than_the_mean(table):
    fit = fit_law(table, law="additive")
    mean, new = fit.predict(table.x), fit.predict(table.x, kind="new-run")
    assert (new.high > mean.high).all()
    assert (new.low < mean.low).all()


def test_extrapolation_is_the_log_distance_outside_the_data(table):
    point = [[769e6 * np.e, 8.0, 12.5 / np.e**2]]
    assert fit_law(table, law="additive").predict(point).distance[0] == pytest.approx(
        [1.0, 0.0, 2.0]
    )


@pytest.mark.parametrize("bad", [np.nan, 0.0, -1.0, np.inf])
def test_a_row_without_a_logarithm_is_excluded_and_named(table, bad):
    error = table.error.copy()
    error[5] = bad
    fit = fit_law(dataclasses.replace(table, error=error), law="additive")
    assert fit.exclusions[0].row == 5
    assert fit.n_runs == len(table) - 1
    assert "rows-excluded" in {warning.code for warning in fit.warnings}


def test_a_law_that_is_not_known_names_the_nearest(table):
    with pytest.raises(UnknownNameError, match="did you mean additive"):
        fit_law(table, law="aditive")


def test_the_odds_link_keeps_every_prediction_below_one(star_points):
    error = np.minimum(law_of(star_points) * 6, 0.97)
    fit = fit_law(Observations(axes=AXES, x=star_points, error=error), link="odds")
    far = [[1e6, 0.5, 1.0]]
    assert fit.predict(far, kind="new-run").high[0] < 1
