"""A fit as one HTML page that needs nothing else: the report, its charts, and levels left out in turn."""

from __future__ import annotations

import html
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from planner.errors import FitError
from planner.evidence.fit_report import FitReport
from planner.laws.fit import fit_law
from planner.laws.result import LawFit
from planner.laws.uncertainty.profile_curves import ProfileCurve, profile_curves
from planner.report import figures, fit_rows
from planner.report.fit_text import fit_text
from planner.words.axes import axis, axis_names
from planner.words.units import format_count

STYLE = """
:root { --paper: #f7f6f3; --card: #fff; --ink: #1d2228; --soft: #59626e; --line: #e0ddd6;
  color-scheme: light }
@media (prefers-color-scheme: dark) { :root { --paper: #12151a; --card: #1a1f26; --ink: #e9e7e2;
  --soft: #a3acb8; --line: #2e353f; color-scheme: dark } }
* { box-sizing: border-box }
body { font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; font-variant-numeric: tabular-nums;
  max-width: 1120px; margin: 0 auto; padding: 1.5rem clamp(.75rem, 3vw, 2rem);
  background: var(--paper); color: var(--ink) }
h1 { font-size: 1.4rem; line-height: 1.25; margin: 0 0 1rem }
h2 { font-size: 1.05rem; margin: 2rem 0 .6rem }
p { margin: 0 0 .6rem; color: var(--soft); font-size: 13px; max-width: 75ch }
pre, .scroll, figure { background: var(--card); border: 1px solid var(--line); border-radius: 10px }
pre { padding: 1rem; margin: 0; overflow-x: auto; font: 13px/1.4 ui-monospace, "DejaVu Sans Mono", monospace }
.scroll { padding: .6rem 1rem; overflow-x: auto }
table { border-collapse: collapse; font-size: 14px; white-space: nowrap }
td, th { padding: .2rem 1.2rem .2rem 0; text-align: left }
th { border-bottom: 1px solid var(--line); color: var(--soft); font-weight: 500 }
td.n, th.n { text-align: right }
.charts { display: grid; gap: 12px; grid-template-columns: repeat(auto-fill, minmax(min(310px, 100%), 1fr)) }
.charts.wide { grid-template-columns: repeat(auto-fill, minmax(min(460px, 100%), 1fr)) }
figure { margin: 0; padding: 12px 14px; min-width: 0 }
figcaption { font-size: 13px; font-weight: 600; margin-bottom: 6px }
.chart { width: 100% }
"""
SCRIPT = """
const specs = JSON.parse(document.getElementById("specs").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
function config() {
  const css = getComputedStyle(document.documentElement);
  const [ink, soft, line] = ["--ink", "--soft", "--line"].map((n) => css.getPropertyValue(n).trim());
  return {
    background: null, font: getComputedStyle(document.body).fontFamily, view: { stroke: null },
    axis: { labelColor: soft, titleColor: soft, gridColor: line, domainColor: line, tickColor: line,
      titleFontWeight: "normal", labelOverlap: "greedy" },
    legend: { labelColor: soft, titleColor: soft, titleFontWeight: "normal", orient: "bottom",
      columns: 2, title: null },
    text: { fill: ink },
  };
}
async function draw() {
  for (const [i, spec] of specs.entries()) {
    await vegaEmbed(`#chart-${i}`, spec, { actions: false, renderer: "svg", config: config(), defaultStyle: false });
  }
  document.body.dataset.drawn = specs.length;
}
dark.addEventListener("change", draw);
draw();
"""
TITLES = {"wer": "word error rate", "unweighted_error": "1 - unweighted accuracy"}
NO_REFIT = "what remains does not determine a law"
ABOUT_PROFILES = (
    "The law's misfit as one parameter is moved away and all others are fitted again, in units of the "
    "scatter. Its interval ends where the curve crosses the cut; dashed is the parabola of a Student-t "
    "interval. A side that stays below the cut has no bound."
)
HEIGHT = 210
"""Of the charts of runs, in pixels."""
Charts = list[tuple[str, Any]]


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
    drawn, profiles, law = _run_charts(report), _profile_charts(report), _law_charts(report)
    parts = [
        f"<h1>{html.escape(title)}</h1><pre>{html.escape(fit_text(report))}</pre>",
        f"<h2>Each level left out in turn</h2>{_table(left_out_rows(report))}",
        f"<h2>Runs and law</h2>{_figures(drawn, 0)}",
    ]
    if profiles:
        shown = _figures(profiles, len(drawn))
        parts.append(f"<h2>Profiles of the likelihood</h2><p>{ABOUT_PROFILES}</p>{shown}")
        drawn = [*drawn, *profiles]
    parts.append(f"<h2>Exponents and forms</h2>{_figures(law, len(drawn), wide=True)}")
    specs = json.dumps(
        [_spec(chart, legend=i == 0) for i, (_, chart) in enumerate([*drawn, *law])],
        separators=(",", ":"),
    )
    # "<" stays out of the text, so that no name in the data can end the element.
    specs = specs.replace("<", "\\u003c")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>{''.join(parts)}"
        f'<script type="application/json" id="specs">{specs}</script>'
        f"<script>{figures.vega_script()}</script><script>{SCRIPT}</script></body></html>"
    )


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


def _profile_charts(report: FitReport) -> Charts:
    found = profile_curves(report.evidence.observations, report.fit)
    return [(_named(c), figures.profile(_points(c), _about(c, report.fit))) for c in found]


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


def _law_charts(report: FitReport) -> Charts:
    charts = []
    parameters = fit_rows.parameter_rows(report)
    if any(p["scale"] == "slope" and p["low"] is not None for p in parameters):
        charts.append(("Exponents with their intervals", figures.slopes(parameters)))
    words = "Weight of each form in predictions, with its extrapolation error"
    return [*charts, (words, figures.weights(_forms(report)))]


def _figures(charts: Charts, first: int, *, wide: bool = False) -> str:
    """One frame for each chart; they are drawn into it by number, `first` that of the first."""
    frames = [
        f'<figure><figcaption>{html.escape(title)}</figcaption><div class=chart id="chart-{i}"></div></figure>'
        for i, (title, _) in enumerate(charts, first)
    ]
    return f'<div class="charts{" wide" * wide}">{"".join(frames)}</div>'


def _spec(chart: Any, *, legend: bool) -> dict[str, Any]:
    """Vega-Lite of one chart, as wide as its frame; colours of axes are the page's."""
    spec: dict[str, Any] = chart.properties(width="container").to_dict()
    # One legend is enough: backbones have the same colours everywhere.
    spec["config"] = {"legend": {"disable": not legend}}
    return spec | {"autosize": {"type": "fit-x", "contains": "padding"}}


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
