"""Designs before any run: what they contain, what they identify, and that optimal is no worse."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import InputError
from planner.plan import design

LEVELS = [[1.0, 2.0, 4.0, 8.0], [5.0, 10.0, 20.0], [12.5, 25.0, 50.0]]


def jacobian(points):
    """Of ln(E + sum x^-a), by the closed form, all amplitudes 1 and exponents 0.5."""
    x = np.array([[np.log(LEVELS[k][i]) for k, i in enumerate(p)] for p in points])
    terms = np.exp(-0.5 * (x - x.mean(axis=0)))
    total = 1.0 + terms.sum(axis=1)
    columns = [1.0 / total]
    for k in range(3):
        columns += [terms[:, k] / total, -x[:, k] * terms[:, k] / total]
    return np.array(columns).T


def test_a_star_has_the_centre_and_every_other_level_once():
    points = design.star(LEVELS, (1, 1, 1))
    assert len(points) == len(set(points)) == 1 + 3 + 2 + 2
    assert all(sum(a != b for a, b in zip(p, (1, 1, 1), strict=True)) <= 1 for p in points)


def test_a_grid_has_every_combination():
    assert len(set(design.grid(LEVELS))) == 4 * 3 * 3


@settings(max_examples=20, deadline=None)
@given(st.integers(9, 30))
def test_an_optimal_design_carries_at_least_the_information_of_any_other(runs):
    full = jacobian(design.grid(LEVELS))
    chosen = design.optimal(full, runs)
    assert len(chosen) == runs
    rng = np.random.default_rng(runs)
    best = np.linalg.slogdet(full[chosen].T @ full[chosen])[1]
    for _ in range(30):
        other = full[rng.integers(0, len(full), runs)]
        sign, value = np.linalg.slogdet(other.T @ other)
        assert sign <= 0 or value <= best + 1e-6


def test_fewer_runs_than_parameters_are_refused():
    with pytest.raises(InputError, match="at least 8"):
        design.optimal(jacobian(design.grid(LEVELS)), 6)


def test_widths_shrink_with_the_root_of_the_runs():
    full = jacobian(design.grid(LEVELS))
    once = design.widths(full, full[0], 0.02, 1.6449)
    four = design.widths(np.tile(full, (4, 1)), full[0], 0.02, 1.6449)
    np.testing.assert_allclose(once.parameters / four.parameters, 2.0, rtol=1e-6)


def test_an_axis_at_one_level_is_not_identified():
    flat = [p for p in design.grid(LEVELS) if p[2] == 1]
    assert not design.widths(jacobian(flat), jacobian(flat)[0], 0.02, 1.6449).identified


def test_an_isoflop_design_stays_near_its_budgets():
    points = design.grid(LEVELS)
    flops = np.array([np.prod([LEVELS[k][i] for k, i in enumerate(p)]) for p in points])
    chosen = design.isoflop(points, flops)
    assert 0 < len(chosen) < len(points)
