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

from planner.plan.candidates import CandidateTable
from planner.plan.certainty import certainty
from planner.plan.cost import Cost, Floats

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
    return _product(table, within(table, limits))


def within(table: CandidateTable, limits: dict[str, float]) -> dict[str, Floats]:
    """Probability of meeting each limit alone, by its name, shape (m,) each."""
    return {n: _within(table, n, v, "last") for n, v in limits.items()}


def _within(table: CandidateTable, name: str, limit: float, use: str) -> Floats:
    """Probability of meeting one limit; the last of each use is kept, as mostly one limit moves."""
    key = f"within {name} {use}"
    last = table.memo.get(key)
    if last is None or last[0] != limit:
        last = table.memo[key] = (limit, probability_within(table.costs[name], limit))
    found: Floats = last[1]
    return found


def _product(table: CandidateTable, parts: dict[str, Floats], left_out: str = "") -> Floats:
    joint = np.ones(len(table))
    # A fixed order, so that the product does not depend on how the limits were listed.
    for name in sorted(parts):
        if name != left_out:
            joint = joint * parts[name]
    return joint


def needed_limit(cost: Cost, probability: Floats) -> Floats:
    """Smallest limit that each candidate meets with the probability given, shape (m,).

    Infinite where the probability is above 1 (another limit already makes it impossible).
    """
    sd, out = cost.log_sd, np.full(len(cost.value), np.inf)
    exact = (sd == 0) & (probability <= 1.0)
    out[exact] = cost.value[exact]
    soft = (sd > 0) & (probability < 1.0)
    # One soft limit leaves one probability for all: each value is inverted once.
    wanted, which = np.unique(np.maximum(probability[soft], 1e-300), return_inverse=True)
    z = np.asarray(_QUANTILE(wanted), dtype=np.float64)[which]
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
    return table.kept("rank", _rank)


def _rank(table: CandidateTable) -> np.ndarray:
    flops = table.costs["flops"].value
    order = np.lexsort((flops, table.error))
    same = (np.diff(table.error[order]) == 0) & (np.diff(flops[order]) == 0)
    if same.any():
        alike = order[np.append(same, False) | np.append(False, same)]
        by_label = sorted(alike.tolist(), key=lambda j: table.configs[j].label)
        place = np.zeros(len(table), dtype=np.int64)
        place[by_label] = np.arange(len(by_label))
        order = np.lexsort((place, flops, table.error))
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
    by_limit = within(table, limits)
    joint = _product(table, by_limit)
    feasible = joint >= min_prob
    ranked = rank(table)
    fits = feasible[ranked]
    order = tuple(np.concatenate([ranked[fits], ranked[~fits]]).tolist())
    if not feasible.any():
        return Decision(
            best=None, feasible=feasible, joint=joint, by_limit=by_limit, order=order, ties=(),
            p_best=np.zeros(len(table)), regret=math.nan, regret_bound=math.nan, binding=(),
            switches={}, doubling={},
        )  # fmt: skip
    best = order[0]
    sure = certainty(table, feasible, best, level)
    switches = _switches(table, limits, by_limit, min_prob, best, ranked)
    return Decision(
        best=best, feasible=feasible, joint=joint, by_limit=by_limit, order=order,
        ties=tuple(ranked[np.isin(ranked, sure.ties)].tolist()), p_best=sure.p_best, regret=sure.regret,
        regret_bound=sure.regret_bound,
        binding=tuple(sorted(switches)), switches=switches,
        doubling=_doubling(table, limits, by_limit, min_prob, best),
    )  # fmt: skip


def relaxed(table: CandidateTable, limits: dict[str, float], min_prob: float, name: str) -> Floats:
    """Smallest value of limit `name`, the others kept, at which each candidate is feasible, (m,).

    To rounding; infinite where no value of this limit would help.
    """
    return _relaxed(table, within(table, limits), min_prob, name)


def _relaxed(table: CandidateTable, parts: dict[str, Floats], min_prob: float, name: str) -> Floats:
    rest = _product(table, parts, left_out=name)
    with np.errstate(divide="ignore", invalid="ignore"):
        wanted = np.where(rest >= min_prob, min_prob / rest, np.inf)
    return needed_limit(table.costs[name], wanted)


def _least(
    table: CandidateTable,
    limits: dict[str, float],
    parts: dict[str, Floats],
    min_prob: float,
    name: str,
    among: np.ndarray,
) -> Relaxation | None:
    """The smallest value of limit `name` at which one of the candidates `among`, best first, fits.

    The value is moved up by single floats until the forward formula agrees that it suffices, for the
    few candidates that could be the first.
    """
    value = _relaxed(table, parts, min_prob, name)[among]
    if not np.isfinite(value).any():
        return None
    near = np.flatnonzero(value <= value.min() * (1 + 1e-9))
    reached = [
        (_suffices(table, limits, min_prob, name, int(among[i]), float(value[i])), int(i))
        for i in near
    ]
    at, i = min(reached)
    return Relaxation(limit=name, value=at, index=int(among[i]))


