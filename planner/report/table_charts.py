"""Charts of a law that was fitted to anybody's table, whatever its axes are called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.errors import FitError
from planner.laws.fit_law import fit_law
from planner.laws.forms.link import Link
from planner.laws.observations import Floats, Observations, usable
from planner.laws.result import LawFit
from planner.report.chart_page import Charts
from planner.report.figures import LOG, PALETTE, altair

if TYPE_CHECKING:
    import altair as alt

BEYOND = 4.0
"""How far a curve is drawn outside the data on either side of an axis, a factor."""
CURVE_POINTS = 60
HELD_OUT = 0.3
"""Share of the rows, costliest first, that the chart of extrapolation holds out (as selection does)."""
GREY = "#999999"


def table_charts(observations: Observations, fit: LawFit) -> Charts:
    """All charts with their titles: measured against predicted, each axis' curve and residuals, extrapolation.

    Raises:
        MissingResourceError: Altair is not installed.
    """
    table = usable(observations, signed=fit.link == "signed")
    names = [axis for axis, role in fit.roles if role != "left-out"]
    charts: Charts = [
        (
            "Measured against predicted, with the interval of a new run",
            _against(agreement(table, fit), fit),
        )
    ]
    for name in names:
        charts.append(
            (f"The law along {name}, the other axes at their medians", _curve(table, fit, name))
        )
    for name in names:
        charts.append((f"Residuals along {name}", _residuals(table, fit, name)))
    held = extrapolated(table, fit)
    if held:
        title = f"The costliest {100 * HELD_OUT:.0f} % foretold from the others"
        charts.append((title, _against(held, fit)))
    return charts


def chart_of(observations: Observations, fit: LawFit, *, width: int = 260) -> alt.VConcatChart:
    """The charts of `table_charts` as one picture, two beside each other."""
    alt = altair()
    drawn = [
        chart.properties(width=width, height=round(0.75 * width), title=title)
        for title, chart in table_charts(observations, fit)
    ]
    pairs = [alt.hconcat(*drawn[i : i + 2]) for i in range(0, len(drawn), 2)]
    title = f"{fit.law} law of {fit.metric}, {fit.n_runs} rows"
    together: Any = alt.vconcat(*pairs, title=title)
    return together


def agreement(table: Observations, fit: LawFit) -> list[dict[str, Any]]:
    """Each usable row: `measured`, `predicted`, and the interval of a new run, `low` to `high`."""
    band = fit.predict(table.x, level=fit.level, kind="new-run")
    columns = zip(table.error, band.mean, band.low, band.high, strict=True)
    return [
        {"measured": float(m), "predicted": float(p), "low": float(low), "high": float(high)}
        for m, p, low, high in columns
    ]


def extrapolated(table: Observations, fit: LawFit) -> list[dict[str, Any]]:
    """The costliest rows as the same form, fitted to the others, foretells them; none where it cannot be fitted."""
    cost = np.log(table.x).sum(1) if table.cost is None else table.cost
    rank = np.argsort(np.argsort(cost, kind="stable"), kind="stable")
    held = rank >= len(table) - max(round(HELD_OUT * len(table)), 1)
    try:
        rest = fit_law(
            table.rows(~held),
            law=fit.law,
            loss=fit.loss,
            link=fit.link,
            level=fit.level,
            known=fit.known,
        )
    except FitError:
        return []
    return agreement(table.rows(held), rest)


def along(
    table: Observations, fit: LawFit, name: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The law along one axis, the others at their medians, and the rows brought there by the law.

    Returns:
        The curve as rows of `x` (the axis), `error`, `low`, `high` and `inside`; the points as rows of `x` and
        `error`, which is the law at the medians times the row's own residual.
    """
    column = fit.axes.index(name)
    low, high = table.domain(name)
    middle = np.median(table.x, axis=0)
    grid = np.tile(middle, (CURVE_POINTS, 1))
    grid[:, column] = np.geomspace(low / BEYOND, high * BEYOND, CURVE_POINTS)
    band = fit.predict(grid, level=fit.level)
    values = zip(grid[:, column], band.mean, band.low, band.high, strict=True)
    curve = [
        {"x": float(x), "error": float(m), "low": float(a), "high": float(b),
         "inside": "inside the data" if low <= x <= high else "outside"}
        for x, m, a, b in values
    ]  # fmt: skip
    there = np.tile(middle, (len(table), 1))
    there[:, column] = table.x[:, column]
    link = Link(fit.link, fit.offset)
    moved = link.forward(fit.predict(there).mean) + residuals(table, fit)
    rows = zip(table.x[:, column], link.backward(moved), strict=True)
    return curve, [{"x": float(x), "error": float(e)} for x, e in rows]


