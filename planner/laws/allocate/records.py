"""What an allocation says: frozen values that plain JSON holds."""

from __future__ import annotations

from dataclasses import dataclass

from planner.laws.observations import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Exponent:
    """The power a of cost in x_opt ~ C^a for one axis.

    `low` and `high` are of the bootstrap, `draws_low` and `draws_high` of draws from the law; None where there is none.
    """

    axis: str
    value: float | None
    low: float | None = None
    high: float | None = None
    draws_low: float | None = None
    draws_high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One axis at the optimum of a budget; the interval is of the bootstrap, or of draws where there is none."""

    axis: str
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimum:
    """What one budget should buy.

    Attributes:
        budget: in the unit of the cost.
        places: of each axis.
        error: predicted there, with its interval; None for approaches that predict none.
        error_low: lower end.
        error_high: upper end.
        beyond: factor by which the farthest axis leaves the data, 1 inside.
    """

    budget: float
    places: tuple[Place, ...]
    beyond: float
    error: float | None = None
    error_low: float | None = None
    error_high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Approach:
    """One of Hoffmann's three approaches (arXiv 2203.15556, section 3).

    Attributes:
        number: 1 envelope, 2 isoFLOP parabolas, 3 parametric law.
        name: in words.
        exponents: of each axis.
        optima: of each budget.
        n_points: rows of the frontier, slices with a minimum, or rows of the law.
        n_failed: replicates without an exponent.
        note: what it cannot say, or why it says nothing.
    """

    number: int
    name: str
    exponents: tuple[Exponent, ...]
    optima: tuple[Optimum, ...]
    n_points: int
    n_failed: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bias:
    """What Approach 2 makes of the law's own values at the table's places, without noise, against the law.

    `exponent_of_law` is Approach 3's, `exponent_found` the parabolas', `worst_place` the largest factor by which
    a slice's minimum misses the law's.
    """

    axis: str
    exponent_of_law: float
    exponent_found: float | None
    worst_place: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Penalty:
    """Off the optimum along one axis at one budget, the budget kept by the last axis.

    `rise` is the relative rise of the error, `extra_cost` the factor of cost with which the optimum is as bad.
    """

    budget: float
    axis: str
    factor: float
    error: float
    rise: float
    extra_cost: float | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Replicates:
    """Exponents of every replicate: (b, axes) for each approach by bootstrap, and draws of the law."""

    axes: tuple[str, ...]
    by_approach: tuple[Floats, Floats, Floats]
    draws: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Allocation:
    """Three approaches side by side."""

    cost: str
    unit: str
    law: str
    level: float
    n_rows: int
    cost_range: tuple[float, float]
    approaches: tuple[Approach, ...]
    bias: tuple[Bias, ...]
    penalties: tuple[Penalty, ...]
    replicates: Replicates
