"""Scatter that is not equal, and thresholds that the data chose: what the intervals allow for."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.stats import f_oneway, linregress

from planner.laws.fit_law import fit_law
from planner.laws.observations import Observations
from planner.laws.result import LawFit
from planner.laws.solver.dispersion import dispersion, optimism
from planner.laws.solver.losses import Loss
from planner.laws.uncertainty.intervals import UNEQUAL, scatter_changes

POINTS = np.array(list(itertools.product((1.0, 2.0, 4.0, 8.0), repeat=2)) * 3)
TRUTH = 1.0 + 2.0 * POINTS[:, 0] ** -0.6 + POINTS[:, 1] ** -0.5
NOISE = 0.01 * np.random.default_rng(4).standard_normal(len(POINTS))


def fitted(noise, **asked):
    table = Observations(axes=("a", "b"), x=POINTS, error=TRUTH * np.exp(noise))
    return fit_law(table, law="additive", **asked)


@pytest.mark.parametrize("seed", range(6))
def test_the_test_of_scatter_on_one_axis_is_that_of_a_regression(seed):
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((40, 1))
    residual = rng.standard_normal(40) * np.exp(0.3 * z[:, 0])
    wanted = linregress(z[:, 0], np.abs(residual)).pvalue < UNEQUAL
    assert scatter_changes(residual, z) == wanted


def test_the_test_of_scatter_on_two_groups_is_an_analysis_of_variance():
    residual = np.random.default_rng(1).standard_normal(30) * np.repeat([1.0, 1.6], 15)
    wanted = f_oneway(np.abs(residual[:15]), np.abs(residual[15:])).pvalue < UNEQUAL
    assert scatter_changes(residual, np.repeat([[0.0], [1.0]], 15, axis=0)) == wanted


def test_scatter_that_grows_along_an_axis_widens_predictions_at_its_end():
    loud = np.where(POINTS[:, 0] > 3, 4.0, 0.5)
    fit = fitted(loud * NOISE)
    assert fit.scatter == "unequal"
    assert fitted(NOISE).scatter == "equal"
    band = fit.predict([[8.0, 2.0], [1.0, 2.0]])
    even = fitted(NOISE * np.sqrt(np.mean(loud**2))).predict([[8.0, 2.0], [1.0, 2.0]])
    ratio = np.log(band.high / band.low) / np.log(even.high / even.low)
    assert ratio[0] > 1.0 > ratio[1]


def test_a_threshold_that_the_data_chose_is_known_for_what_it_is():
    heavy = 0.01 * np.random.default_rng(2).standard_t(3, len(POINTS))
    chosen = fitted(heavy, loss="huber:auto")
    given = fitted(heavy, loss=f"huber:{chosen.delta!r}")
    assert chosen.objective == given.objective
    assert chosen.doubt > 0 == given.doubt
    assert chosen.sigma == pytest.approx(given.sigma * (1 + chosen.doubt))
    assert chosen.dof < given.dof


def test_optimism_is_large_for_few_rows_and_small_for_many():
    rng = np.random.default_rng(5)
    few = np.mean([optimism(rng.standard_t(3, 30), 25)[0] for _ in range(10)])
    many, dof = optimism(rng.standard_t(3, 3000), 2995)
    assert few > 0.02 > many >= 0.0
    assert dof > 300


def test_a_raised_scatter_multiplies_variance_rise_and_influence_alike():
    residual = np.random.default_rng(6).standard_normal(50)
    plain, raised = (dispersion(residual, Loss(delta=0.8, doubt=d), 45) for d in (0.0, 0.1))
    assert raised.variance == pytest.approx(1.21 * plain.variance)
    assert raised.rise == pytest.approx(1.21 * plain.rise)
    assert raised.influence == pytest.approx(1.1 * plain.influence)


def test_a_fit_stored_before_scatter_was_looked_at_is_read_as_equal():
    stored = fitted(NOISE).to_json()
    del stored["scatter"], stored["doubt"]
    assert LawFit.from_json(stored) == fitted(NOISE)
