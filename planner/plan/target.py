"""The inverse question: the least resource for a quality.

The configuration with the smallest cost whose probability of both meeting all limits and having a
mean error of at most the target is high enough. The chance of the error comes from the law's joint
draws, that of the costs from their intervals; the two are independent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from planner.plan.candidates import CandidateTable
from planner.plan.choice import (
    Relaxation,
    joint_probability,
    needed_limit,
    together,
    within,
)
from planner.plan.cost import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetDecision:
    """The cheapest candidate for a quality, or None, and the chances behind the choice.

    Attributes:
        best: index into the table.
        p_error: probability that the mean error is at most the target, shape (m,).
        joint: that and all limits together, shape (m,).
        order: feasible candidates by cost, then error.
        reachable_error: smallest target that would be met under the limits, for when none is.
        reachable_index: the candidate that would meet it.
        ways: where nothing is met: for each limit alone, the smallest value at which something is.
        unlimited_error, unlimited_index: as reachable, without any limit; the index is that of the candidate
            nearest to all limits where some reach the target.
        together: all limits, none below what it was, under which that candidate reaches the target; empty where
            none does.
    """

    best: int | None
    p_error: Floats
    joint: Floats
    order: tuple[int, ...]
    reachable_error: float
    reachable_index: int
    ways: tuple[Relaxation, ...] = ()
    unlimited_error: float = math.inf
    unlimited_index: int = -1
    together: dict[str, float] = field(default_factory=dict)


def decide_target(
    table: CandidateTable,
    max_error: float,
    minimise: str,
    limits: dict[str, float],
    min_prob: float,
) -> TargetDecision:
    """The candidate with the smallest `minimise` cost that reaches the target with `min_prob`.

    Args:
        table: the candidates, at least one.
        max_error: the target, a fraction.
        minimise: name of a cost in the table.
        limits: other limits, by cost name.
        min_prob: in (0, 1).
    """
    rest = joint_probability(table, limits)
    p_error = np.asarray((table.draws <= max_error).mean(axis=0), dtype=np.float64)
    joint = rest * p_error
    cost = table.costs[minimise].value
    fits = [int(j) for j in np.flatnonzero(joint >= min_prob)]
    order = sorted(fits, key=lambda j: (cost[j], table.error[j], table.configs[j].label))
    error, index = _reachable(table, rest, min_prob)
    free, likeliest = (
        _reachable(table, np.ones(len(table)), min_prob) if not order else (math.inf, -1)
    )
    good = np.flatnonzero(p_error > min_prob)
    raised: dict[str, float] = {}
    if not order and limits and len(good):
        # The one whose worst ratio of cost to limit is smallest.
        worst = np.max([table.costs[n].value[good] / v for n, v in limits.items()], axis=0)
        likeliest = int(good[worst.argmin()])
        raised = together(table, limits, min_prob / float(p_error[likeliest]), likeliest)
    return TargetDecision(
        best=order[0] if order else None,
        p_error=p_error,
        joint=joint,
        order=tuple(order),
        reachable_error=error,
        reachable_index=index,
        ways=() if order else _ways(table, limits, p_error, min_prob),
        unlimited_error=free,
        unlimited_index=likeliest,
        together=raised,
    )


def _ways(
    table: CandidateTable, limits: dict[str, float], p_error: Floats, min_prob: float
) -> tuple[Relaxation, ...]:
    """For each limit alone the smallest value at which the target is met; none where no value would do."""
    parts, found = within(table, limits), []
    for name in sorted(limits):
        rest = p_error.copy()
        for other in sorted(limits):
            rest = rest * parts[other] if other != name else rest
        with np.errstate(divide="ignore", invalid="ignore"):
            wanted = np.where(rest >= min_prob, min_prob / rest, np.inf)
        value = needed_limit(table.costs[name], wanted)
        j = int(value.argmin())
        if math.isfinite(value[j]):
            found.append(Relaxation(limit=name, value=float(value[j]), index=j))
    return tuple(found)


def _reachable(table: CandidateTable, rest: Floats, min_prob: float) -> tuple[float, int]:
    """Smallest target that some candidate meets: the order statistic of its draws that it takes."""
    ordered = np.sort(table.draws, axis=0)
    n = len(ordered)
    best = (math.inf, -1)
    for j in range(len(table)):
        if rest[j] < min_prob or rest[j] <= 0:
            continue
        need = math.ceil(min_prob / rest[j] * n - 1e-9)
        if 1 <= need <= n:
            best = min(best, (float(ordered[need - 1, j]), j))
    return best
