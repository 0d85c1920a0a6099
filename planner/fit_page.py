"""A fit as one HTML page that needs nothing else: the report, its charts, and levels left out in turn."""

from __future__ import annotations

import html
import math
from pathlib import Path
from typing import Any

import numpy as np

from planner import diagnostics, figures
from planner.axes import axis
from planner.errors import FitError
from planner.fit_report import fit_text
from planner.laws.fit import fit_law
from planner.learning import FitReport
from planner.units import format_count

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1080px; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a }
pre { background: #f6f5f2; padding: 1rem; white-space: pre-wrap; font-size: 13px; line-height: 1.4 }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
td, th { padding: .2rem .9rem .2rem 0; text-align: left }
th { border-bottom: 1px solid #999 } td.n { text-align: right }
"""
TITLES = {"wer": "word error rate", "unweighted_error": "1 - unweighted accuracy"}
NO_REFIT = "what remains does not determine a law"


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
    """The whole page.

    Raises:
        MissingResourceError: Altair is not installed.
    """
    rows = diagnostics.fit_rows(report)
    metric = report.evidence.study.metric
    error_title = TITLES.get(metric, metric)
    names = [n for n, role in report.fit.roles if role != "left-out"]
    charts = [
        figures.predicted_and_measured(rows, error_title=error_title).properties(
            title="Measured against predicted, with the interval of a new run"
        ),
        figures.normal_quantiles(rows, report.fit.sigma).properties(
            title="Residuals against normal quantiles"
        ),
        figures.slopes(diagnostics.parameter_rows(report)).properties(
            title="Exponents with their intervals"
        ),
        figures.weights(_forms(report)).properties(
            title="Weight of each form in predictions, with its extrapolation error"
        ),
    ]
    if names:
        residuals = figures.residuals_by_axis(rows, names).properties(
            title="Residuals along each axis"
        )
        charts.insert(1, residuals)
    drawn = figures.stacked(charts).to_html(inline=True, fullhtml=False)
    title = f"{report.fit.law} law of {report.evidence.study.task}, {report.fit.n_runs} runs"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{html.escape(title)}</h1>"
        f"<pre>{html.escape(fit_text(report))}</pre>"
        f"<h2>Each level left out in turn</h2>{_table(left_out_rows(report))}"
        f"<h2>Charts</h2>{drawn}</body></html>"
    )


def _forms(report: FitReport) -> list[dict[str, Any]]:
    """The forms tried, heaviest first, as rows for a chart."""
    found = [{"law": f.law, "weight": f.weight, "cv_error": f.cv_error} for f in report.fit.forms]
    return sorted(found, key=lambda f: -f["weight"])


def write_page(report: FitReport, path: Path) -> None:
    """Write the page into a file."""
    path.write_text(fit_page(report), encoding="utf-8")


def _table(rows: list[dict[str, Any]]) -> str:
    cells = [
        "<tr><th>axis</th><th>level left out</th><th>runs</th><th>rms of ln error</th>"
        "<th>inside the interval of a new run</th></tr>"
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
    return f"<table>{''.join(cells)}</table>"
