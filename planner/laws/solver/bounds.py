"""Bounds and grid levels of parameters by their kind, in units of the axes' own log ranges."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from planner.laws.forms.base import Form, ParameterSpec
from planner.laws.observations import Floats
from planner.laws.solver.grid import LEVELS_BY_DIMENSION, Cells, product_cells
from planner.laws.solver.starts import REGRESSED

SHALLOWEST, STEEPEST = 0.01, 25.0
"""Bounds of an exponent times the axis's log range: a term that changes by 1 % or by e^25 over the
data is a constant or a step, and its exponent cannot be told (assumption)."""
GRID_SHALLOWEST, GRID_STEEPEST = 0.1, 12.0
DEEPEST = 30.0
"""Smallest floor or amplitude: e^-30 of the smallest error, which no data can tell from 0."""
WIDEST_AMPLITUDE = 400.0
"""Of a formula's amplitude, which is in whatever unit its term leaves it: n^-2 of 1e12 is e^-55."""
WIDEST_SCALE = 12.0
"""How far outside the data a formula's scale may lie, in logarithms."""
LARGEST_LEVEL = 15.0
"""Bound of ln h at the scale: beyond it a saturating law is a power law or a constant."""
WIDEST_BREAK, NARROWEST_BREAK = 1.0, 0.02
"""Bounds of a break's width as a share of the axis's log range."""
LEAST_ROOT, LARGEST_ROOT = 0.02, 5.0
"""Bounds of the root of a valley's curvature times the axis's log range: 1 in 2,500 to e^25 over it."""
STEEPEST_SKEW = 8.0
"""Largest skew of a valley: one side is e^8 as steep where the other has risen by e."""


def axis_range(form: Form, z: Floats, spec: ParameterSpec) -> tuple[float, float]:
    """Smallest and largest z of a parameter's axis; of all axes together where it has none."""
    columns = [form.axes.index(spec.axis)] if spec.axis in form.axes else list(range(z.shape[1]))
    part = z[:, columns]
    widest = int(np.argmax(np.ptp(part, axis=0)))
    return float(part[:, widest].min()), float(part[:, widest].max())


def bounds_of(form: Form, z: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Lower and upper bounds of the working parameters: wide, and free of units."""
    box = [_bounds(spec, axis_range(form, z, spec), y) for spec in form.parameters]
    low, high = np.array([low for low, _ in box]), np.array([high for _, high in box])
    for i, lower, upper in form.box:
        lower, upper = _narrowed(form.parameters[i], (low[i], high[i]), lower, upper)
        low[i], high[i] = lower, upper
    return low, high


def _narrowed(
    spec: ParameterSpec, usual: tuple[float, float], lower: float, upper: float
) -> tuple[float, float]:
    """The user's bounds, which may be wider than the usual ones; but a positive parameter stays positive."""
    if lower == upper:
        held = usual[0] if np.isinf(lower) else lower
        return held, held
    positive = spec.kind in ("exponent", "curvature", "width") and lower <= 0
    low = usual[0] if positive or np.isinf(lower) else lower
    return low, max(usual[1] if np.isinf(upper) else upper, low)


def _bounds(spec: ParameterSpec, ends: tuple[float, float], y: Floats) -> tuple[float, float]:
    reach = ends[1] - ends[0]
    if spec.kind == "natural-amplitude":
        return float(y.min() - WIDEST_AMPLITUDE), float(y.max() + WIDEST_AMPLITUDE)
    if spec.kind == "scale":
        return ends[0] - WIDEST_SCALE, ends[1] + WIDEST_SCALE
    if spec.is_log:
        return float(y.min() - DEEPEST), float(y.max() + DEEPEST)
    if spec.kind == "exponent":
        return SHALLOWEST / reach, STEEPEST / reach
    if spec.kind == "break":
        return ends[0] - 0.5 * reach, ends[1] + 0.5 * reach
    if spec.kind == "width":
        return NARROWEST_BREAK * reach, WIDEST_BREAK * reach
    if spec.kind == "shift":
        return ends[0] - 10.0, ends[1] + 1.0
    if spec.kind == "level":
        return -LARGEST_LEVEL, LARGEST_LEVEL
    if spec.kind == "bend":
        return -STEEPEST / reach**2, STEEPEST / reach**2
    if spec.kind in ("curvature", "place", "drift", "skew"):
        return _valley_bounds(spec.kind, ends)
    return -STEEPEST / reach, STEEPEST / reach


def _valley_bounds(kind: str, ends: tuple[float, float]) -> tuple[float, float]:
    reach = ends[1] - ends[0]
    if kind == "curvature":
        return LEAST_ROOT / reach, LARGEST_ROOT / reach
    if kind == "place":
        return -LARGEST_ROOT, LARGEST_ROOT
    if kind == "drift":
        return -LARGEST_ROOT / reach, LARGEST_ROOT / reach
    return -STEEPEST_SKEW, STEEPEST_SKEW


def cells_of(
    form: Form, z: Floats, known: Mapping[int, float], n_levels: int | None = None
) -> Cells:
    """Grid of the nonlinear parameters; those that are `known` by a regression stay there."""
    params = [i for i, spec in enumerate(form.parameters) if not spec.is_log]
    n = n_levels or LEVELS_BY_DIMENSION.get(n_searched(form), 4)
    axes = []
    for i in params:
        spec = form.parameters[i]
        if i in known:
            low, high = _bounds(spec, axis_range(form, z, spec), np.zeros(1))
            axes.append(np.clip(np.array([known[i]]), low, high))
        else:
            axes.append(_levels(spec, axis_range(form, z, spec), n))
    if form.box:
        lows, highs = bounds_of(form, z, np.zeros(1))
        axes = [np.unique(np.clip(a, lows[i], highs[i])) for i, a in zip(params, axes, strict=True)]
    return product_cells(tuple(params), axes)


def _levels(spec: ParameterSpec, ends: tuple[float, float], n: int) -> Floats:
    low, high = ends
    reach = high - low
    if spec.kind == "exponent":
        return np.geomspace(GRID_SHALLOWEST, GRID_STEEPEST, n) / reach
    if spec.kind == "signed":
        return signed_levels(n) / reach
    if spec.kind == "break":
        return low + reach * (np.arange(n) + 0.5) / n
    if spec.kind == "width":
        return np.geomspace(0.05, 0.5, min(n, 3)) * reach
    if spec.kind == "scale":
        return np.linspace(low - 2.0, high + 2.0, n)
    if spec.kind == "level":
        return np.linspace(-4.0, 4.0, 5)
    if spec.kind == "shift":
        return np.linspace(low - 4.0, low + 0.7 * reach, n)
    return np.linspace(-6.0, 6.0, n) / reach


def signed_levels(n: int) -> Floats:
    """Levels of an exponent times its axis's range: a third negative, the others positive."""
    n_negative = max(n // 3, 1)
    positive = np.geomspace(GRID_SHALLOWEST * 2, GRID_STEEPEST, n - n_negative)
    return np.concatenate([-np.geomspace(0.5, 3.0, n_negative)[::-1], positive])


def n_searched(form: Form) -> int:
    """Number of nonlinear parameters that a grid is laid over."""
    return sum(not spec.is_log and spec.kind not in REGRESSED for spec in form.parameters)
