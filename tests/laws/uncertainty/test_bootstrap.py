"""Replicates, and the bootstrap's second start."""

from __future__ import annotations

import numpy as np
import pytest

from planner.laws.forms.link import Link
from planner.laws.forms.registry import build_form
from planner.laws.one_form import Setting, fit_form
from planner.laws.solver.estimate import Rows, estimate
from planner.laws.solver.losses import Loss
from planner.laws.uncertainty.bootstrap import bootstrap, refits, replicate_weights

ROLES = {"a": "power", "b": "power"}


def rows_of(seed, n=30, sigma=0.02):
    rng = np.random.default_rng(seed)
    z = rng.uniform(-2, 2, (n, 2))
    f = 0.5 + rng.uniform(0.2, 1) * np.exp(-0.6 * z[:, 0]) + 0.3 * np.exp(-0.9 * z[:, 1])
    return Rows(z=z, y=np.log(f) + sigma * rng.standard_normal(n), weight=np.ones(n))


def test_replicates_draw_whole_groups():
    group = np.array([0, 0, 1, 1, 2, 2])
    weights = replicate_weights(6, group, 50, np.random.default_rng(0))
    assert (weights[:, ::2] == weights[:, 1::2]).all()
    assert (weights.sum(1) == 6).all()


@pytest.mark.parametrize("delta", [None, 0.004])
def test_a_replicate_ends_where_it_would_alone(delta):
    form, rows = build_form("additive", ROLES), rows_of(3, n=40)
    best = estimate(form, rows, Loss(delta=delta))
    weights = replicate_weights(40, None, 300, np.random.default_rng(1))
    together, _ = refits(best, rows, weights)
    for i in (0, 63, 64, 65, 250, 299):
        alone, _ = refits(best, rows, weights[i : i + 1])
        assert together[i] == pytest.approx(alone[0], abs=1e-6)


def test_the_bootstrap_finds_several_basins_in_the_raw_points(chinchilla):
    fitted = fit_form(chinchilla, "additive", Setting(loss="huber:1e-3", link=Link()))
    found = bootstrap(fitted.estimate, fitted.rows, None, fitted.scales, n=60, level=0.9, seed=0)
    assert found.second_start_wins > 0


def test_bootstrap_deviations_match_the_published_ones(clean_chinchilla):
    fitted = fit_form(clean_chinchilla, "additive", Setting(loss="huber:1e-3", link=Link()))
    found = bootstrap(fitted.estimate, fitted.rows, None, fitted.scales, n=300, level=0.9, seed=0)
    names = [spec.name for spec in fitted.form.parameters]
    deviation = dict(zip(names, found.std_errors, strict=True))
    # 1,000 pairs replicates gave E .0252, alpha .0147, beta .0204 (README of the data).
    assert deviation["E"] == pytest.approx(0.0252, rel=0.2)
    assert deviation["alpha_n_params"] == pytest.approx(0.0147, rel=0.2)
    assert deviation["alpha_n_tokens"] == pytest.approx(0.0204, rel=0.2)
    assert found.second_start_wins == 0
