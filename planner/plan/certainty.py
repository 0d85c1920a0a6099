"""How sure a choice is, from the joint draws: P(best), expected regret with a bound, ties.

A candidate whose least draw is above the choice's greatest is neither best in any draw nor a tie: most
of a large table is left unread. The rest is gone through in blocks that stay in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from planner.plan.candidates import CandidateTable
from planner.plan.cost import Floats

BLOCK = 256
"""Candidates in a block: 1,000 draws of single precision are then 1 MB (assumption: half of a cache)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Certainty:
    """What the draws say of a choice.

    Attributes:
        p_best: probability of having the lowest error among the feasible, shape (m,); draws that tie
            are shared out.
        regret, regret_bound: expected regret of the choice and its 95 % bound, in error.
        ties: feasible candidates that are as good as the choice or better in at least a share
            (1 - level) / 2 of the draws: their paired difference covers 0 at the level.
    """

    p_best: Floats
    regret: float
    regret_bound: float
    ties: np.ndarray


def certainty(table: CandidateTable, feasible: np.ndarray, best: int, level: float) -> Certainty:
    """Certainty of the choice `best` among the feasible candidates of the table."""
    rows = table.draws.T
    mine = rows[best]
    columns = np.flatnonzero(feasible & (table.least_draw <= mine.max()))
    lowest, n = mine.copy(), len(mine)
    near, reached = [], []
    for block in _blocks(columns):
        part = rows[block]
        near.append(np.count_nonzero(part <= mine, axis=1))
        np.minimum(lowest, part.min(axis=0), out=lowest)
        # What does not reach the lowest so far will not be the lowest of all.
        reached.append(block[(part == lowest).any(axis=1)])
    hits, owners = [], []
    for block in _blocks(np.concatenate(reached)):
        found = np.flatnonzero((rows[block] == lowest).ravel())
        hits.append(block[found // n])
        owners.append(found % n)
    who, draw = np.concatenate(hits), np.concatenate(owners)
    share = 1.0 / np.bincount(draw, minlength=n)
    p_best = np.bincount(who, weights=share[draw], minlength=len(feasible)) / n
    regret = mine.astype(np.float64) - lowest
    tied = columns[np.concatenate(near) >= max((1.0 - level) / 2.0 * n, 1.0)]
    return Certainty(
        p_best=p_best,
        regret=float(regret.mean()),
        regret_bound=float(np.quantile(regret, 0.95)),
        ties=tied[tied != best],
    )


def _blocks(columns: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(columns), BLOCK):
        yield columns[start : start + BLOCK]
