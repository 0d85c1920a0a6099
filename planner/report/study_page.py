"""A study's report as one HTML page that needs nothing else, not even a script: its chart is SVG."""

from __future__ import annotations

import html
import math
from typing import Any

from planner.report.chart_page import STYLE
from planner.report.study_text import Section, headline, sections
from planner.report.tables import number_columns

WIDTH, HEIGHT = 720, 260
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 16, 40
"""Of the chart and its margins, in pixels."""
LEAST_POINTS = 0.01
"""Regret below which the axis of the chart ends (points of error): 0 has no logarithm (assumption)."""

_STYLE = """
svg { width: 100%; height: auto; max-width: 720px } svg text { fill: var(--soft); font-size: 12px }
svg .line { fill: none; stroke: var(--line) } svg .bound { fill: none; stroke: #b4552d; stroke-width: 2 }
svg .expected { fill: none; stroke: #2f6f8f; stroke-width: 2 }
svg .dot.bound { fill: #b4552d } svg .dot.expected { fill: #2f6f8f }
.lead { font-size: 16px; color: var(--ink) } td { white-space: normal; vertical-align: top }
@media print { body { padding: 0; max-width: none } .scroll, figure, pre { break-inside: avoid } }
"""


def study_page(report: dict[str, Any]) -> str:
    """The whole page.

    Args:
        report: as `planner.service.studies.end` gives it, or as it was stored.
    """
    name = html.escape(str(report["name"]))
    body = [f"<h1>Study {name}</h1>", f"<p class=lead>{html.escape(headline(report))}</p>"]
    for one in sections(report):
        body.append(f"<h2>{html.escape(one.title)}</h2>")
        if one.title == "How the regret fell":
            body.append(f"<figure>{regret_chart(report['regret'])}</figure>")
        body.append(_section(one))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Study {name}</title><style>{STYLE}{_STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )


def _section(one: Section) -> str:
    parts = [f"<p>{html.escape(s)}</p>" for s in one.sentences]
    if one.rows:
        right = number_columns(one.rows) or [False] * len(one.headings)
        head = _cells("th", one.headings, right)
        rows = "".join(f"<tr>{_cells('td', row, right)}</tr>" for row in one.rows)
        parts.append(f"<div class=scroll><table><tr>{head}</tr>{rows}</table></div>")
    if one.commands:
        parts.append(f"<pre>{html.escape(chr(10).join(one.commands))}</pre>")
    return "".join(parts)


def _cells(tag: str, cells: tuple[str, ...], right: list[bool]) -> str:
    return "".join(
        f"<{tag}{' class=n' if r else ''}>{html.escape(c)}</{tag}>"
        for c, r in zip(cells, right, strict=True)
    )


def regret_chart(beliefs: list[dict[str, Any]]) -> str:
    """The expected regret and its 95 % bound over the hours spent, as SVG; the regret on a log axis.

    Args:
        beliefs: each with `hours`, `regret` and `regret_bound` (error, a fraction).
    """
    if not beliefs:
        return "<p>No choice was made.</p>"
    hours = [float(b["hours"]) for b in beliefs]
    bound = [max(100 * float(b["regret_bound"]), LEAST_POINTS) for b in beliefs]
    expected = [max(100 * float(b["regret"]), LEAST_POINTS) for b in beliefs]
    low = math.floor(math.log10(min(expected + bound)))
    high = math.ceil(math.log10(max(bound + expected)) + 1e-9)
    last = max(hours) or 1.0

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * value / last

    def y(value: float) -> float:
        share = (math.log10(value) - low) / max(high - low, 1)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    grid = "".join(
        f'<path class=line d="M{LEFT} {y(10.0**k):.1f}H{WIDTH - RIGHT}"/>'
        f'<text x="{LEFT - 6}" y="{y(10.0**k) + 4:.1f}" text-anchor="end">{10.0**k:g}</text>'
        for k in range(low, high + 1)
    )
    curves = "".join(
        _curve(kind, [(x(h), y(v)) for h, v in zip(hours, values, strict=True)])
        for kind, values in (("bound", bound), ("expected", expected))
    )
    foot = (
        f'<text x="{LEFT}" y="{HEIGHT - 22}">0</text>'
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 22}" text-anchor="end">{last:.3g} hours of runs</text>'
        f'<text x="{LEFT}" y="{HEIGHT - 4}">points of error that a better choice could save: '
        "expected (blue), at most with 95 % (red)</text>"
    )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Regret over hours spent">'
        f"{grid}{curves}{foot}</svg>"
    )


def _curve(kind: str, at: list[tuple[float, float]]) -> str:
    path = "L".join(f"{a:.1f} {b:.1f}" for a, b in at)
    dots = "".join(f'<circle class="dot {kind}" cx="{a:.1f}" cy="{b:.1f}" r="3"/>' for a, b in at)
    return f'<path class={kind} d="M{path}"/>{dots}'
