"""What groups share is integrated: the closed form against the whole density, draws against their posterior."""

from __future__ import annotations

import numpy as np
import pytest

from planner.laws.groups.shared import Guess, Told, evidence, shared_draws


def linear_groups(sizes, p, rng):
    """Designs and responses of groups, and what they say of their coordinates."""
    designs = [rng.normal(size=(n, p)) for n in sizes]
    responses = [rng.normal(size=n) for n in sizes]
    told = Told(
        information=np.array([x.T @ x for x in designs]),
        right=np.array([x.T @ y for x, y in zip(designs, responses, strict=True)]),
        square=np.array([y @ y for y in responses]),
        n_rows=np.array(sizes, dtype=float),
        usual=np.ones(p),
        mu_precision=np.array([0.1, 0.3]),
    )
    return designs, responses, told


def whole_density(designs, responses, mu_precision, tau, sigma):
    """Ln density of all rows at once, their covariance written out."""
    every, y = np.vstack(designs), np.concatenate(responses)
    covariance = every @ np.diag(1 / mu_precision) @ every.T
    begin = 0
    for x in designs:
        rows = slice(begin, begin + len(x))
        covariance[rows, rows] += x @ np.diag(tau**2) @ x.T + sigma**2 * np.eye(len(x))
        begin += len(x)
    return -0.5 * (np.linalg.slogdet(covariance)[1] + y @ np.linalg.solve(covariance, y))


def test_the_likelihood_of_spreads_is_that_of_the_whole_normal_density():
    rng = np.random.default_rng(0)
    designs, responses, told = linear_groups((3, 2, 5, 4), 2, rng)
    tau, sigma = np.array([[0.5, 1.2], [2.0, 0.3], [1.0, 1.0]]), np.array([0.7, 1.1, 0.4])
    found = evidence(told, tau, sigma)[0]
    exact = [
        whole_density(designs, responses, told.mu_precision, t, s)
        for t, s in zip(tau, sigma, strict=True)
    ]
    assert np.diff(found) == pytest.approx(np.diff(exact), rel=1e-9)


def test_draws_of_a_spread_have_the_quantiles_of_its_posterior():
    """One coordinate, known noise nearly: the posterior of tau on a fine grid is the oracle."""
    rng = np.random.default_rng(1)
    values = 0.4 * rng.standard_normal(8)
    sizes = np.full(8, 40)
    rows = values[:, None] + 0.1 * rng.standard_normal((8, 40))
    told = Told(
        information=sizes[:, None, None].astype(float),
        right=rows.sum(1)[:, None],
        square=(rows**2).sum(1),
        n_rows=sizes.astype(float),
        usual=np.array([1.0]),
        mu_precision=np.array([0.0]),
    )
    draws = shared_draws(
        told, Guess(np.array([0.4]), np.array([8.0]), 0.1, 300.0), np.random.default_rng(2)
    )
    grid = np.linspace(0.05, 3.0, 4000)
    means, noise = rows.mean(1), 0.01 / 40
    v = grid**2 + noise
    exact = -0.5 * 7 * np.log(v) - 0.5 * ((means - means.mean()) ** 2).sum() / v - np.log1p(grid**2)
    share = np.cumsum(np.exp(exact - exact.max()))
    share /= share[-1]
    for q in (0.1, 0.5, 0.9):
        assert np.quantile(draws.tau[:, 0], q) == pytest.approx(np.interp(q, share, grid), rel=0.12)
    assert draws.effective > 200
