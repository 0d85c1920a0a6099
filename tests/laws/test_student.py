"""Student's t against scipy's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from planner.words.student import t_cdf, t_quantile


@given(st.floats(-50, 50), st.floats(0.5, 500))
def test_the_distribution_agrees_with_scipy(value, dof):
    assert t_cdf(value, dof) == pytest.approx(stats.t.cdf(value, dof), rel=1e-9, abs=1e-13)


@given(st.floats(0.001, 0.999), st.floats(1.0, 500))
def test_the_quantile_agrees_with_scipy(probability, dof):
    assert t_quantile(probability, dof) == pytest.approx(
        stats.t.ppf(probability, dof), rel=1e-8, abs=1e-9
    )
