"""The choice: lowest expected error whose probability of meeting all limits is high enough.

A cost with an interval is read as log-normal, so the probability of meeting one limit is
Phi((ln limit - ln value) / sd) and that of all limits is the product (the errors of a latency model
and of a memory model are taken as independent: assumption). Counted costs are met or not.
Everything is exact enumeration over the finite set of candidates: no optimiser, no tolerance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from planner.plan.query import CandidateTable, Cost, Floats

_NORMAL = NormalDist()
_ERF = np.frompyfunc(math.erf, 1, 1)
_QUANTILE = np.frompyfunc(_NORMAL.inv_cdf, 1, 1)


def probability_within(cost: Cost, limit: float | Floats) -> Floats:
    """Probability that each candidate's cost is at most `limit`, shape (m,).

    Args:
        cost: values with their 90 % interval.
        limit: in the cost's unit, > 0; one for all, or one for each candidate.
    """
    sd = cost.log_sd
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (np.log(limit) - np.log(cost.value)) / np.where(sd > 0, sd, 1.0)
    soft = np.zeros(len(sd))
    some = sd > 0
    soft[some] = 0.5 * (1.0 + np.asarray(_ERF(z[some] / math.sqrt(2.0)), dtype=np.float64))
    return np.where(some, soft, (cost.value <= limit).astype(np.float64))


def joint_probability(table: CandidateTable, limits: dict[str, float]) -> Floats:
    """Probability of meeting all limits together, shape (m,)."""
    joint = np.ones(len(table))
    # A fixed order, so that the product does not depend on how the limits were listed.
    for name in sorted(limits):
        joint = joint * probability_within(table.costs[name], limits[name])
    return joint


def needed_limit(cost: Cost, probability: Floats) -> Floats:
    """Smallest limit that each candidate meets with the probability given, shape (m,).

    Infinite where the probability is above 1 (another limit already makes it impossible).
    """
    sd, out = cost.log_sd, np.full(len(cost.value), np.inf)
    exact = (sd == 0) & (probability <= 1.0)
    out[exact] = cost.value[exact]
    soft = (sd > 0) & (probability < 1.0)
    z = np.asarray(_QUANTILE(np.maximum(probability[soft], 1e-300)), dtype=np.float64)
    out[soft] = np.exp(np.log(cost.value[soft]) + sd[soft] * z)
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaxation:
    """A limit moved, alone, to where another configuration becomes the answer."""

    limit: str
    value: float
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The chosen candidate, or None, and what surrounds the choice.

    Attributes:
        best: index into the table, None when nothing meets the limits.
        feasible: which candidates do, shape (m,); joint: their probability of meeting all limits.
        by_limit: probability of each limit alone.
        order: candidates by expected error, feasible first.
        ties: feasible candidates whose error cannot be told from the best's at the level asked for.
        p_best: probability of having the lowest error among the feasible, shape (m,).
        regret, regret_bound: expected regret of the choice and its 95 % bound, in error.
        binding: limits whose removal alone would change the choice.
        switches: for each binding limit, the smallest value at which the choice changes.
        doubling: change of the expected error when one limit is doubled.
    """

    best: int | None
    feasible: np.ndarray
    joint: Floats
    by_limit: dict[str, Floats]
    order: tuple[int, ...]
    ties: tuple[int, ...]
    p_best: Floats
    regret: float
    regret_bound: float
    binding: tuple[str, ...]
    switches: dict[str, Relaxation]
    doubling: dict[str, float]


def rank(table: CandidateTable) -> np.ndarray:
    """Candidates from best to worst: expected error, then FLOPs, then label; shape (m,).

    The label makes the order independent of the order in which candidates were listed.
    """
    flops = table.costs["flops"].value
    order = np.lexsort((flops, table.error))
    same = (np.diff(table.error[order]) == 0) & (np.diff(flops[order]) == 0)
    if same.any():
        keys = [(table.error[j], flops[j], table.configs[j].label) for j in range(len(table))]
        order = np.array(sorted(range(len(table)), key=keys.__getitem__))
    return order.astype(np.int64)


def decide(
    table: CandidateTable, limits: dict[str, float], min_prob: float, level: float = 0.9
) -> Decision:
    """The candidate with the lowest expected error that meets all limits with `min_prob`.

    Args:
        table: the candidates, at least one.
        limits: by cost name, each > 0.
        min_prob: in (0, 1).
        level: of the interval by which ties are told.
    """
    by_limit = {n: probability_within(table.costs[n], v) for n, v in limits.items()}
    joint = joint_probability(table, limits)
    feasible = joint >= min_prob
    ranked = rank(table)
    order = tuple(int(j) for j in [*ranked[feasible[ranked]], *ranked[~feasible[ranked]]])
    if not feasible.any():
        return Decision(
            best=None, feasible=feasible, joint=joint, by_limit=by_limit, order=order, ties=(),
            p_best=np.zeros(len(table)), regret=math.nan, regret_bound=math.nan, binding=(),
            switches={}, doubling={},
        )  # fmt: skip
    best = order[0]
    p_best, regret, bound = _certainty(table, feasible, best)
    switches = _switches(table, limits, min_prob, best, ranked)
    return Decision(
        best=best, feasible=feasible, joint=joint, by_limit=by_limit, order=order,
        ties=_ties(table, feasible, best, level), p_best=p_best, regret=regret, regret_bound=bound,
        binding=tuple(sorted(switches)), switches=switches,
        doubling=_doubling(table, limits, min_prob, best),
    )  # fmt: skip


