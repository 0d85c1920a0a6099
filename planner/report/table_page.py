"""A law of anybody's table as one HTML page that needs nothing else."""

from __future__ import annotations

import html
from typing import Any

from planner.laws.observations import Observations
from planner.laws.result import LawFit
from planner.report import figures
from planner.report.chart_page import document, frames
from planner.report.fit_text import table_text
from planner.report.profile_charts import ABOUT_PROFILES, profile_charts
from planner.report.table_charts import table_charts
from planner.report.tables import cell

HEIGHT = 230
"""Of the charts, in pixels."""
MOST_ROWS = 20
"""Rows of the table of influence: those that move the law most."""
ABOUT_ROWS = (
    "Each row left out in turn and the law fitted again: the largest move of a parameter in standard errors. "
    "-f csv --rows runs has all rows."
)


def table_page(
    observations: Observations, fit: LawFit, answer: dict[str, Any], rows: list[dict[str, Any]]
) -> str:
    """The whole page.

    Args:
        observations: the table that was fitted.
        fit: its law.
        answer: what `soundscale fit table -f json` prints.
        rows: of `planner.laws.row_records.row_records`.

    Raises:
        MissingResourceError: Altair or vl-convert is not installed.
    """
    title = f"{fit.law} law of {fit.metric}, {fit.n_runs} rows"
    charts = [(t, c.properties(height=HEIGHT)) for t, c in table_charts(observations, fit)]
    profiles = profile_charts(observations, fit)
    weights = [("Weight of each form in predictions, with its extrapolation error", _weights(fit))]
    body = [
        f"<h1>{html.escape(title)}</h1><pre>{html.escape(table_text(answer))}</pre>",
        f"<h2>Rows and law</h2>{frames(charts, 0)}",
        f"<h2>Rows that move the law most</h2><p>{ABOUT_ROWS}</p>{_moving(rows, fit)}",
    ]
    if profiles:
        shown = frames(profiles, len(charts))
        body.append(f"<h2>Profiles of the likelihood</h2><p>{ABOUT_PROFILES}</p>{shown}")
    n_before = len(charts) + len(profiles)
    body.append(f"<h2>Forms</h2>{frames(weights, n_before, wide=True)}")
    return document(title, "".join(body), [*charts, *profiles, *weights])


def _weights(fit: LawFit) -> Any:
    found = [{"law": f.law, "weight": f.weight, "cv_error": f.cv_error} for f in fit.forms]
    return figures.weights(sorted(found, key=lambda f: -f["weight"]))


def _moving(rows: list[dict[str, Any]], fit: LawFit) -> str:
    known = [r for r in rows if r["moved"] is not None]
    most = sorted(known, key=lambda r: -r["moved"])[:MOST_ROWS]
    names = (
        "row",
        "key",
        *fit.axes,
        fit.metric,
        "predicted",
        "residual",
        "leverage",
        "moved",
        "parameter",
    )
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    body = "".join(
        f"<tr>{''.join(f'<td>{html.escape(cell(row[name]))}</td>' for name in names)}</tr>"
        for row in most
    )
    return f"<div class=scroll><table><tr>{head}</tr>{body}</table></div>"
