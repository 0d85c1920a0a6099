"""The first runs of a study: cheap, and enough for a law where the hours allow it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.plan.first_runs import FIRST_SHARE, LEAST_RUNS, SEEDS, first_runs, surface
from planner.plan.suggest import one_round

X = np.array(list(itertools.product([4e7, 7e7, 2.4e8], [5.0, 10.0, 20.0], [50.0, 25.0, 12.5])))
HOURS = X[:, 0] * X[:, 1] / 1e9


def test_they_identify_the_surface_and_cost_less_than_the_design_that_ignores_cost():
    from planner.plan.design import optimal

    found = first_runs(X, HOURS, 1, np.inf)
    rows = surface(X)
    assert np.linalg.matrix_rank(rows[found]) == rows.shape[1]
    blind = optimal(rows, len(found), repeats=False)
    assert HOURS[found].sum() < HOURS[blind].sum()


def test_the_cheapest_comes_first_and_three_times():
    found = first_runs(X, HOURS, 1, np.inf)
    assert found[:SEEDS] == [found[0]] * SEEDS
    assert (np.diff(HOURS[found]) >= 0).all()


@given(st.floats(0.2, 100.0), st.integers(1, 6))
def test_they_never_take_more_than_their_hours(budget, n_least):
    found = first_runs(X, HOURS, n_least, budget)
    assert HOURS[found].sum() <= budget
    if len(found) >= surface(X).shape[1]:
        assert HOURS[found].sum() <= FIRST_SHARE * budget or len(set(found)) == len(found)


def test_too_few_hours_give_the_cheapest_runs_that_they_pay_for():
    two = np.sort(HOURS)[:2].sum()
    assert len(first_runs(X, HOURS, 1, two)) == LEAST_RUNS
    assert len(first_runs(X, HOURS, 1, 0.99 * two)) < LEAST_RUNS


def test_few_candidates_are_all_run():
    assert sorted(set(first_runs(X[:3], HOURS[:3], 5, np.inf))) == [0, 1, 2]


@given(st.lists(st.floats(0.01, 5.0), min_size=1, max_size=12), st.integers(1, 5))
def test_a_round_is_no_longer_than_its_first_runs_are(hours, n_workers):
    n = one_round(hours, n_workers)
    assert min(n_workers, len(hours)) <= n <= len(hours)
    longest = max(hours[:n_workers])
    load = [0.0] * n_workers
    for k, each in enumerate(hours[:n]):
        if k < n_workers:
            load[k] = each
        else:
            load[int(np.argmin(load))] += each
    assert max(load) <= longest * (1 + 1e-9)


@pytest.mark.parametrize("n", [1, 2, 4])
def test_equal_runs_are_one_for_each_worker(n):
    assert one_round([1.0] * 10, n) == n
