"""Student's t against scipy's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from planner.words.student import regularised_beta, t_cdf, t_quantile, t_quantile_95


@given(st.floats(-50, 50), st.floats(0.5, 500))
def test_the_distribution_agrees_with_scipy(value, dof):
    assert t_cdf(value, dof) == pytest.approx(stats.t.cdf(value, dof), rel=1e-9, abs=1e-13)


@given(st.floats(0.001, 0.999), st.floats(1.0, 500))
def test_the_quantile_agrees_with_scipy(probability, dof):
    assert t_quantile(probability, dof) == pytest.approx(
        stats.t.ppf(probability, dof), rel=1e-8, abs=1e-9
    )


@given(st.floats(0.5, 60), st.floats(0.5, 60), st.floats(0, 1))
def test_the_incomplete_beta_function_agrees_with_scipy(a, b, x):
    assert regularised_beta(a, b, x) == pytest.approx(special.betainc(a, b, x), rel=1e-9, abs=1e-12)


@given(st.floats(3, 1e6))
def test_the_quick_quantile_is_within_a_third_of_a_percent_from_3_degrees_of_freedom(dof):
    assert t_quantile_95(dof) == pytest.approx(special.stdtrit(dof, 0.95), rel=3e-3)
