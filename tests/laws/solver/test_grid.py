"""The grid of starts: exact small least squares, and points between the levels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from planner.laws.solver.grid import halton, nonnegative


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4))
def test_small_nonnegative_least_squares_agrees_with_scipy(seed, k):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(9, k)), rng.normal(size=9)
    reduction, _ = nonnegative((a.T @ a)[None], (a.T @ b)[None])
    assert b @ b - reduction[0] == pytest.approx(nnls(a, b)[1] ** 2, rel=1e-6, abs=1e-9)


def test_halton_points_fill_the_square():
    points = halton(64, 2)
    counts = np.histogram2d(points[:, 0], points[:, 1], bins=4, range=[[0, 1], [0, 1]])[0]
    assert counts.min() >= 2


@pytest.mark.parametrize("dimensions", [2, 5, 8])
def test_halton_points_are_those_by_hand_that_stored_fits_began_from(dimensions):
    primes = [2, 3, 5, 7, 11, 13, 17, 19][:dimensions]
    by_hand = np.zeros((4096, dimensions))
    for j, base in enumerate(primes):
        index, fraction = np.arange(1, 4097), 1.0
        while index.any():
            fraction /= base
            by_hand[:, j] += fraction * (index % base)
            index = index // base
    np.testing.assert_array_equal(halton(4096, dimensions), by_hand)