def residuals(table: Observations, fit: LawFit) -> Floats:
    """ln(measured / predicted) of each usable row, on the law's link."""
    link = Link(fit.link, fit.offset)
    return np.asarray(link.forward(table.error) - link.forward(fit.predict(table.x).mean))


def _scaled(channel: Any, values: Sequence[float]) -> Any:
    """A log scale where every value has a logarithm."""
    if min(values) > 0:
        return channel.scale(**LOG)
    return channel.scale(zero=False)


def _against(rows: list[dict[str, Any]], fit: LawFit) -> alt.LayerChart:
    alt = altair()
    values = [r[k] for r in rows for k in ("measured", "predicted", "low", "high")]
    x = _scaled(alt.X("predicted:Q", title=f"predicted {fit.metric}"), values).axis(grid=False)
    title = f"measured {fit.metric}"
    y = _scaled(alt.Y("measured:Q", title=title), values).axis(gridOpacity=0.4)
    ends = [{"predicted": v, "measured": v} for v in (min(values), max(values))]
    line = alt.Chart(alt.Data(values=ends)).mark_line(color=GREY, strokeDash=[4, 3])
    base = alt.Chart(alt.Data(values=rows)).encode(x=x)
    bars = base.mark_rule(opacity=0.3, color=PALETTE[0]).encode(
        y=_scaled(alt.Y("low:Q", title=title), values), y2="high:Q"
    )
    points = base.mark_circle(size=36, color=PALETTE[0], opacity=0.9).encode(y=y)
    return alt.layer(line.encode(x=x, y=y), bars, points)


def _curve(table: Observations, fit: LawFit, name: str) -> alt.LayerChart:
    alt = altair()
    curve, points = along(table, fit, name)
    values = [r["error"] for r in (*curve, *points)] + [
        r[k] for r in curve for k in ("low", "high")
    ]
    x = alt.X("x:Q", title=name).scale(**LOG).axis(format="~s", grid=False)
    y = _scaled(alt.Y("error:Q", title=fit.metric), values).axis(gridOpacity=0.4)
    base = alt.Chart(alt.Data(values=curve)).encode(x=x)
    band = base.mark_area(opacity=0.18, color=PALETTE[0]).encode(
        y=_scaled(alt.Y("low:Q", title=fit.metric), values), y2="high:Q"
    )
    law = base.mark_line(color=PALETTE[0], strokeDash=[4, 3]).encode(y=y)
    inside = base.transform_filter("datum.inside == 'inside the data'")
    solid = inside.mark_line(color=PALETTE[0]).encode(y=y)
    marks = alt.Chart(alt.Data(values=points)).mark_circle(size=36, color=PALETTE[1], opacity=0.7)
    return alt.layer(band, law, solid, marks.encode(x=x, y=y))


def _residuals(table: Observations, fit: LawFit, name: str) -> alt.LayerChart:
    alt = altair()
    column = table.x[:, fit.axes.index(name)]
    off = residuals(table, fit)
    rows = [{"x": float(x), "residual": float(r)} for x, r in zip(column, off, strict=True)]
    x = alt.X("x:Q", title=name).scale(**LOG).axis(format="~s", grid=False)
    y = alt.Y("residual:Q", title="ln(measured / predicted)").axis(gridOpacity=0.4)
    zero = (
        alt.Chart(alt.Data(values=[{"residual": 0.0}])).mark_rule(color=GREY).encode(y="residual:Q")
    )
    points = alt.Chart(alt.Data(values=rows)).mark_circle(size=36, color=PALETTE[0], opacity=0.9)
    return alt.layer(zero, points.encode(x=x, y=y))
