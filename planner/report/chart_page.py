"""One HTML page with charts that needs nothing else: light or dark as the reader's system is."""

from __future__ import annotations

import html
import json
from typing import Any

from planner.report import figures

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
Charts = list[tuple[str, Any]]
"""Title and chart of each figure."""


def document(title: str, body: str, charts: Charts) -> str:
    """The whole page: one column on a narrow screen.

    Args:
        title: of the page, plain text.
        body: HTML, with the frames of the charts in it.
        charts: drawn into the frames by number.

    Raises:
        MissingResourceError: Altair or vl-convert is not installed.
    """
    specs = json.dumps(
        [_spec(chart, legend=i == 0) for i, (_, chart) in enumerate(charts)],
        separators=(",", ":"),
    )
    # "<" stays out of the text, so that no name in the data can end the element.
    specs = specs.replace("<", "\\u003c")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head><body>{body}"
        f'<script type="application/json" id="specs">{specs}</script>'
        f"<script>{figures.vega_script()}</script><script>{SCRIPT}</script></body></html>"
    )


def frames(charts: Charts, first: int, *, wide: bool = False) -> str:
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
