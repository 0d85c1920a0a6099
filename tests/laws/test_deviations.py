"""What configurations and seeds scatter by, weighed from residuals whose noise is known."""

import numpy as np
import pytest

from planner.laws.fit_law import fit_law
from planner.laws.observations import Observations, RunNoise
from planner.laws.result import SHARED, LawFit
from planner.laws.uncertainty.deviations import Scatter, deviations_of, row_weights

AXES = ("n_params", "audio_seconds", "tokens_per_second")


def scatter(tau, omega, n=60, k=3, seed=0):
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(n), k)
    residual = rng.normal(0, tau, n)[group] + rng.normal(0, omega, n * k)
    return Scatter(
        residual=residual, jacobian=np.ones((n * k, 1)), own=np.zeros(n * k), group=group
    )


@pytest.mark.parametrize(("tau", "omega"), [(0.2, 0.03), (0.05, 0.1)], ids=["laws", "seeds"])
def test_both_deviations_are_found_where_seeds_tell_them_apart(tau, omega):
    found = [deviations_of(scatter(tau, omega, seed=s)).mean() for s in range(10)]
    np.testing.assert_allclose(np.sqrt(found).mean(axis=0), (tau, omega), rtol=0.15)


def test_nodes_keep_the_expected_deviation():
    found = deviations_of(scatter(0.1, 0.05, n=8, k=1))
    nodes = found.nodes()
    assert nodes.weight.sum() == pytest.approx(1)
    assert nodes.mean()[0] == pytest.approx(found.mean()[0], rel=0.1)


def test_rows_of_one_configuration_weigh_together_what_its_mean_is_worth():
    own, group = np.full(6, 0.01), np.array([0, 0, 0, 1, 1, 2])
    weight = row_weights(own, group, tau2=0.04, omega2=0.02)
    together = np.bincount(group, weight)
    np.testing.assert_allclose(together, 1 / (0.04 + 0.03 / np.array([3, 2, 1])))


def known(table, own=4e-4, **more):
    noise = RunNoise(own=np.full(len(table), own), common=0.01, common_dof=4.0, source="speakers")
    return Observations(axes=AXES, x=table.x, error=table.error, noise=noise, **more)


def test_a_fit_says_by_which_rule_it_was_made_and_survives_json(table):
    fit = fit_law(known(table), law="additive")
    assert fit.rule == SHARED
    assert LawFit.from_json(fit.to_json()) == fit


def test_a_stored_fit_without_a_rule_is_of_the_first_one_and_predicts_as_before(table):
    fit = fit_law(table, law="additive")
    stored = {
        k: v
        for k, v in fit.to_json().items()
        if k not in ("rule", "common", "common_dof", "noise_source", "own_variance", "suspicion")
    }
    read = LawFit.from_json(stored)
    assert read.rule == "independent-noise/1"
    np.testing.assert_array_equal(read.draws(table.x, 20, 0), fit.draws(table.x, 20, 0))


def test_the_common_level_does_not_move_the_law(table):
    noise = RunNoise(own=np.full(len(table), 4e-4))
    alone = fit_law(
        Observations(axes=AXES, x=table.x, error=table.error, noise=noise), law="additive"
    )
    assert fit_law(known(table), law="additive").members == alone.members


def test_a_row_far_from_what_all_others_say_is_named_and_left_out(table):
    error = table.error.copy()
    error[7] /= 10
    wrong = Observations(axes=AXES, x=table.x, error=error)
    fit = fit_law(known(wrong, run_ids=tuple(range(100, 100 + len(error)))), law="additive")
    assert [(run, p > 0.99) for run, p in fit.suspicion if p > 0.5] == [(107, True)]
    assert 107 not in fit.run_ids
    assert "run 107 lies far" in next(w.message for w in fit.warnings if w.code == "suspect-run")


def test_no_row_is_suspected_where_all_scatter_alike(table):
    fit = fit_law(known(table), law="additive")
    assert all(p < 0.5 for _, p in fit.suspicion)


def test_repeats_of_one_configuration_are_fitted_as_their_mean(table):
    own = np.random.default_rng(1).uniform(1e-4, 9e-4, 2 * len(table))
    twice = Observations(
        axes=AXES, x=np.repeat(table.x, 2, axis=0),
        error=np.repeat(table.error, 2) * np.tile([0.97, 1.03], len(table)),
        group=np.repeat(np.arange(len(table)), 2), noise=RunNoise(own=own),
    )  # fmt: skip
    fit = fit_law(twice, law="additive")
    assert len(fit.residuals) == len(twice)
    assert fit.gradient_norm < 1e-6
