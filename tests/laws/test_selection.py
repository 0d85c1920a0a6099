"""Choosing and weighing forms, and what the answer's uncertainty takes from it."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from planner.laws.fit_law import fit_law
from planner.laws.identify import design_of
from planner.laws.observations import Observations, RunNoise
from planner.laws.one_form import Setting, fit_form
from planner.laws.selection import candidate_laws, hold_outs
from planner.laws.turning import bent_axes
from planner.laws.weighing import Candidate, weights_of

AXES = ("a", "b")
POINTS = np.array(list(itertools.product((1.0, 2.0, 4.0, 8.0, 16.0), repeat=2)))


def table_of(truth, sigma=0.003, seed=0, points=POINTS):
    noise = np.random.default_rng(seed).standard_normal(len(points))
    return Observations(axes=AXES, x=points, error=truth(points) * np.exp(sigma * noise))


def product(x):
    return 0.05 + 0.4 * x[:, 0] ** -0.8 * x[:, 1] ** -0.5


def total(x):
    return 0.05 + 0.3 * x[:, 0] ** -0.8 + 0.2 * x[:, 1] ** -0.5


def valley(x):
    return (0.1 + 0.3 * x[:, 0] ** -0.6) * np.exp(0.2 * np.log(x[:, 1] / 4.0) ** 2)


@pytest.mark.parametrize(("truth", "law"), [(product, "multiplicative"), (total, "additive")])
def test_the_form_that_made_the_data_weighs_more_than_its_rival(truth, law):
    weights = {score.law: score.weight for score in fit_law(table_of(truth)).forms}
    rival = ({"multiplicative", "additive"} - {law}).pop()
    assert weights[law] > 5 * weights[rival]


def test_weights_add_up_to_one_and_every_form_has_its_scores():
    fit = fit_law(table_of(total))
    assert sum(score.weight for score in fit.forms) == pytest.approx(1)
    assert sum(member.weight for member in fit.members) == pytest.approx(1)
    assert all(s.aicc is not None and s.cv_error is not None for s in fit.forms if not s.note)


def test_not_knowing_the_form_widens_the_prediction():
    table, far = table_of(total), [[64.0, 64.0]]
    known, mixed = fit_law(table, law="additive").predict(far), fit_law(table).predict(far)
    assert mixed.high[0] / mixed.low[0] > known.high[0] / known.low[0]


def alone(fit, member):
    return dataclasses.replace(fit, members=(dataclasses.replace(member, weight=1.0),))


def test_draws_come_from_all_forms_in_proportion_to_their_weights():
    fit = fit_law(table_of(total))
    only = [alone(fit, m).predict([[1e4, 1e4]]).mean[0] for m in fit.members]
    drawn = fit.draws([[1e4, 1e4]], 2000, 0)[:, 0]
    assert drawn.min() < min(only) * 1.2
    assert drawn.max() > max(only) / 1.2


def test_a_draw_is_one_law_at_every_point_also_across_calls():
    fit = fit_law(table_of(total))
    together = fit.draws(POINTS, 50, 1)
    apart = np.hstack([fit.draws(POINTS[:7], 50, 1), fit.draws(POINTS[7:], 50, 1)])
    assert together == pytest.approx(apart)


def test_hold_outs_are_the_costly_end_and_each_axes_upper_end():
    table = table_of(total)
    held = hold_outs(table, design_of(table))
    cost = POINTS.prod(1)
    assert len(held) == 4
    assert all(cost[h].min() >= np.median(cost[~h]) for h in held[:2])
    assert (POINTS[held[2], 0] == 16).all()


def test_a_best_value_inside_an_axis_is_seen_and_given_a_valley():
    table = table_of(valley)
    assert bent_axes(table, design_of(table)) == ["b"]
    assert bent_axes(table_of(total), design_of(table)) == []
    assert fit_law(table).law.startswith(("valley", "bnsl", "optimum"))


def test_a_valley_is_recovered_with_its_best_place():
    fit = fit_law(table_of(valley, sigma=1e-6), law="valley:b")
    values = {p.name: p.value for p in fit.parameters}
    scale = fit.members[0].scales[1]
    best = scale * np.exp(values["slope_b"] / (2 * values["bend_b"]))
    assert best == pytest.approx(4.0, rel=1e-3)


def test_covariates_bring_the_interaction_laws():
    table = dataclasses.replace(table_of(total), axes=("a", "n_train"))
    laws = candidate_laws(table, design_of(table))
    assert "add-interact" in laws
    assert "add-interact-simple" in laws


def test_too_few_runs_for_a_hold_out_leave_the_choice_to_aicc(star_points):
    few = star_points[[0, 1, 2, 3, 6, 7]]
    error = 0.1 * (few[:, 1] / 8) ** -0.5
    fit = fit_law(Observations(axes=("n", "t", "v"), x=few, error=error * 1.01 ** np.arange(6)))
    assert all(score.cv_error is None for score in fit.forms)
    assert sum(score.weight for score in fit.forms) == pytest.approx(1)


def judged_by(squares, bic=0.0):
    """Candidates with those squared residuals on the hold-outs, by their law."""
    table = dataclasses.replace(table_of(total), noise=RunNoise(own=np.full(len(POINTS), 1e-4)))
    fitted = fit_form(table, "additive", Setting())
    return [
        Candidate(
            law=law, n_parameters=5, fitted=fitted, bic=bic, held=tuple(map(np.array, held)),
            cv_error=float(np.exp(np.mean([0.5 * np.log(np.mean(h)) for h in held]))),
        )
        for law, held in squares.items()
    ]  # fmt: skip


def test_one_held_out_row_turns_weights_over_less_than_it_would_alone():
    calm, odd = [[0.01] * 4, [0.01] * 4], [[0.01] * 3 + [0.3], [0.01] * 4]
    weight = weights_of(judged_by({"a": calm, "b": odd}), 2)[1]
    noise = judged_by({"a": calm})[0].fitted.sigma ** 2
    m = [np.mean(h) + noise for h in odd]
    alone = 1 / (1 + np.prod(np.array(m) / (0.01 + noise)))
    assert 0.25 + 0.5 * alone < weight < 0.5


def test_forms_that_err_alike_weigh_alike_however_rows_are_drawn():
    same = [[0.01, 0.04, 0.02], [0.03, 0.01]]
    assert weights_of(judged_by({"a": same, "b": same}), 2) == pytest.approx([0.5, 0.5])
