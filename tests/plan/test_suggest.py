"""What a run is worth: against Monte Carlo, and the cases where the answer is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.plan import suggest as voi

EVERY = np.ones(2, dtype=bool)


def two(gap, sd, noise):
    """Two candidates with independent errors; the value of a run at the first has a closed form."""
    mean = np.array([0.10, 0.10 + gap])
    return mean, np.diag([sd**2, sd**2]), np.array([noise**2, noise**2])


@settings(max_examples=30, deadline=None)
@given(st.floats(0.0, 0.03), st.floats(0.003, 0.02), st.floats(0.0, 0.02))
def test_the_value_of_a_run_equals_its_closed_form(gap, sd, noise):
    from statistics import NormalDist

    mean, covariance, variance = two(gap, sd, noise)
    s = sd**2 / np.sqrt(sd**2 + noise**2)
    z = gap / s
    expected = s * (NormalDist().pdf(z) - z * (1 - NormalDist().cdf(z)))
    value, _ = voi.values(mean, covariance, variance, EVERY)
    assert value[0] == pytest.approx(expected, abs=0.02 * s)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.3, 4.7), st.floats(0.003, 0.02))
def test_a_run_that_seldom_changes_the_choice_is_worth_its_little(z, sd):
    from statistics import NormalDist

    mean, covariance, variance = two(z * sd, sd, 0.0)
    expected = sd * (NormalDist().pdf(z) - z * NormalDist().cdf(-z))
    value, change = voi.values(mean, covariance, variance, EVERY)
    assert value[0] == pytest.approx(expected, rel=0.02)
    assert 0.0 < change[0] < 0.5


def test_a_run_that_cannot_change_the_choice_is_worth_nothing():
    mean, covariance, variance = two(0.5, 0.001, 0.001)
    value, change = voi.values(mean, covariance, variance, EVERY)
    assert value.max() < 1e-9
    assert change.max() == 0.0


def test_knowing_an_error_exactly_leaves_no_variance_there():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(5, 5))
    left = voi.after(root @ root.T, np.zeros(5), 2)
    np.testing.assert_allclose(left[2], 0.0, atol=1e-12)
    assert np.linalg.eigvalsh(left).min() > -1e-9


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000))
def test_suggestions_stay_within_the_hours_and_are_worth_it(seed):
    rng = np.random.default_rng(seed)
    draws = 0.1 + 0.02 * rng.normal(size=(300, 8)) + 0.01 * rng.normal(size=8)
    hours = np.exp(rng.normal(size=8))
    found = voi.suggest(draws, np.full(8, 1e-4), hours, np.ones(8, bool), 5.0, 1e-4)
    assert sum(s.hours for s in found) <= 5.0
    assert all(s.value >= 1e-4 for s in found)


def one_by_one(draws, noise, hours, feasible, left, worth):
    """Every run valued anew after each choice, from the whole covariance."""
    mean, covariance = draws.mean(axis=0), np.cov(draws, rowvar=False)
    out = []
    while True:
        value, _ = voi.values(mean, covariance, noise, feasible)
        rate = np.where((hours <= left) & (value >= worth), value / hours, -np.inf)
        j = int(rate.argmax())
        if not np.isfinite(rate[j]) or len(out) == voi.MOST_RUNS:
            return out
        out.append((j, value[j]))
        left -= hours[j]
        covariance = voi.after(covariance, noise, j)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(-6, -3), st.integers(2, 40))
def test_what_is_passed_over_by_its_bound_would_not_have_been_chosen(seed, noise, m):
    rng = np.random.default_rng(seed)
    root = 0.01 * rng.normal(size=(m, m)) / np.sqrt(m)
    draws = 0.1 + 0.01 * rng.normal(size=m) + rng.normal(size=(300, m)) @ root
    draws = draws.astype(np.float32)
    hours, feasible = np.exp(rng.normal(size=m)), rng.random(m) < 0.7
    feasible[0] = True
    variance = np.full(m, 10.0**noise)
    found = voi.suggest(draws, variance, hours, feasible, 4.0, 1e-4)
    wanted = one_by_one(draws, variance, hours, feasible, 4.0, 1e-4)
    # Candidates of a hundredth of what is worth a run are left out of a value.
    np.testing.assert_allclose([s.value for s in found], [v for _, v in wanted], atol=2e-6)
    assert [s.index for s in found] == [j for j, _ in wanted]


def test_of_thousands_of_candidates_the_few_that_are_weighed_hold_the_best_run(monkeypatch):
    rng = np.random.default_rng(5)
    x = rng.uniform(-1, 1, size=(400, 2))
    draws = 0.1 + 0.02 * (x**2).sum(axis=1) + 0.01 * rng.normal(size=(500, 2)) @ x.T
    draws += 0.002 * rng.normal(size=draws.shape)
    given = draws, np.full(400, 1e-5), np.exp(0.5 * rng.normal(size=400)), np.ones(400, bool)
    whole = voi.suggest(*given, 6.0, 1e-4)
    monkeypatch.setattr(voi, "MOST_TRIED", 40)
    monkeypatch.setattr(voi, "MOST_RIVALS", 100)
    few = voi.suggest(*given, 6.0, 1e-4)
    assert few[0].index == whole[0].index
    assert sum(s.value for s in few) == pytest.approx(sum(s.value for s in whole), rel=0.05)


def test_none_is_worth_it_when_the_choice_is_clear():
    draws = np.array([0.05, 0.5]) + 1e-6 * np.random.default_rng(1).normal(size=(200, 2))
    assert voi.suggest(draws, np.full(2, 1e-6), np.ones(2), EVERY, 100.0, 1e-5) == ()


def test_scoring_one_candidate_again_is_worth_what_a_run_there_is():
    draws = np.random.default_rng(3).multivariate_normal(
        [0.10, 0.11, 0.12], [[4e-4, 1e-4, 0], [1e-4, 9e-4, 0], [0, 0, 1e-4]], 4000
    )
    feasible, noise = np.ones(3, dtype=bool), np.full(3, 2e-4)
    gain, change = voi.values(draws.mean(axis=0), np.cov(draws, rowvar=False), noise, feasible)
    for j in range(3):
        value, p = voi.value_of_scoring(draws, np.array([j]), np.array([[2e-4]]), feasible)
        assert value == pytest.approx(gain[j], rel=0.1, abs=2e-5)
        assert p == pytest.approx(change[j], abs=0.03)


def test_what_all_share_on_other_speech_tells_nothing_of_which_is_best():
    rng = np.random.default_rng(0)
    draws = 0.1 + 0.02 * rng.standard_normal((4000, 3)) + 0.0 * rng.standard_normal((4000, 1))
    feasible, at = np.ones(3, dtype=bool), np.arange(3)
    own = 1e-4 * np.eye(3)
    apart, _ = voi.value_of_scoring(draws, at, own, feasible)
    together, _ = voi.value_of_scoring(draws, at, own + 1.0, feasible)
    louder, _ = voi.value_of_scoring(draws, at, 25 * own, feasible)
    assert together > 0.6 * apart
    assert louder < together
