"""A population of groups: each group's law is drawn from one distribution, and all are estimated together.

    ln e_i = ln f(x_i; phi_g) + sigma epsilon_i,    phi_g ~ N(mu, diag(tau^2))

Non-linear mixed effects by linearisation and expectation-maximisation (Lindstrom and Bates 1990): a damped Gauss-Newton
step of all groups at once, then mu, tau and sigma from the groups' estimates and covariances. Where tau comes out large
a coordinate is a group's own, where small it is shared: the table decides. A weak prior keeps tau from 0 in few groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.laws.forms.base import Evaluator
from planner.laws.groups.coordinates import Coordinates
from planner.laws.groups.shared import Guess, SharedDraws, Told, shared_draws
from planner.laws.observations import Floats

MOST_ROUNDS = 400
SETTLED = 1e-5
"""Relative change of mu and tau in a round that ends the search."""
LARGEST_STEP = 1.5
USUAL_SPREAD = {"level": 1.0, "ratio": 1.0, "exponent": 0.3}
"""Spread of groups that counts as one further group (assumption): sets differ by e in level, floors by e in their
share, and exponents by a third."""
USUAL_RATIO = 3.0
"""Spread about 0 of the mean log ratio of terms (assumption): a floor that nothing tells is neither 0 nor all."""
WHOLE_RANGE = (0.02, 15.0)
"""Exponents, times the log range of the axis, between which a group's may lie."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroupedRows:
    """Rows of all groups: z (n, k), y (n,), weight (n,), and the group of each row, 0 to n_groups - 1."""

    z: Floats
    y: Floats
    weight: Floats
    group: NDArray[np.intp]
    n_groups: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Population:
    """Groups and what they share.

    Attributes:
        phi: coordinates of each group, shape (g, p).
        covariance: of each, given mu and tau, shape (g, p, p).
        mu: mean of the groups, shape (p,); mu_covariance: its own, (p, p).
        tau: spread of the groups, shape (p,); tau_dof: groups that told it, (p,).
        sigma: spread of a row about its law; sigma_dof: rows that told it.
        shared: what is not known of mu, tau and sigma: draws of them.
        told: what each group's rows say of its coordinates, linearised at its estimate.
        n_rounds: of the search; converged: whether it settled.
    """

    phi: Floats
    covariance: Floats
    mu: Floats
    mu_covariance: Floats
    tau: Floats
    tau_dof: Floats
    sigma: float
    sigma_dof: float
    shared: SharedDraws
    told: Told
    n_rounds: int
    converged: bool


@dataclass(slots=True, kw_only=True, eq=False)
class _Search:
    """The state of the search, and one round of it."""

    rows: GroupedRows
    at: Coordinates
    evaluator: Evaluator
    low: Floats
    high: Floats
    usual: Floats
    mu_precision: Floats
    phi: Floats
    mu: Floats
    tau2: Floats
    sigma2: float

    def looked(self, phi: Floats) -> tuple[Floats, Floats]:
        """Log means of each row under its own group (n,), and its derivatives (n, p)."""
        lin = self.evaluator.linearise(self.at.theta(phi))
        jacobian = self.at.pulled(phi, lin.jacobian)
        rows = np.arange(len(self.rows.y))
        return lin.log_mean[self.rows.group, rows], jacobian[self.rows.group, :, rows]

    def summed(self, values: Floats) -> Floats:
        """Sums of rows by group, shape (g, …)."""
        out = np.zeros((self.rows.n_groups, *values.shape[1:]))
        np.add.at(out, self.rows.group, values)
        return out

    def objective(self, phi: Floats, log_mean: Floats) -> Floats:
        """What each group's step lowers, shape (g,)."""
        misfit = self.summed(self.rows.weight * (self.rows.y - log_mean) ** 2) / self.sigma2
        return np.asarray(0.5 * misfit + 0.5 * ((phi - self.mu) ** 2 / self.tau2).sum(1))

    def step(self) -> Floats:
        """One damped step of every group; returns their covariances."""
        log_mean, jacobian = self.looked(self.phi)
        scaled = self.rows.weight / self.sigma2
        information = self.summed(
            scaled[:, None, None] * jacobian[:, :, None] * jacobian[:, None, :]
        )
        right = self.summed((scaled * (self.rows.y - log_mean))[:, None] * jacobian)
        right -= (self.phi - self.mu) / self.tau2
        covariance = np.linalg.inv(information + np.diag(1.0 / self.tau2)).astype(np.float64)
        move = np.clip((covariance @ right[:, :, None])[:, :, 0], -LARGEST_STEP, LARGEST_STEP)
        now, share = self.objective(self.phi, log_mean), np.ones(len(self.phi))
        for _ in range(6):
            there = np.clip(self.phi + share[:, None] * move, self.low, self.high)
            worse = self.objective(there, self.looked(there)[0]) > now + 1e-12
            if not worse.any():
                break
            share = np.where(worse, 0.5 * share, share)
        else:
            there = np.where(worse[:, None], self.phi, there)
        self.phi = there
        return covariance

    def shared(self, covariance: Floats) -> None:
        """Mu, tau and sigma from the groups."""
        g = len(self.phi)
        precision = g / self.tau2 + self.mu_precision
        # Ratios are drawn weakly towards 0: their prior's mean.
        self.mu = (self.phi.sum(0) / self.tau2) / precision
        spread = ((self.phi - self.mu) ** 2).sum(0) + np.einsum("gii->i", covariance)
        self.tau2 = (spread + self.usual**2) / g
        log_mean, jacobian = self.looked(self.phi)
        own = covariance[self.rows.group]
        doubt = np.einsum("ni,nij,nj->n", jacobian, own, jacobian)
        squares = self.rows.weight * ((self.rows.y - log_mean) ** 2 + doubt)
        self.sigma2 = max(float(squares.mean()), 1e-14)


