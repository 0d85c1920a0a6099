"""The candidates with their errors and costs, as columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from planner.plan.configurations import Config
from planner.plan.cost import Cost, Draws, Floats

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateTable:
    """Every candidate with its predicted error and costs.

    Attributes:
        configs: length m.
        error: expected error, shape (m,); error_low, error_high: interval of the mean at the level.
        draws: joint draws of the error on new speech, shape (n_draws, m); quickest where those of one
            candidate lie together (column-major). Single precision is enough: no draw is a result.
        least_draw: the least draw of each candidate, shape (m,); worked out where not given.
        costs: by name.
        run_ids: the runs that measured each candidate (empty: it was never run).
        measured_error: error of those runs, NaN where there is none.
        distance: how far outside the data, in log range, 0 inside; shape (m,).
        n_windows: windows that one utterance takes, shape (m,).
        own_weight: share of a candidate's own runs in its expected error, shape (m,); 0 where not given.
        same_low, same_high: interval on the test set that was scored, shape (m,); NaN where not given.
        unknown: costs that are not known, with the reason.
        hidden: costs that are shown only where a question puts a limit on them.
        memo: what follows from the table alone, kept as each new limit asks for it again.
    """

    configs: tuple[Config, ...]
    error: Floats
    error_low: Floats
    error_high: Floats
    draws: Draws
    costs: dict[str, Cost]
    run_ids: tuple[tuple[int, ...], ...]
    measured_error: Floats
    distance: Floats
    n_windows: Floats
    least_draw: Draws = field(default_factory=lambda: np.empty(0))
    own_weight: Floats = field(default_factory=lambda: np.empty(0))
    same_low: Floats = field(default_factory=lambda: np.empty(0))
    same_high: Floats = field(default_factory=lambda: np.empty(0))
    unknown: dict[str, str] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()
    memo: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.least_draw) != len(self.configs):
            object.__setattr__(self, "least_draw", self.draws.min(axis=0))
        if len(self.own_weight) != len(self.configs):
            object.__setattr__(self, "own_weight", np.zeros(len(self.configs)))
        for name in ("same_low", "same_high"):
            if len(getattr(self, name)) != len(self.configs):
                object.__setattr__(self, name, np.full(len(self.configs), math.nan))

    def __len__(self) -> int:
        return len(self.configs)

    def among(self, chosen: NDArray[np.bool_]) -> CandidateTable:
        """The table of the candidates that are True in `chosen`, shape (m,)."""
        at = np.flatnonzero(chosen)
        columns = {
            name: getattr(self, name)[at]
            for name in (
                "error", "error_low", "error_high", "measured_error", "distance", "n_windows",
                "least_draw", "own_weight", "same_low", "same_high",
            )
        }  # fmt: skip
        return replace(
            self, **columns,
            configs=tuple(self.configs[j] for j in at),
            run_ids=tuple(self.run_ids[j] for j in at),
            # By rows of its transpose, so that the draws of one candidate stay together.
            draws=self.draws.T[at].T,
            costs={name: _among(cost, at) for name, cost in self.costs.items()},
        )  # fmt: skip

    def shown(self, limits: Collection[str]) -> dict[str, Cost]:
        """The costs that an answer shows, under limits on those."""
        return {n: c for n, c in self.costs.items() if n not in self.hidden or n in limits}

    def kept(self, name: str, make: Callable[[CandidateTable], Value]) -> Value:
        """What `make` gives of this table, made once."""
        if name not in self.memo:
            self.memo[name] = make(self)
        found: Value = self.memo[name]
        return found


def _among(cost: Cost, at: NDArray[np.intp]) -> Cost:
    value = cost.value[at]
    # A cost that is counted has one array for all three, and is told by that.
    exact = cost.low is cost.high
    return replace(
        cost, value=value, low=value if exact else cost.low[at], high=value if exact else cost.high[at],
        source=tuple(cost.source[j] for j in at),
    )  # fmt: skip
