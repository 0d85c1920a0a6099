"""What a row costs as a formula of its axes, and the rows that a budget buys exactly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from planner.errors import InputError, UnknownNameError
from planner.laws.expression.parse import parse
from planner.laws.expression.tree import Node, gradient_of, names_of, text_of
from planner.laws.observations import Floats, Observations

MOST_STEPS = 60
CLOSE = 1e-10
"""Relative difference of a cost from its budget that counts as none."""
LARGEST = 300.0
"""Logarithm beyond which no axis is looked for."""
EXACT = 9
"""Decimals to which the powers of a column of costs are told: beyond, they are rounding."""
MISFIT = 0.01
"""A column of costs is a power law of the axes where no row lies farther off than this, in logarithms."""


Gradient = tuple[Floats, Mapping[str, Floats]]
"""A value and its derivatives by name; one that does not depend on a name may leave it out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """A positive function of the axes that grows with the last of them, which a budget is solved for.

    Attributes:
        axes: of the law, in its order.
        text: what it is, as it was asked for.
        of: the cost and its derivatives, from the axes' values by name.
        unit: what budgets are in, for messages and tables.
    """

    axes: tuple[str, ...]
    text: str
    of: Callable[[Mapping[str, Floats]], Gradient]
    unit: str = "cost"

    def log_cost(self, logs: Floats) -> tuple[Floats, Floats]:
        """Ln cost at points of shape (..., k), ln x, and its derivatives by ln x, the same shape.

        Raises:
            InputError: a cost is not positive.
        """
        value, slopes = self._log_cost(logs)
        if np.isnan(value).any():
            raise InputError(
                f"cost {self.text} must be positive and finite at every row of the table"
            )
        return value, slopes

    def _log_cost(self, logs: Floats) -> tuple[Floats, Floats]:
        """As `log_cost`; NaN where a cost is not positive, as that of log10(n) below n = 1."""
        values = {axis: np.exp(logs[..., i]) for i, axis in enumerate(self.axes)}
        value, slopes = self.of(values)
        value = np.broadcast_to(value, logs.shape[:-1])
        value = np.where(np.isfinite(value) & (value > 0), value, np.nan)
        parts = [
            np.broadcast_to(slopes.get(axis, np.zeros(())) * values[axis] / value, value.shape)
            for axis in self.axes
        ]
        return np.log(value), np.stack(parts, axis=-1)

    def check(self, logs: Floats) -> None:
        """That the cost grows with its last axis at every row, ln x (n, k): a budget is solved for that.

        Raises:
            InputError: it does not, or a cost is not positive.
        """
        if not (self.log_cost(logs)[1][..., -1] > 0).all():
            raise InputError(
                f"cost {self.text} cannot be solved for {self.axes[-1]}: it does not grow with it; name the axes in "
                "another order"
            )

    def completed(self, free: Floats, log_budget: Floats) -> Floats:
        """Points (..., k) that cost the budget, from the logarithms (..., k-1) of all axes but the last.

        NaN on the last axis where the others alone cost more, as n may in n + d, or no value of it is right.

        Newton's method in logarithms, which is one step where the cost is a product of powers. A sum of them is
        convex there, so that steps which overshoot come back from above.
        """
        shape = np.broadcast_shapes(free.shape[:-1], log_budget.shape)
        points = np.concatenate(
            [np.broadcast_to(free, (*shape, free.shape[-1])), np.zeros((*shape, 1))], axis=-1
        )
        off = np.full(shape, np.inf)
        for _ in range(MOST_STEPS):
            value, slope = self._log_cost(points)
            off = np.abs(value - log_budget)
            # What has no cost stays as it is, and is not close.
            if ((off < CLOSE) | np.isnan(off)).all():
                break
            step = (value - log_budget) / np.maximum(slope[..., -1], 1e-3)
            points[..., -1] = np.clip(
                points[..., -1] - np.clip(np.nan_to_num(step), -50.0, 50.0), -LARGEST, LARGEST
            )
        points[..., -1] = np.where(off < CLOSE, points[..., -1], np.nan)
        return points


def cost_of_formula(text: str, axes: Sequence[str]) -> Cost:
    """The cost that a formula says.

    >>> cost = cost_of_formula("6*n*d", ["n", "d"])
    >>> cost.completed(np.log([[1e9]]), np.log([6e18])).round(3).tolist()
    [[20.723, 20.723]]

    Raises:
        InputError: it is no formula, or depends on none of the axes.
        UnknownNameError: it names what is no axis.
    """
    tree = parse(text)
    for name in names_of(tree):
        if name not in axes:
            raise UnknownNameError("axis", name, axes, remedy="a cost is a formula of the axes")
    if axes[-1] not in names_of(tree):
        raise InputError(
            f"cost {text!r} does not depend on {axes[-1]}; a budget could buy any amount of it"
        )
    return _of_tree(tree, tuple(axes))


def _of_tree(tree: Node, axes: tuple[str, ...], unit: str = "cost") -> Cost:
    return Cost(axes=axes, text=text_of(tree), of=partial(gradient_of, tree, by=axes), unit=unit)


def cost_of_column(observations: Observations, name: str) -> Cost:
    """The power law of the axes that a column of costs is.

    Raises:
        InputError: it is none: the message says how far off.
    """
    assert observations.cost is not None
    logs, y = np.log(observations.x), np.log(observations.cost)
    design = np.column_stack([np.ones(len(y)), logs])
    solution = np.linalg.lstsq(design, y, rcond=None)[0]
    off = float(np.abs(design @ solution - y).max())
    if off > MISFIT:
        raise InputError(
            f"column {name} is no power law of {', '.join(observations.axes)} (a row lies {100 * off:.0f} % off), so "
            'what a budget buys cannot be told from it; say the cost as a formula, e.g. --cost "6*n*d"'
        )
    powers = dict(zip(observations.axes, np.round(solution[1:], EXACT), strict=True))
    if powers[observations.axes[-1]] <= 0:
        raise InputError(
            f"column {name} does not grow with {observations.axes[-1]}; a budget could buy any amount of it"
        )
    factors = "*".join(
        axis if p == 1 else f"{axis}^{p:.9g}" for axis, p in powers.items() if p != 0
    )
    tree = parse(f"{np.exp(solution[0]):.9g}*{factors}")
    return _of_tree(tree, observations.axes, name)
