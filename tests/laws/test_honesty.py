"""Degenerate tables end in a named warning or error; what is not identified is said."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from planner.errors import FitError, InputError, UnknownNameError
from planner.laws.fit_law import fit_law
from planner.laws.forms.coverage import DurationHistogram
from planner.laws.forms.link import link_for
from planner.laws.observations import Observations
from planner.laws.solver.row_weights import between_run_variance
from tests.laws.answers import fit_table

AXES = ("a", "b")
POINTS = np.array([(a, b) for a in (1.0, 2.0, 4.0, 8.0) for b in (1.0, 3.0, 9.0)])
NOISE = np.random.default_rng(5).standard_normal(len(POINTS))
ERROR = (0.1 + 0.3 * POINTS[:, 0] ** -0.7 + 0.2 * POINTS[:, 1] ** -0.4) * np.exp(0.01 * NOISE)
TABLE = Observations(axes=AXES, x=POINTS, error=ERROR)


def codes(fit):
    return {warning.code for warning in fit.warnings}


def test_a_diverged_run_is_reported_as_an_outlier():
    error = ERROR.copy()
    error[4] *= 3
    fit = fit_law(dataclasses.replace(TABLE, error=error), law="additive", loss="huber:auto")
    assert "outliers" in codes(fit)
    assert "row 5" in next(w.message for w in fit.warnings if w.code == "outliers")


def test_rows_that_repeat_another_are_reported():
    twice = TABLE.rows(np.array([*range(len(POINTS)), 3, 4]))
    assert "duplicate-rows" in codes(fit_law(twice, law="additive"))


def test_nearly_collinear_axes_are_reported():
    x = POINTS.copy()
    x[:, 1] = x[:, 0] ** 1.5 * (1 + 0.1 * np.arange(len(x)) / len(x))
    fit = fit_law(Observations(axes=AXES, x=x, error=ERROR), law="log-linear")
    assert "axes-collinear" in codes(fit)


def test_an_axis_that_hurts_gets_a_slope_of_its_own_sign():
    error = (0.1 + 0.3 * POINTS[:, 0] ** -0.7) * POINTS[:, 1] ** 0.3
    fit = fit_law(Observations(axes=AXES, x=POINTS, error=error), law="additive")
    slope = next(p for p in fit.parameters if p.name == "slope_b")
    assert slope.value == pytest.approx(-0.3, abs=1e-6)
    assert "axis-not-lowering" in codes(fit)


def test_a_law_without_a_floor_says_that_none_is_identified():
    error = 0.3 * POINTS[:, 0] ** -0.2 * POINTS[:, 1] ** -0.1 * np.exp(0.01 * NOISE)
    fit = fit_law(Observations(axes=AXES, x=POINTS, error=error), law="multiplicative")
    floor = next(p for p in fit.parameters if p.kind == "floor")
    assert "floor-not-identified" in fit.statuses
    assert floor.low == 0
    assert floor.high is not None


def test_stated_standard_errors_narrow_no_lucky_fit():
    lucky = (0.1 + 0.3 * POINTS[:, 0] ** -0.7 + 0.2 * POINTS[:, 1] ** -0.4) * (1 + 1e-6 * NOISE)
    stated = Observations(axes=AXES, x=POINTS, error=lucky, std_error=0.05 * lucky)
    assert fit_law(stated, law="additive").sigma >= 0.05
    bare = Observations(axes=AXES, x=POINTS, error=lucky)
    assert fit_law(bare, law="additive").sigma < 1e-4


def test_the_spread_between_runs_is_what_standard_errors_leave_over():
    rng = np.random.default_rng(0)
    residual = np.hypot(0.02, 0.05) * rng.standard_normal(4000)
    tau2 = between_run_variance(residual, np.full(4000, 0.02), 4000)
    assert np.sqrt(tau2) == pytest.approx(0.05, rel=0.05)


def test_repeated_seeds_count_as_groups_not_as_runs():
    seeds = 4
    shared = np.repeat(0.02 * np.random.default_rng(1).standard_normal(len(POINTS)), seeds)
    x = np.repeat(POINTS, seeds, axis=0)
    own = 0.002 * np.random.default_rng(2).standard_normal(len(x))
    error = (0.1 + 0.3 * x[:, 0] ** -0.7 + 0.2 * x[:, 1] ** -0.4) * np.exp(shared + own)
    group = np.repeat(np.arange(len(POINTS)), seeds)
    table = Observations(axes=AXES, x=x, error=error)
    alone = fit_law(table, law="additive").predict(POINTS)
    grouped = fit_law(dataclasses.replace(table, group=group), law="additive").predict(POINTS)
    assert (np.log(grouped.high / grouped.low) > 1.5 * np.log(alone.high / alone.low)).all()


def test_the_coverage_floor_is_computed_and_not_fitted():
    hist = DurationHistogram.of(np.linspace(2, 30, 40))
    x = np.array([(n, t) for n in (1e7, 1e8, 1e9) for t in (5.0, 10.0, 20.0, 30.0)])
    axes = ("n_params", "audio_seconds")
    truth = hist.uncovered(x[:, 1]) + 0.03 + 0.05 * (x[:, 0] / 1e8) ** -0.4
    table = Observations(axes=axes, x=x, error=truth)
    fit = fit_law(table, law="sum:n_params", coverage=hist)
    assert fit.predict(x).mean == pytest.approx(truth, rel=1e-6)
    assert fit.from_json(fit.to_json()).predict(x).mean == pytest.approx(truth, rel=1e-6)


def test_the_coverage_floor_falls_to_zero_with_the_longest_utterance():
    hist = DurationHistogram((4.0, 8.0), (1.0, 3.0))
    assert hist.uncovered([2.0, 4.0, 8.0]) == pytest.approx([0.6875, 0.375, 0.0])
    with pytest.raises(InputError, match="positive seconds"):
        DurationHistogram((0.0,), (1.0,))


def test_a_metric_of_either_sign_is_fitted_about_its_own_range():
    error = ERROR - 5.0
    fit = fit_law(Observations(axes=AXES, x=POINTS, error=error))
    assert fit.link == "signed"
    assert fit.predict(POINTS).mean == pytest.approx(error, abs=0.02)


def test_an_error_of_one_has_no_odds():
    table = dataclasses.replace(TABLE, error=np.full(len(POINTS), 1.0))
    with pytest.raises(FitError, match="use link log"):
        link_for(table, "odds")


def test_columns_of_a_table_are_fitted_and_another_one_predicted():
    columns = {"a": POINTS[:, 0], "b": POINTS[:, 1].astype(str), "wer": ERROR, "other": ["x"] * 12}
    fit = fit_table(
        columns, axes=["a", "b"], error="wer", law="additive", predict={"a": [16], "b": [9]}
    )
    row = fit["predictions"][0]
    assert row["new_run_low"] < row["low"] < row["mean"] < row["high"] < row["new_run_high"]
    assert row["distance"] == pytest.approx({"a": np.log(2), "b": 0.0})
    assert {"law", "parameters", "objective", "status", "warnings", "forms"} <= set(fit)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"axes": ["a", "bb"]}, UnknownNameError, "did you mean b"),
        ({"error": "other"}, InputError, "row 1 holds 'x'"),
        ({"axes": []}, InputError, "at least one axis"),
        ({"loss": "l2"}, InputError, "loss must be"),
        ({"law": "adative"}, UnknownNameError, "did you mean additive"),
        ({"predict": {"a": [-1], "b": [1]}}, InputError, "axes must be positive"),
    ],
)
def test_a_bad_column_or_option_is_one_line(change, error, match):
    columns = {"a": POINTS[:, 0], "b": POINTS[:, 1], "wer": ERROR, "other": ["x"] * 12}
    wanted = {"axes": ["a", "b"], "error": "wer", "law": "additive"} | change
    with pytest.raises(error, match=match) as caught:
        fit_table(columns, **wanted)
    assert "\n" not in str(caught.value)
