"""What a prediction rests on: how it moves with each axis, and which runs carry it.

The elasticity on an axis is d ln error / d ln x at the configuration, from the law's mean and its joint
draws. A run's share is its weight in the law's prediction there, by the law linearised in its parameters,

    h_i = g(x0) C g(x_i)^T / sigma^2,

with g the gradient of ln error in the parameters and C their covariance: how far ln error at x0 moves
when ln error of run i moves by one. Where the configuration has runs of its own, they have the belief's
weight w together and the law what is left.
"""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np

from planner.evidence.study import Evidence
from planner.laws.parts import Member
from planner.laws.result import LawFit
from planner.plan.candidates import CandidateTable
from planner.plan.configurations import axis_values
from planner.plan.cost import Floats

STEP = 0.01
"""Half-step in ln x of the central difference."""
MAX_RUNS = 5
"""Runs that an answer lists (assumption: one screen)."""


def elasticities(fit: LawFit, x0: Floats, level: float, seed: int) -> dict[str, Any]:
    """On each axis of the law: d ln error / d ln x at x0, shape (k,), with its interval."""
    k = len(fit.axes)
    up = np.exp(np.log(x0) + STEP * np.eye(k))
    down = np.exp(np.log(x0) - STEP * np.eye(k))
    points = np.concatenate([up, down])
    mean = np.log(fit.predict(points).mean)
    draws = np.log(fit.draws(points, 1000, seed))
    tail = (1 - level) / 2
    low, high = np.quantile((draws[:, :k] - draws[:, k:]) / (2 * STEP), [tail, 1 - tail], axis=0)
    value = (mean[:k] - mean[k:]) / (2 * STEP)
    roles = dict(fit.roles)
    return {
        name: {"value": float(value[i]), "low": float(low[i]), "high": float(high[i])}
        for i, name in enumerate(fit.axes)
        if roles.get(name) != "left-out"
    }


def weights(fit: LawFit, x0: Floats, x: Floats) -> Floats:
    """Weight of each run at x, shape (n, k), in the law's ln error at x0; shape (n,)."""
    out = np.zeros(len(x))
    known: dict[tuple[str, tuple[float, ...]], tuple[Floats, Floats]] = {}
    for member in fit.members:
        key = member.law, member.theta
        if key not in known:
            known[key] = _gradient(fit, member, x0[None]), _gradient(fit, member, x)
        here, there = known[key]
        moved = (there @ np.array(member.covariance) @ here.T)[:, 0]
        out += member.weight * moved / max(member.sigma**2, 1e-300)
    return out


def _gradient(fit: LawFit, member: Member, points: Floats) -> Floats:
    """D ln error / d parameter at points, shape (m, p)."""
    form = member.form()
    columns = [fit.axes.index(axis) for axis in form.axes]
    z = np.log(points[:, columns] / np.array(member.scales))
    return np.asarray(form.at(z).linearise(np.array(member.theta)[None]).jacobian[0].T)


def carried_by(
    fit: LawFit, evidence: Evidence, table: CandidateTable, j: int
) -> list[dict[str, Any]]:
    """The runs with the largest shares in the expected error of candidate j, shares summing to 1."""
    used = set(fit.run_ids)
    rows = [i for i, r in enumerate(evidence.rows) if r.run_id in used]
    x0 = np.array(axis_values(table.configs[j], evidence.axes, evidence.catalogue))
    size = np.abs(weights(fit, x0, evidence.observations.x[rows]))
    share = size / size.sum() if size.sum() > 0 else np.full(len(rows), 1 / len(rows))
    own = float(table.own_weight[j])
    mine = set(table.run_ids[j])
    total = {}
    for i, s in zip(rows, share.tolist(), strict=True):
        run = evidence.rows[i]
        total[run.run_id] = (1 - own) * s + (own / len(mine) if run.run_id in mine else 0.0)
    first = heapq.nsmallest(MAX_RUNS, total, key=lambda r: (-total[r], r))
    label = {r.run_id: r.trial.label for r in evidence.rows if r.run_id in first}
    return [{"run_id": r, "label": label[r], "share": total[r]} for r in first]