def pool(
    rows: GroupedRows, at: Coordinates, start: Floats, sigma: float, seed: int = 0
) -> Population:
    """Estimate all groups and what they share.

    Args:
        rows: of all groups.
        at: coordinates of the form.
        start: of each group, shape (g, p).
        sigma: first guess of the spread of a row.
        seed: of the draws of what groups share.
    """
    search = _search(rows, at, start, sigma)
    settled, n_rounds = False, 0
    while not settled and n_rounds < MOST_ROUNDS:
        before = np.concatenate([search.mu, np.sqrt(search.tau2), [np.sqrt(search.sigma2)]])
        covariance = search.step()
        search.shared(covariance)
        after = np.concatenate([search.mu, np.sqrt(search.tau2), [np.sqrt(search.sigma2)]])
        settled = bool((np.abs(after - before) <= SETTLED * (np.abs(before) + 0.01)).all())
        n_rounds += 1
    return _population(search, covariance, n_rounds, settled, np.random.default_rng(seed))


def _search(rows: GroupedRows, at: Coordinates, start: Floats, sigma: float) -> _Search:
    form, p = at.form, at.form.n_parameters
    usual, mu_precision = np.full(p, USUAL_SPREAD["level"]), np.zeros(p)
    low, high = np.full(p, -np.inf), np.full(p, np.inf)
    for place in at.logs[1:]:
        usual[place], mu_precision[place] = USUAL_SPREAD["ratio"], USUAL_RATIO**-2
        low[place], high[place] = -12.0, 12.0
    for place in at.exponents:
        usual[place] = USUAL_SPREAD["exponent"]
        column = form.axes.index(str(form.parameters[place].axis))
        reach = float(np.ptp(rows.z[:, column]))
        low[place], high[place] = np.log(np.array(WHOLE_RANGE) / reach)
    start = np.clip(start, low, high)
    return _Search(
        rows=rows, at=at, evaluator=form.at(rows.z), low=low, high=high, usual=usual,
        mu_precision=mu_precision, phi=start, mu=start.mean(0), tau2=start.var(0) + usual**2,
        sigma2=max(sigma, 1e-4) ** 2,
    )  # fmt: skip


def _told_by(search: _Search) -> Told:
    """What each group's rows say of its coordinates, linearised at its estimate."""
    log_mean, jacobian = search.looked(search.phi)
    weight = search.rows.weight
    own = search.phi[search.rows.group]
    target = search.rows.y - log_mean + np.einsum("np,np->n", jacobian, own)
    return Told(
        information=search.summed(
            weight[:, None, None] * jacobian[:, :, None] * jacobian[:, None, :]
        ),
        right=search.summed((weight * target)[:, None] * jacobian),
        square=search.summed(weight * target**2),
        n_rows=np.bincount(search.rows.group, minlength=search.rows.n_groups).astype(np.float64),
        usual=search.usual,
        mu_precision=search.mu_precision,
    )


def _population(
    search: _Search, covariance: Floats, rounds: int, settled: bool, rng: np.random.Generator
) -> Population:
    inverse = np.diag(1.0 / search.tau2)
    # Sigma^-1 - Sigma^-1 V Sigma^-1 is what a group's rows say of mu, also where they are fewer than parameters.
    told = inverse - inverse @ covariance @ inverse
    information = told.sum(0) + np.diag(search.mu_precision)
    mu_covariance = np.linalg.pinv(0.5 * (information + information.T), hermitian=True)
    reliable = np.clip(1.0 - np.einsum("gii->gi", covariance) / search.tau2, 0.0, 1.0).sum(0)
    tau, tau_dof = np.sqrt(search.tau2), np.maximum(reliable, 1.0) + 1.0
    used = float((search.at.form.n_parameters - np.einsum("ij,gji->g", inverse, covariance)).sum())
    by_rows = _told_by(search)
    sigma, sigma_dof = float(np.sqrt(search.sigma2)), max(len(search.rows.y) - used, 2.0)
    return Population(
        phi=search.phi,
        covariance=covariance,
        mu=search.mu,
        mu_covariance=mu_covariance,
        tau=tau,
        tau_dof=tau_dof,
        sigma=sigma,
        sigma_dof=sigma_dof,
        shared=shared_draws(by_rows, Guess(tau, tau_dof, sigma, sigma_dof), rng),
        told=by_rows,
        n_rounds=rounds,
        converged=settled,
    )
