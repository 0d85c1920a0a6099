"""The solver against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from planner.laws.forms.registry import build_form
from planner.laws.solver.damped_newton import descend
from planner.laws.solver.estimate import Rows, estimate, problem_of
from planner.laws.solver.losses import Loss

ROLES = {"a": "power", "b": "power"}


def rows_of(seed, n=30, sigma=0.02):
    rng = np.random.default_rng(seed)
    z = rng.uniform(-2, 2, (n, 2))
    f = 0.5 + rng.uniform(0.2, 1) * np.exp(-0.6 * z[:, 0]) + 0.3 * np.exp(-0.9 * z[:, 1])
    return Rows(z=z, y=np.log(f) + sigma * rng.standard_normal(n), weight=np.ones(n))


@pytest.mark.parametrize("seed", range(4))
def test_least_squares_agrees_with_scipy(seed):
    form, rows = build_form("additive", ROLES), rows_of(seed)
    ours = estimate(form, rows, Loss())
    evaluator = form.at(rows.z)
    theirs = least_squares(
        lambda t: evaluator.log_mean(t[None])[0] - rows.y, ours.theta + 0.1, xtol=1e-14, ftol=1e-14
    )
    assert ours.objective <= theirs.cost * (1 + 1e-10)
    assert ours.theta == pytest.approx(theirs.x, abs=1e-4)


@pytest.mark.parametrize("delta", [0.03, 0.01])
def test_huber_agrees_with_scipy(delta):
    form, rows = build_form("additive", ROLES), rows_of(7)
    ours = estimate(form, rows, Loss(delta=delta))
    evaluator = form.at(rows.z)
    theirs = least_squares(
        lambda t: evaluator.log_mean(t[None])[0] - rows.y,
        ours.theta + 0.05,
        loss="huber",
        f_scale=delta,
        xtol=1e-14,
        ftol=1e-14,
    )
    assert ours.objective <= theirs.cost * (1 + 1e-9)


def test_all_starts_reach_one_optimum_on_clean_data():
    fitted = estimate(build_form("additive", ROLES), rows_of(1), Loss())
    assert fitted.n_agree == fitted.n_starts
    assert fitted.gradient_norm < 1e-8
    assert fitted.converged


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_a_noise_free_law_of_any_size_is_recovered(seed):
    rng = np.random.default_rng(seed)
    form, z = build_form("additive", ROLES), rng.uniform(-2, 2, (25, 2))
    theta = np.array(
        [rng.normal(), rng.normal(), rng.uniform(0.2, 1.5), rng.normal(), rng.uniform(0.2, 1.5)]
    )
    y = form.at(z).log_mean(theta[None])[0]
    fitted = estimate(form, Rows(z=z, y=y, weight=np.ones(25)), Loss())
    assert fitted.theta == pytest.approx(theta, abs=1e-6)


def test_a_start_is_given_no_more_steps_than_it_was_promised():
    form, rows = build_form("additive", ROLES), rows_of(5)
    starts = np.random.default_rng(0).normal(0, 2, (100, form.n_parameters))
    found = descend(problem_of(form, rows), Loss(delta=1e-3), starts, n_steps=3, n_majorised=2)
    assert found.n_steps <= 300
    assert not found.converged.all()
    assert np.isfinite(found.objective).all()
