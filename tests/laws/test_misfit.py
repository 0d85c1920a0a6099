"""Neighbours that err alike, and what hold-outs add beyond the data."""

import dataclasses

import numpy as np
import pytest

from planner.laws.fit_law import fit_law
from planner.laws.observations import Observations
from planner.laws.uncertainty.misfit import chains_of, inflation, lag_one

Z = np.linspace(0, 3, 60)[:, None]


def autoregressive(rho, seed, n=60):
    rng = np.random.default_rng(seed)
    out = np.zeros(n)
    for i in range(1, n):
        out[i] = rho * out[i - 1] + np.sqrt(1 - rho**2) * rng.normal()
    return out


def test_neighbours_that_err_alike_are_found():
    found = [lag_one(autoregressive(0.6, s), Z, 0) for s in range(20)]
    assert np.mean(found) == pytest.approx(0.6, abs=0.1)


def test_runs_of_one_point_are_no_neighbours_of_each_other():
    """Five seeds of a point err alike where the law is off there: taken for neighbours they widened every interval."""
    rng = np.random.default_rng(0)
    once = rng.normal(size=12)
    z = np.linspace(0, 3, 12)[:, None]
    many = np.repeat(once, 5)
    assert lag_one(many, np.repeat(z, 5, axis=0), 0) == lag_one(once, z, 0)


def test_independent_residuals_are_left_alone_in_most_tables():
    found = [lag_one(np.random.default_rng(s).normal(size=60), Z, 0) for s in range(100)]
    assert np.mean(np.array(found) > 0) < 0.1


def test_the_columns_of_a_small_grid_are_no_chain(grid_points):
    assert chains_of(np.log(grid_points)) == []


def test_correlated_errors_carry_less():
    assert inflation(0.0) == 1.0
    assert inflation(0.5) == 3.0


def curve(error):
    x = np.geomspace(1, 100, len(error))
    return Observations(axes=("hours",), x=x[:, None], error=error)


def bent():
    """A curve that no form tried here holds: it stops falling at its end and rises."""
    x = np.geomspace(1, 100, 30)
    return curve(0.1 + 0.2 * x**-0.4 + 0.02 * np.maximum(np.log(x / 30), 0) ** 2)


def test_only_what_lies_beyond_the_data_is_told_with_the_errors_of_the_hold_outs():
    plain = dataclasses.replace(fit_law(bent()), beyond=1.0)
    fit = dataclasses.replace(plain, beyond=4.0, beyond_at=1.0)
    inside, outside = [[10.0]], [[1000.0]]

    def width(which, x):
        p = which.predict(x, 0.9, "new-run")
        return np.log(p.high / p.low)[0]

    assert width(fit, inside) == width(plain, inside)
    assert width(fit, outside) == pytest.approx(2 * width(plain, outside))


def test_draws_are_as_wide_as_the_interval_of_the_mean():
    fit = fit_law(bent(), law="additive")
    fit = dataclasses.replace(fit, beyond=4.0, beyond_at=1.0)
    draws = np.log(fit.draws([[1000.0]], 4000, 0)[:, 0])
    p = fit.predict([[1000.0]], 0.9)
    low, high = np.quantile(draws, [0.05, 0.95])
    assert high - low == pytest.approx(np.log(p.high / p.low)[0], rel=0.1)
