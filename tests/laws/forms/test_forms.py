"""Every law: derivatives against central differences, units, and what it is made of."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import InputError, UnknownNameError
from planner.laws.forms.registry import build_form, law_names, register_law
from planner.laws.solver.bounds import bounds_of

AXES = ("n_params", "audio_seconds", "n_train")
POWER = dict.fromkeys(AXES, "power")
MIXED = {"n_params": "slope", "audio_seconds": "power", "n_train": "power"}
LAWS = [
    "additive",
    "multiplicative",
    "shared-exponent",
    "additive+joint",
    "add-interact",
    "add-interact-simple",
    "sum:n_params*audio_seconds+n_train",
    "shifted",
    "bnsl-1:audio_seconds",
    "bnsl-2:audio_seconds",
    "saturating",
    "valley:audio_seconds",
    "log-linear",
]


def random_theta(form, z, rng):
    """Parameters well inside their box, amplitudes about 1."""
    low, high = bounds_of(form, z, np.zeros(len(z)))
    theta = low + (high - low) * rng.uniform(0.05, 0.25, form.n_parameters)
    theta[form.log_parameters] = rng.normal(0.0, 0.7, len(form.log_parameters))
    return theta


def central(function, theta, step=1e-6):
    columns = []
    for i in range(len(theta)):
        up, down = theta.copy(), theta.copy()
        up[i] += step
        down[i] -= step
        columns.append((function(up) - function(down)) / (2 * step))
    return np.array(columns)


@pytest.mark.parametrize("roles", [POWER, MIXED], ids=["power", "with-a-slope"])
@pytest.mark.parametrize("law", LAWS)
def test_the_gradient_agrees_with_central_differences(law, roles):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(7, 3))
    form = build_form(law, roles)
    theta = random_theta(form, z, rng)
    analytic = form.at(z).linearise(theta[None]).jacobian[0]
    numeric = central(lambda t: form.at(z).log_mean(t[None])[0], theta)
    assert np.abs(analytic - numeric).max() < 1e-7


@pytest.mark.parametrize("law", LAWS)
def test_second_derivatives_agree_with_central_differences(law):
    rng = np.random.default_rng(1)
    z, psi = rng.normal(size=(7, 3)), rng.normal(size=(1, 7))
    form = build_form(law, POWER)
    theta = random_theta(form, z, rng)
    at = form.at(z).linearise(theta[None])
    analytic = at.second(psi)[0] - (at.jacobian[0] * psi) @ at.jacobian[0].T
    numeric = central(lambda t: form.at(z).linearise(t[None]).jacobian[0] @ psi[0], theta)
    assert np.abs(analytic - numeric).max() < 1e-6


@pytest.mark.parametrize("law", LAWS)
def test_every_term_has_one_amplitude_and_names_its_parameters(law):
    form = build_form(law, POWER)
    assert len(form.term_parameters) == len(form.log_parameters)
    for term, amplitude in zip(form.term_parameters, form.log_parameters, strict=True):
        assert amplitude == term[0]
    assert {p for term in form.term_parameters for p in term} == set(range(form.n_parameters))
    assert all(spec.name in form.formula() for spec in form.parameters)


@pytest.mark.parametrize("law", LAWS)
def test_a_term_depends_on_its_own_parameters_only(law):
    rng = np.random.default_rng(2)
    z = rng.normal(size=(5, 3))
    form = build_form(law, POWER)
    theta = random_theta(form, z, rng)
    for j, term in enumerate(form.term_parameters):
        other = theta + np.where(np.isin(np.arange(len(theta)), term), 0.0, 0.3)
        before, after = form.at(z).log_terms(theta[None]), form.at(z).log_terms(other[None])
        assert before[j] == pytest.approx(after[j])


@settings(max_examples=25, deadline=None)
@given(st.floats(0.05, 2.0), st.floats(0.05, 2.0), st.floats(-3, 3), st.floats(0.01, 3))
def test_more_of_a_power_axis_never_raises_the_error(alpha, beta, place, gap):
    form = build_form("additive", {"n_params": "power", "audio_seconds": "power"})
    theta = np.array([[-3.0, -1.0, alpha, -2.0, beta]])
    less, more = form.at(np.array([[place, 0.0], [place + gap, 0.0]])).log_mean(theta)[0]
    assert more <= less


def test_a_broken_law_can_have_a_best_value_inside():
    form = build_form("bnsl-1", {"audio_seconds": "power"})
    names = [spec.name for spec in form.parameters]
    wanted = {
        "alpha_audio_seconds": 0.5,
        "change1_audio_seconds": -1.5,
        "width1_audio_seconds": 0.3,
    }
    theta = np.array([[wanted.get(name, -3.0 if name == "E" else 0.0) for name in names]])
    error = form.at(np.linspace(-3, 3, 61)[:, None]).log_mean(theta)[0]
    assert 0 < int(error.argmin()) < 60


def test_an_unknown_axis_in_a_law_is_named():
    with pytest.raises(UnknownNameError, match="did you mean n_train"):
        build_form("sum:n_trian", POWER)
    with pytest.raises(InputError, match="needs its products"):
        build_form("sum", POWER)


def test_a_law_of_the_users_own_is_one_name_more():
    register_law(
        "mine", lambda roles, *, floor, argument: build_form("additive", roles, floor=floor)
    )
    assert "mine" in law_names()
    assert build_form("mine", POWER).n_parameters == 7
