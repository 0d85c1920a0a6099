"""Profiles of a law's parameters as charts."""

from __future__ import annotations

import math
from typing import Any

from planner.laws.observations import Observations
from planner.laws.result import LawFit
from planner.laws.uncertainty.profile_curves import ProfileCurve, profile_curves
from planner.report import figures
from planner.report.chart_page import Charts
from planner.words.axes import axis, axis_names

ABOUT_PROFILES = (
    "The law's misfit as one parameter is moved away and all others are fitted again, in units of the "
    "scatter. Its interval ends where the curve crosses the cut; dashed is the parabola of a Student-t "
    "interval. A side that stays below the cut has no bound."
)


def profile_charts(observations: Observations, fit: LawFit) -> Charts:
    """A chart of the floor and of each exponent of the leading form.

    Args:
        observations: the table that was fitted.
        fit: its law.
    """
    found = profile_curves(observations, fit)
    return [(_named(c), figures.profile(_points(c), _about(c, fit))) for c in found]


def _named(curve: ProfileCurve) -> str:
    parameter = curve.parameter
    known = parameter.axis is not None and parameter.axis in axis_names()
    if parameter.kind == "floor":
        return "Floor E"
    return f"{parameter.name}: {axis(str(parameter.axis)).title}" if known else parameter.name


def _points(curve: ProfileCurve) -> list[dict[str, Any]]:
    columns = zip(curve.values, curve.deviance, curve.parabola, strict=True)
    return [
        {
            "value": float(value),
            "deviance": float(deviance),
            "parabola": None if math.isnan(bowl) else float(bowl),
        }
        for value, deviance, bowl in columns
    ]


def _about(curve: ProfileCurve, fit: LawFit) -> dict[str, Any]:
    parameter = curve.parameter
    unit = "" if parameter.unit == "1" else f" ({parameter.unit})"
    return {
        "title": f"{parameter.name}{unit}", "estimate": parameter.value, "low": parameter.low,
        "high": parameter.high, "cut": curve.cut, "level": fit.level,
    }  # fmt: skip