def _certainty(
    table: CandidateTable, feasible: np.ndarray, best: int
) -> tuple[Floats, float, float]:
    """Probability of being best, expected regret and its 95 % bound, from the joint draws."""
    columns = np.flatnonzero(feasible)
    draws = table.draws[:, columns]
    lowest = draws.min(axis=1)
    ties = draws == lowest[:, None]
    share = (ties / ties.sum(axis=1, keepdims=True)).mean(axis=0)
    p_best = np.zeros(len(table))
    p_best[columns] = share
    regret = table.draws[:, best] - lowest
    return p_best, float(regret.mean()), float(np.quantile(regret, 0.95))


def _ties(table: CandidateTable, feasible: np.ndarray, best: int, level: float) -> tuple[int, ...]:
    """Feasible candidates whose paired difference from the best covers 0 at the level."""
    others = [int(j) for j in np.flatnonzero(feasible) if j != best]
    if not others:
        return ()
    gap = table.draws[:, others] - table.draws[:, [best]]
    low = np.quantile(gap, (1 - level) / 2, axis=0)
    near = [j for j, lo in zip(others, low, strict=True) if lo <= 0]
    return tuple(sorted(near, key=lambda j: (table.error[j], table.configs[j].label)))


def _others_joint(table: CandidateTable, limits: dict[str, float], left_out: str) -> Floats:
    return joint_probability(table, {n: v for n, v in limits.items() if n != left_out})


def relaxed(table: CandidateTable, limits: dict[str, float], min_prob: float, name: str) -> Floats:
    """Smallest value of limit `name`, the others kept, at which each candidate is feasible, (m,)."""
    rest = _others_joint(table, limits, name)
    with np.errstate(divide="ignore", invalid="ignore"):
        wanted = np.where(rest >= min_prob, min_prob / rest, np.inf)
    value = needed_limit(table.costs[name], wanted)
    return _rounded_up(table, limits, min_prob, name, value)


def _rounded_up(
    table: CandidateTable, limits: dict[str, float], min_prob: float, name: str, value: Floats
) -> Floats:
    """Move values up by single floats until the forward formula agrees that they suffice."""
    out = value.copy()
    finite = np.isfinite(out)
    for _ in range(64):
        joint = np.ones(len(table))
        for other in sorted(limits):
            at = np.where(finite, out, 1.0) if other == name else limits[other]
            joint = joint * probability_within(table.costs[other], at)
        short = finite & (joint < min_prob)
        if not short.any():
            break
        out = np.where(short, np.nextafter(out * (1 + 1e-15), np.inf), out)
    return out


def _switches(
    table: CandidateTable, limits: dict[str, float], min_prob: float, best: int, ranked: np.ndarray
) -> dict[str, Relaxation]:
    """For each limit that binds: the smallest larger value at which a better candidate fits."""
    position = {int(j): i for i, j in enumerate(ranked)}
    better = [int(j) for j in ranked[: position[best]]]
    out: dict[str, Relaxation] = {}
    for name in limits:
        value = relaxed(table, limits, min_prob, name)
        reachable = [(value[j], position[j], j) for j in better if math.isfinite(value[j])]
        if reachable:
            at, _, index = min(reachable)
            out[name] = Relaxation(limit=name, value=float(at), index=index)
    return out


def _doubling(
    table: CandidateTable, limits: dict[str, float], min_prob: float, best: int
) -> dict[str, float]:
    """Expected error at twice each limit minus the error now: 0 or negative."""
    out = {}
    for name, value in limits.items():
        fits = joint_probability(table, {**limits, name: 2 * value}) >= min_prob
        out[name] = float(table.error[fits].min() - table.error[best])
    return out


def relaxations(
    table: CandidateTable, limits: dict[str, float], min_prob: float
) -> tuple[Relaxation, ...]:
    """When nothing fits: for each limit alone, the smallest value at which something does.

    A limit is left out when no value of it would help, since another one is in the way too.
    """
    out = []
    for name in sorted(limits):
        value = relaxed(table, limits, min_prob, name)
        if np.isfinite(value).any():
            index = min(
                np.flatnonzero(np.isfinite(value)),
                key=lambda j: (value[j], table.error[j], table.configs[j].label),
            )
            out.append(Relaxation(limit=name, value=float(value[index]), index=int(index)))
    return tuple(out)


def cheapest(table: CandidateTable, limits: dict[str, float]) -> int:
    """The candidate whose worst ratio of cost to limit is smallest: the nearest to all limits."""
    worst = np.zeros(len(table))
    for name, limit in limits.items():
        worst = np.maximum(worst, table.costs[name].value / limit)
    keys = [(worst[j], table.configs[j].label) for j in range(len(table))]
    return min(range(len(table)), key=keys.__getitem__)
