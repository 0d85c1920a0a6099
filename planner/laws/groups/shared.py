"""What is not known of what groups share: the spread of groups is integrated, not estimated.

With the laws linearised at the groups' estimates, group g says of its coordinates

    y_g = J_g phi_g + sigma e,    phi_g ~ N(mu, diag(tau^2)),

so that mu can be integrated in closed form and the likelihood of (tau, sigma) is left, few dimensions: proposals
about the estimates are weighed by it and by the prior, laid anew where they weigh most, and resampled. Ten groups
leave a spread of a half or of twice its estimate likely, and a noise of a third: groups of as few rows as they have
coordinates can take noise for their own shape, and an estimate of the noise then says far too little.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from planner.laws.observations import Floats

PROPOSED, KEPT = 3000, 160
"""Proposals of what groups share in each round, and draws that are kept of the best one."""
ENOUGH, SHARED_BY, MOST_ROUNDS = 400.0, 300.0, 12
"""Effective draws from which no further round is laid, those that a tempered round rests on, and most rounds beyond
two (assumptions; of six groups that hardly differ, five rounds reach ENOUGH, and of ten none may)."""
USUAL_NOISE, NOISE_SPREAD = 0.04, 1.0
"""Log-normal prior of sigma (assumption: seeds of one fine-tune differ by 2 to 10 % of the error, losses by less).
Groups of as few rows as they have coordinates fit any noise away: without a prior their likelihood has no end."""
PROPOSAL_DOF = 4.0
WIDER = 1.3
"""Spread of the proposal over that of chi^2 about the estimates (assumption): its tails must not be short."""
LEAST_SPREAD = 0.3
"""Spread of ln tau at least: the estimate of a spread near 0 says little of it."""


FLAT = 1e-6
"""Precision of a mean of which nothing is known: a spread of 1,000 in a logarithm."""


LOG_RANGE = (-8.0, 3.0)
"""Of ln tau and ln sigma: beyond, digits cancel in the likelihood, and no table is so."""


class Guess(NamedTuple):
    """Estimates of tau (p,) and sigma, each with the degrees of freedom that told it."""

    tau: Floats
    tau_dof: Floats
    sigma: float
    sigma_dof: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Told:
    """What the rows of g groups say of their p coordinates, at noise of 1.

    Attributes:
        information: J^T W J, shape (g, p, p).
        right: J^T W y, shape (g, p).
        square: y^T W y, shape (g,).
        n_rows: shape (g,).
        usual: scale of tau's half-Cauchy prior, shape (p,).
        mu_precision: of mu's normal prior about 0, shape (p,); 0 where it is flat.
    """

    information: Floats
    right: Floats
    square: Floats
    n_rows: Floats
    usual: Floats
    mu_precision: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SharedDraws:
    """Draws of mu (h, p), tau (h, p) and sigma (h,), each as likely as another.

    `effective`: of how many independent draws the proposals were worth.
    """

    mu: Floats
    tau: Floats
    sigma: Floats
    effective: float


def shared_draws(told: Told, guess: Guess, rng: np.random.Generator) -> SharedDraws:
    """Draws from the posterior of what groups share.

    Args:
        told: what the groups' rows say.
        guess: estimates, about which is proposed.
        rng: of proposals and draws.
    """
    p = len(guess.tau)
    centre = np.append(np.log(guess.tau), np.log(max(guess.sigma, 0.25 * USUAL_NOISE)))
    spread = np.append(
        np.maximum(WIDER / np.sqrt(2.0 * guess.tau_dof), LEAST_SPREAD),
        np.clip(WIDER / np.sqrt(2.0 * guess.sigma_dof), 0.1, 1.0),
    )
    logs, weight, _ = _weighed(told, centre, np.diag(spread**2), rng)
    centre = weight @ logs
    # The second round is laid where the first found the weight, a little wider.
    off = logs - centre
    about = (off * weight[:, None]).T @ off + np.diag((0.2 * spread) ** 2)
    best = logs, weight, _ = _weighed(told, centre, WIDER**2 * about, rng)
    for _ in range(MOST_ROUNDS):
        if effective(best[1]) >= ENOUGH:
            break
        # A few proposals have all the weight: laid by weights that are tempered until some hundred share it, the
        # next round moves towards where it lies.
        softer = tempered(weight)
        centre = softer @ logs
        off = logs - centre
        about = (off * softer[:, None]).T @ off + np.diag((0.05 * spread) ** 2)
        logs, weight, _ = now = _weighed(told, centre, WIDER**2 * about, rng)
        best = max(best, now, key=lambda round_: effective(round_[1]))
    logs, weight, (precision, right) = best
    edges = (np.arange(KEPT) + rng.random()) / KEPT
    kept = np.minimum(np.searchsorted(np.cumsum(weight), edges), PROPOSED - 1)
    root = np.linalg.cholesky(np.linalg.inv(precision[kept]))
    mu = np.linalg.solve(precision[kept], right[kept][:, :, None])[:, :, 0]
    mu = mu + (root @ rng.standard_normal((KEPT, p, 1)))[:, :, 0]
    values = np.exp(logs[kept])
    return SharedDraws(mu=mu, tau=values[:, :p], sigma=values[:, p], effective=effective(weight))


def effective(weight: Floats) -> float:
    """Of how many equal draws the weights (s,), which add up to 1, are worth: 1 / sum w^2 (Kish)."""
    return float(1.0 / (weight**2).sum())


def tempered(weight: Floats) -> Floats:
    """The weights to the largest power t <= 1 at which SHARED_BY of them share the weight, normalised."""
    logs = np.log(np.maximum(weight, 1e-300))
    low, high, found = 0.0, 1.0, weight
    for _ in range(40):
        middle = 0.5 * (low + high)
        found = np.exp(middle * (logs - logs.max()))
        found /= found.sum()
        low, high = (middle, high) if effective(found) >= SHARED_BY else (low, middle)
    return np.asarray(found)


def _weighed(
    told: Told, centre: Floats, about: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats, tuple[Floats, Floats]]:
    """Proposals of (ln tau, ln sigma) from a t, their weights, and what each says of mu."""
    size, p = len(centre), len(centre) - 1
    chi = rng.chisquare(PROPOSAL_DOF, PROPOSED) / PROPOSAL_DOF
    normal = rng.standard_normal((PROPOSED, size))
    logs = centre + (normal / np.sqrt(chi)[:, None]) @ np.linalg.cholesky(about).T
    proposed = -0.5 * (PROPOSAL_DOF + size) * np.log1p((normal**2).sum(1) / chi / PROPOSAL_DOF)
    logs = np.clip(logs, *LOG_RANGE)
    tau = np.exp(logs[:, :p])
    log_likelihood, precision, right = evidence(told, tau, np.exp(logs[:, p]))
    # In logarithms the half-Cauchy prior of tau is times tau.
    prior = (logs[:, :p] - np.log1p((tau / told.usual) ** 2)).sum(1)
    prior = prior - 0.5 * ((logs[:, p] - np.log(USUAL_NOISE)) / NOISE_SPREAD) ** 2
    score = log_likelihood + prior - proposed
    weight = np.exp(score - score.max())
    return logs, weight / weight.sum(), (precision, right)


def evidence(told: Told, tau: Floats, sigma: Floats) -> tuple[Floats, Floats, Floats]:
    """Ln likelihood of tau (b, p) and sigma (b,) with mu integrated, and mu's posterior precision and precision x mean.

    By Woodbury's identity: with M = J^T W J / sigma^2 and T = diag(tau^2) the rows' precision of mu is
    M - M (M + T^-1)^-1 M and ln |S| = n ln sigma^2 + ln |I + T M|, up to the weights.
    """
    b, p = tau.shape
    precision = np.zeros((b, p, p)) + np.diag(np.maximum(told.mu_precision, FLAT))
    right, square, log_det = np.zeros((b, p)), np.zeros(b), np.zeros(b)
    inverse = np.zeros((b, p, p))
    inverse[:, np.arange(p), np.arange(p)] = tau**-2.0
    for g in range(len(told.n_rows)):
        m = told.information[g] / sigma[:, None, None] ** 2
        r = told.right[g] / sigma[:, None] ** 2
        own = m + inverse
        solved = np.linalg.solve(own, np.concatenate([m, r[:, :, None]], axis=2))
        precision += m - m @ solved[:, :, :p]
        right += r - (m @ solved[:, :, p:])[:, :, 0]
        square += told.square[g] / sigma**2 - (r * solved[:, :, p]).sum(1)
        log_det += 2.0 * told.n_rows[g] * np.log(sigma) + np.linalg.slogdet(own)[1]
        log_det += 2.0 * np.log(tau).sum(1)
    mean = np.linalg.solve(precision, right[:, :, None])[:, :, 0]
    log_det += np.linalg.slogdet(precision)[1]
    return -0.5 * (log_det + square - (mean * right).sum(1)), precision, right
