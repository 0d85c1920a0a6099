"""Laws with best values inside: exact derivatives, the minimum where they say, and where it moves to."""

from __future__ import annotations

import decimal
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import FitError, InputError, UnknownNameError
from planner.laws.best import best_axes, best_values
from planner.laws.fit_law import fit_law
from planner.laws.forms.optima import _linex
from planner.laws.forms.registry import build_form
from planner.laws.identify import design_of
from planner.laws.observations import Observations
from planner.laws.table import predictions
from planner.laws.turning import turning_axes

AXES = ("lr", "batch", "n", "d")
POWER = dict.fromkeys(AXES, "power")
LAWS = ["optimum:lr+batch", "optimum-skew:lr+batch", "optimum:batch"]


def usual_theta(form, rng):
    """Valleys of the size that learning rates have."""
    usual = {"curvature": 0.3, "skew": 0.6, "exponent": 0.4}
    middle = np.array([usual.get(spec.kind, 0.0) for spec in form.parameters])
    return middle + rng.uniform(-0.25, 0.25, form.n_parameters)


def central(function, theta, step=1e-6):
    steps = step * np.eye(len(theta))
    return np.array([(function(theta + s) - function(theta - s)) / (2 * step) for s in steps])


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("roles", [POWER, {**POWER, "n": "slope"}], ids=["power", "with-a-slope"])
def test_both_derivatives_agree_with_central_differences(law, roles):
    rng = np.random.default_rng(0)
    z, psi = rng.normal(size=(9, 4)), rng.normal(size=(1, 9))
    form = build_form(law, roles)
    theta, rows = usual_theta(form, rng), form.at(z)
    at = rows.linearise(theta[None])
    numeric = central(lambda t: rows.log_mean(t[None])[0], theta)
    assert at.jacobian[0] == pytest.approx(numeric, abs=1e-7)
    bent = at.second(psi)[0] - (at.jacobian[0] * psi) @ at.jacobian[0].T
    numeric = central(lambda t: rows.linearise(t[None]).jacobian[0] @ psi[0], theta)
    assert bent == pytest.approx(numeric, abs=1e-6)


def test_what_is_reported_moves_with_what_is_estimated_as_its_slopes_say():
    form = build_form("optimum-skew:lr+batch", POWER)
    theta = usual_theta(form, np.random.default_rng(4))
    numeric = central(lambda t: form.natural(t[None])[0], theta).T
    assert form.natural_slopes(theta) == pytest.approx(numeric, abs=1e-6)


@given(st.floats(-30, 30))
@settings(max_examples=60, deadline=None)
def test_the_skewed_bowl_is_right_to_twelve_digits_everywhere(w):
    with decimal.localcontext() as context:
        context.prec = 60
        exact = decimal.Decimal(w)
        far = abs(w) > 1e-12
        bowl = (exact.exp() - 1 - exact) / exact**2 if far else decimal.Decimal("0.5")
        rise = (exact.exp() - 1) / exact if far else decimal.Decimal(1)
        first = (rise - 2 * bowl) / exact if far else decimal.Decimal(1) / 6
    found = _linex(np.array([w]))
    assert found.bowl[0] == pytest.approx(float(bowl), rel=1e-12)
    assert found.rise[0] == pytest.approx(float(rise), rel=1e-12)
    assert found.bowl_1[0] == pytest.approx(float(first), rel=1e-11)


@pytest.mark.parametrize("law", LAWS[:2])
def test_the_law_is_least_where_it_says_and_rises_to_both_sides(law):
    form, rng = build_form(law, POWER), np.random.default_rng(3)
    for _ in range(5):
        theta = usual_theta(form, rng)
        natural = form.natural(theta[None])[0]
        value = {s.name: t for s, t in zip(form.parameters, natural, strict=True)}
        n, d = rng.normal(size=2)
        batch = value["best_batch"] + n * value["best_batch_by_n"] + d * value["best_batch_by_d"]
        lr = value["best_lr"] + n * value["best_lr_by_n"] + d * value["best_lr_by_d"]
        lr += batch * value["best_lr_by_batch"]
        off = rng.normal(size=(200, 2)) * 0.7
        z = np.array([[lr, batch, n, d], *([lr + a, batch + b, n, d] for a, b in off)])
        mean = form.at(z).log_mean(theta[None])[0]
        assert (mean[1:] > mean[0]).all()


GRID = np.array(
    list(
        itertools.product(
            np.geomspace(1e-4, 1e-2, 6), (32, 128, 512), (5e7, 2e8, 1e9), (2e9, 2e10, 2e11)
        )
    )
)


def tuned_loss(x, skew=0.0, batch_curve=0.01):
    """A loss whose best learning rate falls with size and grows with the batch."""
    lr, batch, n, d = x.T
    best_batch = 128 * (d / 2e10) ** 0.3
    best_lr = 1e-3 * (n / 2e8) ** -0.4 * (batch / 128) ** 0.5
    u, v = np.log(lr / best_lr), np.log(batch / best_batch)
    bowl = u**2 if skew == 0 else 2 * (np.exp(skew * u) - 1 - skew * u) / skew**2
    return (1.7 + 0.6 * (n / 2e8) ** -0.3 + 0.5 * (d / 2e10) ** -0.3) * np.exp(
        0.02 * bowl + batch_curve * v**2
    )


