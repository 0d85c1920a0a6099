"""Least squares by the points of a table, not by its rows."""

import dataclasses
from functools import partial

import numpy as np
import pytest
from scipy.optimize import least_squares

from planner.laws.fit_law import fit_law
from planner.laws.forms.registry import build_form
from planner.laws.observations import Observations
from planner.laws.solver import estimate as room
from planner.laws.solver.estimate import Rows, estimate
from planner.laws.solver.losses import Loss
from planner.laws.uncertainty.bootstrap import refits

ROLES = {"n": "power", "t": "power"}


def seeds_of(n_points=14, n_rows=90, seed=3):
    """Rows of a law at few points, sorted by point, with weights of their own."""
    rng = np.random.default_rng(seed)
    points = np.exp(rng.normal(0, 1, (n_points, 2)))
    place = np.sort(rng.integers(0, n_points, n_rows))
    z = np.log(points[place])
    error = 0.03 + 0.05 * np.exp(-0.5 * z[:, 0]) + 0.02 * np.exp(-0.8 * z[:, 1])
    y = np.log(error) + 0.1 * rng.standard_normal(n_rows)
    return Rows(z=z, y=y, weight=rng.uniform(0.5, 2.0, n_rows))


def test_squares_of_the_rows_are_those_of_the_points_and_a_sum_that_no_law_moves():
    rows = seeds_of()
    points, begins = rows.merged()
    assert len(points) < 20
    rng = np.random.default_rng(0)
    place = np.searchsorted(begins, np.arange(len(rows)), side="right") - 1
    rest = (rows.weight * (rows.y - points.y[place]) ** 2).sum()
    for _ in range(5):
        law = rng.normal(-2, 1, len(points))
        of_rows = (rows.weight * (law[place] - rows.y) ** 2).sum()
        of_points = (points.weight * (law - points.y) ** 2).sum()
        assert of_rows == pytest.approx(of_points + rest, rel=1e-12)


def test_the_estimate_of_repeated_rows_is_scipys_optimum_over_all_of_them():
    rows = seeds_of()
    form = build_form("additive", ROLES, floor=True)
    found = estimate(form, rows, Loss())
    evaluator = form.at(rows.z)

    def residuals(theta):
        return (evaluator.log_mean(theta[None])[0] - rows.y) * np.sqrt(rows.weight)

    best = least_squares(residuals, found.theta, xtol=1e-15, ftol=1e-15, gtol=1e-15)
    assert found.objective == pytest.approx(best.cost, rel=1e-12)
    assert len(found.residual) == len(rows)
    assert found.objective == pytest.approx(0.5 * (residuals(found.theta) ** 2).sum(), rel=1e-13)


def test_a_refit_without_held_out_rows_is_that_of_the_rows_left_though_a_point_is_cut_in_two():
    rows = seeds_of()
    form = build_form("additive", ROLES, floor=True)
    fitted = estimate(form, rows, Loss())
    kept = np.ones((2, len(rows)))
    kept[0, 61:] = 0.0
    kept[1, ::2] = 0.0
    theta, _ = refits(fitted, rows, kept)
    for mask, found in zip(kept.astype(bool), theta, strict=True):
        alone = Rows(z=rows.z[mask], y=rows.y[mask], weight=rows.weight[mask])
        law = form.at(alone.z)
        loss = partial(Loss().value, weight=alone.weight)
        ours = loss(law.log_mean(found[None])[0] - alone.y)
        best = estimate(form, alone, Loss(), near=found).objective
        assert ours == pytest.approx(best, rel=1e-7)


def test_a_law_by_points_is_the_law_by_rows(monkeypatch):
    rng = np.random.default_rng(5)
    n, t, v = (
        a.ravel() for a in np.meshgrid([4e7, 8e7, 2.4e8], [4.0, 8.0, 12.0], [50.0, 25.0, 12.5])
    )
    place = rng.integers(0, len(n), 200)
    error = 0.03 + 0.05 * (n / 1e8) ** -0.5 + 0.02 * (t / 8) ** -0.9 + 0.02 * (v / 25) ** -0.6
    table = Observations(
        axes=("n_params", "audio_seconds", "tokens_per_second"),
        x=np.stack([n, t, v], axis=1)[place],
        error=(error * np.exp(0.05 * rng.standard_normal(len(n))))[place]
        * np.exp(0.04 * rng.standard_normal(200)),
        group=place,
    )
    by_points = fit_law(table)
    monkeypatch.setattr(
        room.Rows, "merged", lambda self, replicates=None: (self, np.arange(len(self)))
    )
    by_rows = fit_law(table)
    assert by_points.law == by_rows.law
    assert by_points.objective == pytest.approx(by_rows.objective, rel=1e-10)
    asked = np.stack([n, t, v], axis=1) * 1.5
    a, b = by_points.predict(asked), by_rows.predict(asked)
    for field in dataclasses.fields(a):
        one, two = getattr(a, field.name), getattr(b, field.name)
        if isinstance(one, np.ndarray) and one.dtype.kind == "f":
            assert one == pytest.approx(two, rel=1e-3), field.name


def test_a_table_without_repeated_points_is_fitted_as_it_is():
    rows = seeds_of(n_rows=14)
    distinct = Rows(z=np.arange(28.0).reshape(14, 2), y=rows.y, weight=rows.weight)
    assert distinct.merged()[0] is distinct
