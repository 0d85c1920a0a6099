"""What the table can identify: roles of the axes by their levels, and the checks of the design."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from planner.errors import FitError
from planner.laws.forms.base import LEFT_OUT, POWER, SLOPE
from planner.laws.observations import Observations
from planner.laws.parts import FitWarning
from planner.words.units import format_count

COLLINEAR = 0.95
"""Correlation of two log axes above which their effects are reported as hard to tell apart."""

SHORT_NAMES = {
    "n_params": "size",
    "audio_seconds": "audio length",
    "tokens_per_second": "token rate",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """Role of each axis, whether the law has a floor, and what had to be said on the way."""

    roles: dict[str, str]
    floor: bool
    warnings: tuple[FitWarning, ...]

    def with_role(self, axis: str, role: str, warning: FitWarning) -> Design:
        """The design with one role changed for a stated reason."""
        return dataclasses.replace(
            self, roles={**self.roles, axis: role}, warnings=(*self.warnings, warning)
        )

    @property
    def power_axes(self) -> list[str]:
        """Axes with a power term of their own."""
        return [axis for axis, role in self.roles.items() if role == POWER]


def short(axis: str) -> str:
    """The axis in words: `size` for `n_params`."""
    return SHORT_NAMES.get(axis, axis)


def design_of(table: Observations) -> Design:
    """Roles by levels: one level leaves the axis out, two allow a slope, three a power term.

    Raises:
        FitError: no axis has two levels, or axes cannot be told apart.
    """
    roles: dict[str, str] = {}
    warnings: list[FitWarning] = []
    for axis in table.axes:
        levels = table.levels(axis)
        if len(levels) == 1:
            roles[axis] = LEFT_OUT
            warnings.append(
                FitWarning(
                    code="axis-one-level",
                    message=f"{short(axis)} is not in the law: 1 level ({_level(axis, levels[0])})",
                    axis=axis,
                )
            )
        elif len(levels) == 2:
            roles[axis] = SLOPE
            warnings.append(
                FitWarning(
                    code="axis-two-levels",
                    message=f"{short(axis)} is not resolved: 2 levels "
                    f"({_level(axis, levels[0])}, {_level(axis, levels[1])}) give a slope, no floor and no curvature",
                    axis=axis,
                )
            )
        else:
            roles[axis] = POWER
    if not any(role != LEFT_OUT for role in roles.values()):
        raise FitError(
            f"a law over {', '.join(table.axes)} needs an axis with two levels or more, "
            f"each has one in {len(table)} runs; add runs that vary an axis"
        )
    warnings += _collinear(table, [axis for axis, role in roles.items() if role != LEFT_OUT])
    return Design(roles=roles, floor=True, warnings=tuple(warnings))


def _collinear(table: Observations, axes: list[str]) -> list[FitWarning]:
    """Warnings for axes that nearly move together; an error where they do entirely."""
    z = np.log(table.x[:, [table.axes.index(axis) for axis in axes]])
    z = (z - z.mean(0)) / z.std(0)
    if np.linalg.matrix_rank(z, tol=1e-7 * np.sqrt(len(z))) < len(axes):
        names = " and ".join(_culprits(z, axes))
        raise FitError(
            f"{names} move together in all {len(table)} runs, so their effects cannot be told "
            f"apart; add runs that vary one alone, or leave one out of the axes"
        )
    correlation = np.corrcoef(z.T).reshape(len(axes), len(axes))
    return [
        FitWarning(
            code="axes-collinear",
            message=f"{short(axes[i])} and {short(axes[j])} nearly move together "
            f"(correlation {correlation[i, j]:.3f}): their effects are hard to tell apart",
            axis=axes[j],
        )
        for i in range(len(axes))
        for j in range(i + 1, len(axes))
        if abs(correlation[i, j]) > COLLINEAR
    ]


def _culprits(z: np.ndarray, axes: list[str]) -> list[str]:
    """The axes that take part in the null direction of the design."""
    direction = np.linalg.svd(z)[2][-1]
    return [axis for axis, part in zip(axes, direction, strict=True) if abs(part) > 1e-3]


def flatten_one(table: Observations, design: Design, n_needed: int) -> Design:
    """Turn the power axis with the fewest levels into a slope, as the runs cannot carry it.

    Raises:
        FitError: no power axis is left: not even slopes can be fitted.
    """
    power = design.power_axes
    n_distinct = len(np.unique(table.x, axis=0))
    if not power:
        used = [axis for axis, role in design.roles.items() if role != LEFT_OUT]
        raise FitError(
            f"a law over {', '.join(used)} needs at least {n_needed} runs at distinct "
            f"configurations, there are {len(table)} runs at {n_distinct}; "
            f"add {max(n_needed - min(len(table), n_distinct + 1), 1)} or name fewer axes"
        )
    axis = min(reversed(power), key=lambda name: len(table.levels(name)))
    return design.with_role(
        axis,
        SLOPE,
        FitWarning(
            code="too-few-runs",
            message=f"{short(axis)} is not resolved: {len(table)} runs carry only a slope for it "
            f"(its power term would need {n_needed})",
            axis=axis,
        ),
    )


def _level(axis: str, value: float) -> str:
    return format_count(value) if axis == "n_params" else f"{value:g}"
