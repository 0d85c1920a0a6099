"""The law drawn through one configuration: along each axis, and at equal FLOPs.

Pure functions of a prepared question; they know no SQL. Each curve is the law's mean with its interval
on a logarithmic grid a little wider than the data, with what lies outside marked.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from planner.costs.flops.forward import forward_parts
from planner.costs.windows import windows_of
from planner.errors import InputError
from planner.evidence.study import Evidence, axis_value
from planner.laws.result import LawFit
from planner.plan.belief import LARGEST_LOG
from planner.plan.candidates import CandidateTable, axis_values
from planner.plan.configurations import Config
from planner.plan.cost import Floats
from planner.words.axes import axis
from planner.words.catalogue import Backbone
from planner.words.question import PlanQuery
from planner.words.records import Reduction

N_POINTS = 41
BEYOND = 1.25
"""How far past the data a curve is drawn, as a factor (assumption: enough to show where it goes)."""
N_BUDGETS = 4
N_GRID = 12
TOKENS_PER_SECOND = 3.3
"""Output tokens a second of speech in the FLOPs of an iso-FLOP curve: assumption, as in the planner."""


def axis_curves(
    fit: LawFit, evidence: Evidence, config: Config, level: float, believed: float | None = None
) -> list[dict[str, Any]]:
    """One curve for each axis of the law, the others as in the configuration.

    Args:
        fit: the law.
        evidence: its runs.
        config: the configuration that the curves pass.
        level: of the intervals.
        believed: the configuration's expected error where its own runs moved it off the law.

    Returns:
        For each axis: its name, title, unit and role, the configuration's own value `at` and `error`
        there, `points` (x, error, low, high, outside) and the `measured` runs that share the other
        axes. An axis with one level has no points: the runs do not say what it does.
    """
    here = axis_values(config, evidence.axes, evidence.catalogue)
    centre = believed if believed is not None else float(_capped(fit.predict([here]).mean)[0])
    domain = {name: (low, high) for name, low, high in fit.domain}
    roles = dict(fit.roles)
    out = []
    for i, name in enumerate(evidence.axes):
        low, high = domain[name]
        flat = high <= low or n_levels(evidence, i) < 2 or roles.get(name) == "left-out"
        out.append(
            {
                "axis": name,
                "title": axis(name).title,
                "unit": axis(name).unit,
                "role": roles.get(name, "left-out"),
                "at": here[i],
                "error": centre,
                "levels": n_levels(evidence, i),
                "points": [] if flat else _curve(fit, here, i, _levels(evidence, i), level),
                "measured": _measured(evidence, here, i),
            }
        )
    return out


def n_levels(evidence: Evidence, i: int) -> int:
    """Distinct values of axis i among the runs."""
    return len(np.unique(evidence.observations.x[:, i]))


def _levels(evidence: Evidence, i: int) -> Floats:
    """Distinct values of axis i among the runs, rising."""
    return np.unique(evidence.observations.x[:, i])


def _curve(
    fit: LawFit, here: list[float], i: int, levels: Floats, level: float
) -> list[dict[str, Any]]:
    """The law's mean and band along axis i.

    Between two levels that were run a law in one axis moves one way, so its band there lies within those
    at the two: the interval of a term that no run between them holds would reach from 0 to 1.
    """
    low, high = float(levels[0]), float(levels[-1])
    grid = np.geomspace(low / BEYOND, high * BEYOND, N_POINTS)
    x = np.tile(np.array(here, dtype=np.float64), (N_POINTS + len(levels), 1))
    x[:, i] = np.append(grid, levels)
    band = fit.predict(x, level=level)
    mean, lows, highs = _capped(band.mean), _capped(band.low), _capped(band.high)
    at = np.clip(np.searchsorted(levels, grid, side="right") - 1, 0, len(levels) - 2)
    ends = N_POINTS + np.stack([at, at + 1])
    inside = (low <= grid) & (grid <= high)
    floor, ceiling = lows[ends].min(axis=0), highs[ends].max(axis=0)
    own = mean[:N_POINTS]
    lowest = np.where(inside, np.minimum(np.maximum(lows[:N_POINTS], floor), own), lows[:N_POINTS])
    highest = np.where(
        inside, np.maximum(np.minimum(highs[:N_POINTS], ceiling), own), highs[:N_POINTS]
    )
    return [
        {
            "x": float(grid[k]),
            "error": float(own[k]),
            "low": float(lowest[k]),
            "high": float(highest[k]),
            "outside": bool(not inside[k]),
        }
        for k in range(N_POINTS)
    ]


def _capped(error: Floats) -> Floats:
    """No error above the largest one believed in: outside the data an interval has no bound."""
    return np.minimum(error, math.exp(LARGEST_LOG))


def _measured(evidence: Evidence, here: list[float], i: int) -> list[dict[str, Any]]:
    others = [k for k in range(len(here)) if k != i]
    out = []
    for row in evidence.rows:
        values = [axis_value(row, name) for name in evidence.axes]
        if all(math.isclose(values[k] or math.nan, here[k], rel_tol=1e-9) for k in others):
            out.append(
                {
                    "x": values[i], "error": row.error, "std_error": row.std_error,
                    "run_id": row.run_id,
                }
            )  # fmt: skip
    return out


def iso_flops(
    table: CandidateTable, query: PlanQuery, fit: LawFit, evidence: Evidence
) -> dict[str, Any]:
    """At equal FLOPs of one window: how error trades window length against token rate and size.

    For each of a few budgets and each backbone and reduction among the candidates, the window length
    that spends the budget exactly, and the error that the law predicts there.

    Returns:
        `budgets` and `points` (budget, backbone, reduction, audio_seconds, tokens_per_second, error,
        low, high); or no points and the `reason`.
    """
    first = table.configs[0]
    seconds = sorted({c.audio_seconds for c in table.configs})
    if first.padding == "padded30":
        reason = "audio is padded to 30 s here, so a shorter window costs the same FLOPs"
        return {"budgets": [], "points": [], "reason": reason}
    if len(seconds) < 2:
        return {"budgets": [], "points": [], "reason": "one window length was run"}
    grid = np.geomspace(seconds[0], seconds[-1], N_GRID)
    pairs = sorted(
        {(c.backbone, c.reduction) for c in table.configs}, key=lambda p: (p[0], p[1].factor)
    )
    asked = {
        pair: _flops(evidence.catalogue.backbone(pair[0]), pair[1], grid, query, first)
        for pair in pairs
    }
    spent = {pair: flops for pair, flops in asked.items() if flops is not None}
    everything = np.concatenate(list(spent.values()))
    low, high = np.quantile(np.log(everything), [0.2, 0.8])
    budgets = np.exp(np.linspace(low, high, N_BUDGETS))
    points = []
    for budget in budgets:
        for (backbone, reduction), flops in spent.items():
            if flops[0] <= budget <= flops[-1]:
                length = float(np.exp(np.interp(np.log(budget), np.log(flops), np.log(grid))))
                points.append((float(budget), backbone, reduction, length))
    return {
        "budgets": [float(b) for b in budgets],
        "points": _predicted(points, fit, evidence, first, query.level),
        "reason": None,
    }


def _flops(
    backbone: Backbone, reduction: Reduction, grid: np.ndarray, query: PlanQuery, first: Config
) -> np.ndarray | None:
    """FLOPs of one window at each length; None where the backbone cannot take them."""
    tokens = np.maximum(np.rint(TOKENS_PER_SECOND * grid), 1.0) if query.task == "asr" else 0
    windows = windows_of(backbone, grid, reduction, n_output_tokens=tokens, padding=first.padding)
    try:
        parts = forward_parts(windows, convention=query.convention, task=query.task)
    except InputError:
        return None
    total = np.sum(list(parts.values()), axis=0)
    # Rounded token counts make steps; a budget is met at the first length that spends it.
    return np.maximum.accumulate(total.astype(np.float64))


def _predicted(
    points: list[tuple[float, str, Reduction, float]],
    fit: LawFit,
    evidence: Evidence,
    first: Config,
    level: float,
) -> list[dict[str, Any]]:
    if not points:
        return []
    configs = [
        Config(
            backbone=name, audio_seconds=length, reduction=reduction,
            adaptation=first.adaptation, padding=first.padding,
        )
        for _, name, reduction, length in points
    ]  # fmt: skip
    band = fit.predict(
        np.array([axis_values(c, evidence.axes, evidence.catalogue) for c in configs]), level=level
    )
    return [
        {
            "flops": budget,
            "backbone": name,
            "reduction": str(reduction),
            "tokens_per_second": reduction.tokens_per_second,
            "audio_seconds": length,
            "error": float(_capped(band.mean)[k]),
            "low": float(_capped(band.low)[k]),
            "high": float(_capped(band.high)[k]),
        }
        for k, (budget, name, reduction, length) in enumerate(points)
    ]
