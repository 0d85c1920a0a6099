"""Correlated noise of rows: the whitened law, its likelihood and the joint posterior of own deviations."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from planner.laws.fit_law import fit_law
from planner.laws.forms.registry import build_form
from planner.laws.observations import Observations, RunNoise
from planner.laws.parts import correlation, triangle
from planner.laws.result import LawFit
from planner.laws.solver.bounds import bounds_of
from planner.laws.solver.estimate import Rows, estimate
from planner.laws.solver.losses import Loss
from planner.laws.uncertainty.deviations import Scatter, covariance_of, deviations_of
from planner.laws.uncertainty.paired_noise import _Whitened, row_covariance, whitened


def correlated(n, seed=0):
    a = np.random.default_rng(seed).standard_normal((n, 2 * n))
    c = a @ a.T
    d = np.sqrt(np.diag(c))
    return c / d[:, None] / d[None, :]


def table(n=20, seed=0, sd=0.05):
    rng = np.random.default_rng(seed)
    z = rng.uniform(-1, 1, (n, 2))
    pairs = correlated(n, seed)
    own = np.full(n, sd**2)
    noise = np.linalg.cholesky(
        row_covariance(own, pairs, np.arange(n), 0.0, 0.0)
    ) @ rng.standard_normal(n)
    y = np.log(0.02 + 0.05 * np.exp(-0.5 * z[:, 0]) + 0.03 * np.exp(-0.8 * z[:, 1])) + noise
    return z, y, own, pairs


def test_without_correlation_the_matrix_gives_what_rows_alone_give():
    z, y, own, _ = table()
    group = np.repeat(np.arange(10), 2)
    jacobian = np.column_stack([np.ones(len(y)), z])[2 * group]
    plain = Scatter(residual=y - y.mean(), jacobian=jacobian, own=own, group=group)
    whole = Scatter(
        residual=y - y.mean(), jacobian=jacobian, own=own, group=group, pairs=np.eye(len(y))
    )
    one, other = deviations_of(plain), deviations_of(whole)
    np.testing.assert_allclose(one.weight, other.weight, atol=1e-9)
    prior = np.full(3, 2.0)
    np.testing.assert_allclose(
        covariance_of(plain, prior, 0.01, 0.002), covariance_of(whole, prior, 0.01, 0.002)
    )


def test_the_restricted_likelihood_is_that_of_contrasts_which_the_law_cannot_see():
    z, y, own, pairs = table(n=12)
    jacobian = np.column_stack([np.ones(12), z])
    group = np.arange(12) // 2
    contrasts = np.linalg.svd(jacobian)[0][:, 3:]

    def by_contrasts(tau2, omega2):
        v = contrasts.T @ row_covariance(own, pairs, group, tau2, omega2) @ contrasts
        return multivariate_normal(cov=v).logpdf(contrasts.T @ y)

    from planner.laws.uncertainty.deviations import _restricted

    s = Scatter(residual=y, jacobian=jacobian, own=own, group=group, pairs=pairs)
    found = _restricted(s, np.arange(len(s.residual)), np.array([0.01, 0.2]), 0.003)
    assert found[1] - found[0] == pytest.approx(
        by_contrasts(0.2, 0.003) - by_contrasts(0.01, 0.003)
    )


def test_the_whitened_law_is_a_minimum_of_the_generalised_squares():
    z, y, own, pairs = table()
    form = build_form("additive", {"a": "power", "b": "power"}, floor=True)
    rows = Rows(z=z, y=y, weight=np.ones(len(y)))
    start = estimate(form, rows, Loss())
    v = row_covariance(own, pairs, np.arange(len(y)), 0.0, 1e-4)
    end = whitened(start, rows, v)

    def squares(theta):
        r = form.at(z).log_mean(theta[None])[0] - y
        return float(r @ np.linalg.solve(v, r))

    best = squares(end.theta)
    assert best < squares(start.theta)
    rng = np.random.default_rng(1)
    low, high = bounds_of(form, z, y)
    near = end.theta + 1e-3 * rng.standard_normal((50, len(end.theta)))
    around = [squares(theta) for theta in np.clip(near, low, high)]
    assert min(around) >= best * (1 - 1e-9)


def test_second_derivatives_of_mixed_rows_are_exact():
    z, y, _, pairs = table(n=9)
    form = build_form("additive", {"a": "power", "b": "power"}, floor=True)
    theta = estimate(form, Rows(z=z, y=y, weight=np.ones(9)), Loss()).theta
    rows = _Whitened(form.at(z), pairs)
    psi = np.random.default_rng(2).standard_normal((1, 9))
    at = rows.linearise(theta[None])
    found = at.second(psi)[0] - (at.jacobian[0] * psi[0]) @ at.jacobian[0].T
    step = 1e-5
    for i in range(len(theta)):
        d = np.zeros_like(theta)
        d[i] = step
        up, down = (rows.linearise((theta + s * d)[None]).jacobian[0] @ psi[0] for s in (1, -1))
        np.testing.assert_allclose(found[i], (up - down) / (2 * step), rtol=1e-4, atol=1e-6)


def test_a_fit_keeps_the_pairs_of_its_rows_in_their_order_through_json():
    z, y, own, pairs = table(n=16)
    given = Observations(
        axes=("n", "t"), x=np.exp(z), error=np.exp(y), noise=RunNoise(own=own, pairs=pairs),
        run_ids=tuple(range(16)),
    )  # fmt: skip
    fit = fit_law(given, law="additive")
    assert fit.run_ids == given.run_ids
    np.testing.assert_allclose(correlation(fit.own_pairs), pairs, atol=1e-12)
    assert LawFit.from_json(fit.to_json()) == fit
    assert triangle(correlation(fit.own_pairs)) == fit.own_pairs