def tuned_table(sigma, skew=0.0, batch_curve=0.01):
    noise = np.random.default_rng(5).standard_normal(len(GRID))
    return Observations(
        axes=AXES,
        x=GRID,
        error=tuned_loss(GRID, skew, batch_curve) * np.exp(sigma * noise),
        metric="loss",
    )


@pytest.mark.parametrize(("law", "skew"), [("optimum", 0.0), ("optimum-skew", 0.5)])
def test_moving_optima_are_recovered_with_their_powers(law, skew):
    fit = fit_law(tuned_table(1e-7, skew), law=f"{law}:lr+batch", loss="log")
    found = {p.name: p.value for p in fit.parameters}
    assert found.get("skew_lr", 0.0) == pytest.approx(skew, abs=1e-3)
    assert found["best_lr_by_n"] == pytest.approx(-0.4, abs=1e-4)
    assert found["best_lr_by_batch"] == pytest.approx(0.5, abs=1e-4)
    assert found["best_batch_by_d"] == pytest.approx(0.3, abs=1e-4)
    assert found["curve_lr"] == pytest.approx(0.02, rel=1e-3)
    best = {b.axis: b for b in best_values(fit, [[1e-4, 32, 8e8, 4e10]])}
    batch = 128 * 2**0.3
    assert best["batch"].value[0] == pytest.approx(batch, rel=1e-3)
    lr = 1e-3 * 4**-0.4 * (batch / 128) ** 0.5
    assert best["lr"].value[0] == pytest.approx(lr, rel=1e-3)


def test_auto_finds_the_axes_that_turn_and_beats_the_forms_without():
    table = tuned_table(0.003)
    assert turning_axes(table, design_of(table)) == ["lr", "batch"]
    fit = fit_law(table, loss="log")
    assert fit.law.startswith("optimum")
    errors = {form.law: form.cv_error for form in fit.forms if form.cv_error is not None}
    assert errors[fit.law] < 0.3 * errors["additive"]


def test_a_steep_valley_of_another_axis_that_moves_does_not_hide_that_this_one_turns():
    table = tuned_table(0.003, batch_curve=0.1)
    assert turning_axes(table, design_of(table)) == ["lr", "batch"]


def test_an_interval_of_the_best_place_holds_it_and_narrows_with_the_noise():
    widths = []
    for sigma in (0.003, 0.0003):
        fit = fit_law(tuned_table(sigma), law="optimum:lr+batch", loss="log")
        (lr, _) = best_values(fit, [[1, 1, 2e8, 2e10]])
        assert lr.low[0] < 1e-3 < lr.high[0]
        widths.append(np.log(lr.high[0] / lr.low[0]))
    assert widths[1] == pytest.approx(0.1 * widths[0], rel=0.2)


def test_a_row_may_leave_a_tuned_axis_blank_and_no_other():
    fit = fit_law(tuned_table(1e-7), law="optimum:lr+batch", loss="log")
    table = {"lr": [1e-4, None], "batch": [32, None], "n": [2e8, 2e8], "d": [2e10, 2e10]}
    given, at_best = predictions(fit, table)
    assert (given["lr"], given["batch"]) == (1e-4, 32)
    assert (at_best["lr"], at_best["batch"]) == pytest.approx((1e-3, 128), rel=1e-3)
    assert at_best["mean"] < given["mean"]
    (left_out,) = predictions(fit, {"n": [2e8], "d": [2e10]})
    assert left_out["mean"] == at_best["mean"]
    with pytest.raises(InputError, match="row 2 to predict has n"):
        predictions(fit, table | {"n": [2e8, None]})


def test_a_falling_error_has_no_best_value():
    x = np.array(list(itertools.product(np.geomspace(1, 100, 6), np.geomspace(1, 100, 6))))
    error = 0.1 + x[:, 0] ** -0.5 + x[:, 1] ** -0.3
    noise = 1 + 0.002 * np.random.default_rng(0).standard_normal(len(x))
    table = Observations(axes=("a", "b"), x=x, error=error * noise)
    assert turning_axes(table, design_of(table)) == []
    fit = fit_law(table, law="additive")
    assert best_axes(fit) == ()
    with pytest.raises(FitError, match="--law optimum:AXIS"):
        best_values(fit, [[1, 1]])


def test_the_argument_must_name_axes_of_the_table():
    with pytest.raises(InputError, match="needs its axes"):
        build_form("optimum", POWER)
    with pytest.raises(UnknownNameError, match="warmup"):
        build_form("optimum:warmup", POWER)
    flat = build_form("optimum:lr", {**POWER, "lr": "slope"})
    assert flat.law == "additive"
