"""Least squares without negative coefficients against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import nnls as oracle

from planner.costs.latency.nonnegative import nnls


@given(st.integers(0, 10_000), st.integers(1, 7), st.integers(1, 12))
def test_least_squares_without_negative_coefficients_is_that_of_scipy(seed, k, n):
    rng = np.random.default_rng(seed)
    a, b = rng.lognormal(0, 2, (n, k)), rng.normal(1, 1, n)
    ours, (theirs, residual) = nnls(a, b), oracle(a, b)
    assert (ours >= 0).all()
    assert np.linalg.norm(a @ ours - b) == pytest.approx(residual, rel=1e-8, abs=1e-9)
    if k <= n:
        assert a @ ours == pytest.approx(a @ theirs, rel=1e-6, abs=1e-7)
