"""What must not change a fit: the objective's scale, the order of rows, the units."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.laws.fit_law import fit_law
from planner.laws.observations import Observations

POINTS = np.array([(a, b) for a in (1.0, 2.0, 4.0, 8.0) for b in (1.0, 3.0, 9.0)])
NOISE = np.random.default_rng(5).standard_normal(len(POINTS))
ERROR = (0.1 + 0.3 * POINTS[:, 0] ** -0.7 + 0.2 * POINTS[:, 1] ** -0.4) * np.exp(0.01 * NOISE)
TABLE = Observations(axes=("a", "b"), x=POINTS, error=ERROR)
FAR = np.array([[16.0, 20.0]])


def fitted(table, loss="log"):
    return fit_law(table, law="additive", loss=loss)


def exponents(fit):
    return np.array([p.value for p in fit.parameters if p.kind == "exponent"])


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(len(POINTS))))
def test_the_order_of_rows_changes_no_bit(order):
    moved = fitted(TABLE.rows(np.array(order)))
    whole = fitted(TABLE)
    assert moved.members == whole.members
    assert moved.residuals == tuple(whole.residuals[i] for i in order)


@settings(max_examples=10, deadline=None)
@given(st.floats(1e-6, 1e6), st.floats(1e-3, 1e9))
def test_units_of_the_axes_change_no_prediction(first, second):
    units = np.array([first, second])
    moved = fitted(dataclasses.replace(TABLE, x=POINTS * units))
    whole = fitted(TABLE)
    assert exponents(moved) == pytest.approx(exponents(whole), rel=1e-6)
    assert moved.predict(FAR * units).low == pytest.approx(whole.predict(FAR).low, rel=1e-6)


@settings(max_examples=10, deadline=None)
@given(st.floats(1e-4, 1e4))
def test_the_unit_of_the_error_scales_the_prediction(unit):
    moved, whole = fitted(dataclasses.replace(TABLE, error=ERROR * unit)), fitted(TABLE)
    assert exponents(moved) == pytest.approx(exponents(whole), rel=1e-6)
    assert moved.predict(FAR).high / unit == pytest.approx(whole.predict(FAR).high, rel=1e-6)


@pytest.mark.parametrize("loss", ["log", "huber:1e-2"])
def test_weights_times_a_constant_change_nothing(loss):
    weight = np.linspace(1, 2, len(POINTS))
    one = fitted(dataclasses.replace(TABLE, weight=weight), loss)
    other = fitted(dataclasses.replace(TABLE, weight=weight * 1e-6), loss)
    assert exponents(other) == pytest.approx(exponents(one), rel=1e-6)
    assert other.objective == pytest.approx(one.objective, rel=1e-9)


def test_the_same_seed_gives_the_same_fit():
    runs = [fit_law(TABLE, law="additive", bootstrap=20, seed=3) for _ in range(2)]
    assert runs[0] == runs[1]


def test_read_only_and_single_precision_arrays_are_fitted():
    x = POINTS.astype(np.float32)
    x.setflags(write=False)
    fit = fitted(Observations(axes=("a", "b"), x=x, error=ERROR.astype(np.float32)))
    assert exponents(fit) == pytest.approx(exponents(fitted(TABLE)), rel=1e-4)
