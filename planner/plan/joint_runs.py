"""Own deviations of the measured candidates together, where the noise of their runs is correlated.

With r runs of m measured candidates, Z (r, m) which is whose, V the covariance of the runs about the law (tau^2
Z Z^T + omega^2 I + their own noise), and e = ln error less law of the runs,

    delta | law, e  ~  N(tau^2 Z^T V^-1 e, tau^2 I - tau^4 Z^T V^-1 Z).

On this very test set a candidate also has what its runs met there on average, A n with A the mean over its
runs: the same with tau^2 Z^T + A N in place of tau^2 Z^T, N the covariance of the runs' own noise. Where the
noise of runs is independent this is what `own_runs` works out one candidate at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.laws.parts import correlation
from planner.laws.result import LawFit
from planner.plan.cost import Draws, Floats
from planner.plan.own_runs import DOUBTED, Measurements


@dataclass(frozen=True, slots=True, kw_only=True)
class JointRuns:
    """What the runs say of the m measured candidates under each of k members.

    Attributes:
        gain: of e, shape (k, m, r); root: of the covariance that is left, shape (k, m, m).
        same_gain, same_root: the same on this very test set.
    """

    gain: Floats
    root: Floats
    same_gain: Floats
    same_root: Floats


def pairs_of(fit: LawFit, measured: Measurements) -> Floats | None:
    """Correlation of the own noise of the measured candidates' runs, shape (r, r); None: independent."""
    if not fit.own_pairs:
        return None
    place = {run_id: i for i, run_id in enumerate(fit.run_ids)}
    known = np.array([place.get(run_id, -1) for run_id in measured.run_id], dtype=np.int64)
    out = np.eye(len(known))
    inside = np.flatnonzero(known >= 0)
    out[np.ix_(inside, inside)] = correlation(fit.own_pairs)[np.ix_(known[inside], known[inside])]
    return out


def joint_runs(
    measured: Measurements, pairs: Floats, tau2: Floats, omega2: Floats, keep: NDArray[np.bool_]
) -> JointRuns:
    """By the runs that `keep` has (r,) of all runs, for variances tau2, omega2 of shape (k,)."""
    codes = np.searchsorted(measured.measured, measured.at)
    m, runs = len(measured.measured), len(codes)
    whose = np.zeros((runs, m))
    whose[np.arange(runs), codes] = 1.0
    root = np.sqrt(measured.own)
    noise = pairs * root[:, None] * root[None, :]
    mean = whose.T / whose.sum(0)[:, None]
    parts: list[list[Floats]] = [[], [], [], []]
    for tau, omega in zip(tau2.tolist(), omega2.tolist(), strict=True):
        covariance = tau * whose @ whose.T + noise + omega * np.eye(runs)
        inverse = np.zeros((runs, runs))
        inverse[np.ix_(keep, keep)] = np.linalg.inv(covariance[np.ix_(keep, keep)])
        sides = (
            (tau * whose.T, tau * np.eye(m)),
            (
                tau * whose.T + mean @ noise,
                tau * np.eye(m) + mean @ noise @ mean.T,
            ),
        )
        for i, (side, prior) in enumerate(sides):
            gain = side @ inverse
            parts[2 * i].append(gain)
            parts[2 * i + 1].append(_root(prior - gain @ side.T))
    gain, left, same_gain, same_left = (np.array(p) for p in parts)
    return JointRuns(gain=gain, root=left, same_gain=same_gain, same_root=same_left)


def _root(covariance: Floats) -> Floats:
    """A symmetric root, of what may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)


def drawn_together(
    of_law: Draws,
    measured: Measurements,
    cases: tuple[JointRuns, JointRuns],
    who: NDArray[np.intp],
    doubted: NDArray[np.bool_],
    own: Draws,
) -> tuple[Draws, Draws]:
    """Draws of ln error of the measured candidates on new speech and on this set, each (m, n).

    Args:
        of_law: draws of the law at them, shape (m, n).
        measured: their runs.
        cases: by all runs, and without the doubted ones.
        who: member of each draw, shape (n,).
        doubted: in which draws the runs of a candidate are thought away, shape (m, n).
        own: standard normals of each candidate, shape (m, n).
    """
    codes = np.searchsorted(measured.measured, measured.at)
    out, same = np.empty_like(of_law), np.empty_like(of_law)
    e = measured.log_error[:, None] - of_law[codes]
    for member in np.unique(who):
        mine = np.flatnonzero(who == member)
        found = [
            (
                of_law[:, mine] + case.gain[member] @ e[:, mine] + case.root[member] @ own[:, mine],
                of_law[:, mine] + case.same_gain[member] @ e[:, mine]
                + case.same_root[member] @ own[:, mine],
            )
            for case in cases
        ]  # fmt: skip
        away = doubted[:, mine]
        out[:, mine] = np.where(away, found[1][0], found[0][0])
        same[:, mine] = np.where(away, found[1][1], found[0][1])
    return out, same


def doubtful(measured: Measurements) -> tuple[Floats, NDArray[np.bool_]]:
    """Probability that a candidate's runs are wrong, shape (m,), and which runs are beyond doubt, (r,)."""
    doubt = np.zeros(len(measured.measured))
    np.maximum.at(doubt, np.searchsorted(measured.measured, measured.at), measured.suspicion)
    return np.where(doubt >= DOUBTED, doubt, 0.0), measured.suspicion < DOUBTED