def _suffices(
    table: CandidateTable,
    limits: dict[str, float],
    min_prob: float,
    name: str,
    j: int,
    value: float,
) -> float:
    """The value, raised by rounding errors until candidate j meets all limits with the probability."""
    one = {n: table.costs[n].at(j) for n in limits}
    for _ in range(64):
        joint = 1.0
        for other in sorted(limits):
            limit = value if other == name else limits[other]
            joint = joint * float(probability_within(one[other], limit)[0])
        if joint >= min_prob:
            break
        value = math.nextafter(value * (1 + 1e-15), math.inf)
    return value


def _switches(
    table: CandidateTable,
    limits: dict[str, float],
    parts: dict[str, Floats],
    min_prob: float,
    best: int,
    ranked: np.ndarray,
) -> dict[str, Relaxation]:
    """For each limit that binds: the smallest larger value at which a better candidate fits."""
    better = ranked[: int(np.flatnonzero(ranked == best)[0])]
    found = {n: _least(table, limits, parts, min_prob, n, better) for n in limits if len(better)}
    return {name: switch for name, switch in found.items() if switch is not None}


def ladder(
    table: CandidateTable,
    limits: dict[str, float],
    min_prob: float,
    name: str,
    best: int,
    most: int | None = None,
) -> tuple[Relaxation, ...]:
    """Every further choice as limit `name` grows, the others kept, and the value from which it holds.

    At most the first `most` of them where that is given.
    """
    ranked = rank(table)
    better = ranked[: int(np.flatnonzero(ranked == best)[0])]
    value = relaxed(table, limits, min_prob, name)[better]
    out: list[Relaxation] = []
    lowest = len(better)
    for i in np.lexsort((np.arange(len(better)), value)).tolist():
        if len(out) == most or not math.isfinite(value[i]):
            break
        if i < lowest:
            lowest = i
            j = int(better[i])
            at = _suffices(table, limits, min_prob, name, j, float(value[i]))
            out.append(Relaxation(limit=name, value=at, index=j))
    return tuple(out)


def _doubling(
    table: CandidateTable,
    limits: dict[str, float],
    parts: dict[str, Floats],
    min_prob: float,
    best: int,
) -> dict[str, float]:
    """Expected error at twice each limit minus the error now: 0 or negative."""
    out = {}
    for name, value in limits.items():
        twice = _within(table, name, 2 * value, "twice")
        fits = _product(table, {**parts, name: twice}) >= min_prob
        out[name] = float(table.error[fits].min() - table.error[best])
    return out


def relaxations(
    table: CandidateTable, limits: dict[str, float], min_prob: float
) -> tuple[Relaxation, ...]:
    """When nothing fits: for each limit alone, the smallest value at which something does.

    A limit is left out when no value of it would help, since another one is in the way too.
    """
    parts, ranked = within(table, limits), rank(table)
    found = (_least(table, limits, parts, min_prob, name, ranked) for name in sorted(limits))
    return tuple(r for r in found if r is not None)


def together(
    table: CandidateTable, limits: dict[str, float], min_prob: float, j: int
) -> dict[str, float]:
    """When no limit alone can be relaxed: all limits, none below what it was, under which candidate j fits.

    Each uncertain cost gets the same share of the probability, min_prob^(1/k) for k of them. Empty where no
    limits suffice, as at a probability of 1 of a cost that is uncertain.
    """
    soft = [name for name in sorted(limits) if table.costs[name].log_sd[j] > 0]
    share = np.array([min_prob ** (1 / max(1, len(soft)))])
    needed = {n: float(needed_limit(table.costs[n].at(j), share)[0]) for n in limits}
    if not all(map(math.isfinite, needed.values())):
        return {}
    out = {name: max(limits[name], value) for name, value in needed.items()}
    for name in soft[-1:]:
        out[name] = _suffices(table, out, min_prob, name, j, out[name])
    return out


def cheapest(table: CandidateTable, limits: dict[str, float]) -> int:
    """The candidate whose worst ratio of cost to limit is smallest: the nearest to all limits."""
    worst = np.zeros(len(table))
    for name, limit in limits.items():
        worst = np.maximum(worst, table.costs[name].value / limit)
    near = np.flatnonzero(worst == worst.min()).tolist()
    return int(min(near, key=lambda j: table.configs[j].label))
