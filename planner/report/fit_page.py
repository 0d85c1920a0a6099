"""A fit as one HTML page that needs nothing else: the report, its charts, and levels left out in turn."""

from __future__ import annotations

import html
import math
from pathlib import Path
from typing import Any

import numpy as np

from planner.errors import FitError
from planner.evidence.fit_report import FitReport
from planner.laws.fit_law import fit_law
from planner.report import figures, fit_rows
from planner.report.chart_page import Charts, document, frames
from planner.report.fit_text import fit_text
from planner.report.profile_charts import ABOUT_PROFILES, profile_charts
from planner.words.axes import axis
from planner.words.units import format_count

TITLES = {"wer": "word error rate", "unweighted_error": "1 - unweighted accuracy"}
NO_REFIT = "what remains does not determine a law"
HEIGHT = 210
"""Of the charts of runs, in pixels."""


def left_out_rows(report: FitReport) -> list[dict[str, Any]]:
    """Each level of each axis left out of the fit, and how well the rest foretells it.

    Returns:
        For each axis and level: `n_runs` left out, `rms`, the root mean square of ln(measured /
        predicted), and `inside`, the runs within the interval of a new run; or `reason` where the rest
        is too little for the law.
    """
    observations, fit = report.evidence.observations, report.fit
    out = []
    for i, name in enumerate(observations.axes):
        column = observations.x[:, i]
        for level in np.unique(column):
            away = column == level
            row: dict[str, Any] = {"axis": name, "level": float(level), "n_runs": int(away.sum())}
            try:
                rest = fit_law(observations.rows(~away), law=fit.law, loss=fit.loss, seed=fit.seed)
                band = rest.predict(observations.x[away], level=fit.level, kind="new-run")
            except FitError:
                out.append(row | {"rms": None, "inside": None, "reason": NO_REFIT})
                continue
            error = observations.error[away]
            rms = math.sqrt(float(np.mean(np.log(error / band.mean) ** 2)))
            inside = int(((band.low <= error) & (error <= band.high)).sum())
            out.append(row | {"rms": rms, "inside": inside, "reason": None})
    return out


def fit_page(report: FitReport) -> str:
    """The whole page: light or dark as the reader's system is, one column on a narrow screen.

    Raises:
        MissingResourceError: Altair or vl-convert is not installed.
    """
    title = f"{report.fit.law} law of {report.evidence.study.task}, {report.fit.n_runs} runs"
    drawn, profiles, law = (
        _run_charts(report),
        profile_charts(report.evidence.observations, report.fit),
        _law_charts(report),
    )
    parts = [
        f"<h1>{html.escape(title)}</h1><pre>{html.escape(fit_text(report))}</pre>",
        f"<h2>Each level left out in turn</h2>{_table(left_out_rows(report))}",
        f"<h2>Runs and law</h2>{frames(drawn, 0)}",
    ]
    if profiles:
        shown = frames(profiles, len(drawn))
        parts.append(f"<h2>Profiles of the likelihood</h2><p>{ABOUT_PROFILES}</p>{shown}")
        drawn = [*drawn, *profiles]
    parts.append(f"<h2>Exponents and forms</h2>{frames(law, len(drawn), wide=True)}")
    return document(title, "".join(parts), [*drawn, *law])


def _run_charts(report: FitReport) -> Charts:
    """Each run beside the law, and the residuals along each axis and against normal quantiles."""
    rows = fit_rows.fit_rows(report)
    error_title = TITLES.get(report.evidence.study.metric, report.evidence.study.metric)
    names = [n for n, role in report.fit.roles if role != "left-out"]
    return [
        (
            "Measured against predicted, with the interval of a new run",
            figures.predicted_and_measured(rows, error_title=error_title).properties(height=HEIGHT),
        ),
        *(
            (
                f"Residuals along {axis(name).title}",
                figures.residuals_along(rows, name).properties(height=HEIGHT),
            )
            for name in names
        ),
        (
            "Residuals against normal quantiles",
            figures.normal_quantiles(rows, report.fit.sigma).properties(height=HEIGHT),
        ),
    ]


def _law_charts(report: FitReport) -> Charts:
    charts = []
    parameters = fit_rows.parameter_rows(report)
    if any(p["scale"] == "slope" and p["low"] is not None for p in parameters):
        charts.append(("Exponents with their intervals", figures.slopes(parameters)))
    words = "Weight of each form in predictions, with its extrapolation error"
    return [*charts, (words, figures.weights(_forms(report)))]


def _forms(report: FitReport) -> list[dict[str, Any]]:
    """The forms tried, heaviest first, as rows for a chart."""
    found = [{"law": f.law, "weight": f.weight, "cv_error": f.cv_error} for f in report.fit.forms]
    return sorted(found, key=lambda f: -f["weight"])


def write_page(report: FitReport, path: Path) -> None:
    """Write the page into a file."""
    path.write_text(fit_page(report), encoding="utf-8")


def _table(rows: list[dict[str, Any]]) -> str:
    cells = [
        "<tr><th>axis</th><th class=n>level left out</th><th class=n>runs</th>"
        "<th class=n>rms of ln error</th><th class=n>inside the interval of a new run</th></tr>"
    ]
    for row in rows:
        said = (
            f"<td colspan=2>{row['reason']}</td>"
            if row["reason"]
            else f"<td class=n>{row['rms']:.3f}</td><td class=n>{row['inside']} of {row['n_runs']}</td>"
        )
        level = f"{format_count(row['level'])} {axis(row['axis']).unit}"
        cells.append(
            f"<tr><td>{axis(row['axis']).title}</td><td class=n>{level}</td>"
            f"<td class=n>{row['n_runs']}</td>{said}</tr>"
        )
    return f"<div class=scroll><table>{''.join(cells)}</table></div>"
