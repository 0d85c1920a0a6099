"""What runs of a configuration will show, from an answer's joint draws."""

import numpy as np
import pytest

from planner.laws.fit_law import fit_law
from planner.laws.observations import Observations, RunNoise
from planner.plan.belief import common_level
from planner.plan.new_runs import new_runs

N = 4000


@pytest.fixture(scope="module")
def fit():
    rng = np.random.default_rng(0)
    x = np.geomspace(1.0, 40.0, 12)
    error = 0.1 * x**-0.3 * np.exp(0.05 * rng.standard_normal(12))
    noise = RunNoise(own=np.full(12, 0.02**2), common=0.2**2, common_dof=27.0, source="utterances")
    return fit_law(Observations(axes=("n",), x=x[:, None], error=error, noise=noise))


def draws(fit, spread):
    rng = np.random.default_rng(1)
    return np.exp(np.log(0.05) + spread * rng.standard_normal(N) + common_level(fit, N, 0))


def test_the_level_of_the_test_set_is_no_part_of_what_the_same_set_will_show(fit):
    told = new_runs(fit, draws(fit, 0.0), 0.0, 1, 0)
    omega2 = sum(m.weight * m.omega2 for m in fit.members)
    assert told.logs.var() == pytest.approx(omega2 + 0.02**2, rel=0.15)


def test_runs_of_one_configuration_are_one_piece_of_evidence_about_it(fit):
    told = new_runs(fit, draws(fit, 0.3), 0.0, 9, 0)
    far = np.full(9, 0.05 * np.exp(0.6))
    assert told.z(far) == pytest.approx(2.0, abs=0.15)
    assert told.z(far[:1]) == pytest.approx(told.z(far), rel=0.1)


def test_the_interval_of_a_run_holds_as_many_as_it_says(fit):
    told = new_runs(fit, draws(fit, 0.1), 0.0, 1, 0)
    middle, low, high = told.interval(0.9)
    inside = (np.log(low) <= told.logs[:, 0]) & (told.logs[:, 0] <= np.log(high))
    assert inside.mean() == pytest.approx(0.9, abs=0.005)
    assert low < middle < high
