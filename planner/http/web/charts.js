// Charts as Vega-Lite. Drawn once, then fed: moving a limit changes two small data sets, not the chart.
import { COSTS, percent } from "./format.js";

const cssColour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export function colours() {
  const names = ["ink", "soft", "line", "card", "accent", "choice", "band", "shade", "track"];
  return Object.fromEntries(names.map((n) => [n, cssColour(`--${n}`)]));
}

function config(c) {
  return {
    background: null,
    font: getComputedStyle(document.body).fontFamily,
    view: { stroke: null },
    axis: {
      labelColor: c.soft, titleColor: c.soft, gridColor: c.line, domainColor: c.line, tickColor: c.line,
      labelFontSize: 11.5, titleFontSize: 12, titleFontWeight: "normal", titlePadding: 8, labelOverlap: "greedy",
    },
    legend: { labelColor: c.soft, titleColor: c.soft, labelFontSize: 11.5, titleFontSize: 11.5, titleFontWeight: "normal" },
  };
}

export async function embed(node, spec) {
  const shown = {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json", width: "container",
    autosize: { type: "fit", contains: "padding", resize: true }, ...spec,
  };
  // ast: expressions are interpreted, not compiled, so that the page needs no unsafe-eval.
  const options = {
    actions: false, renderer: "svg", ast: true, defaultStyle: false, config: config(colours()),
    tooltip: { disableDefaultStyle: true, offsetX: 14 }, logLevel: 1,
  };
  // eslint-disable-next-line no-undef
  const { view } = await vegaEmbed(node, shown, options);
  // The box has the drawing's description; its marks have no names of their own.
  node.querySelector("svg")?.setAttribute("aria-hidden", "true");
  return view;
}

// The scale of errors over all that is drawn, with a little room; logarithmic where they differ much.
export function errorScale(values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  if (high > 4 * low) return { type: "log", domain: [low / 1.12, Math.min(high * 1.12, 1.05)], nice: false };
  const room = 0.07 * (high - low || high);
  return { type: "linear", domain: [Math.max(low - room, 0), high + room], zero: false, nice: false };
}

function errorAxis(scale, title) {
  // Of six ticks over a range r the step is below 0.01 where r / 6 < sqrt(0.5) * 0.01 (d3's choice of 1, 2 and 5):
  // whole per cent would stand there twice.
  const range = scale.domain[1] - scale.domain[0];
  const places = range < 0.6 * Math.SQRT1_2 * 0.01 ? 2 : range < 6 * Math.SQRT1_2 * 0.01 ? 1 : 0;
  return {
    field: "error", type: "quantitative", title, scale,
    axis: { format: scale.type === "log" ? "~%" : `.${places}%`, tickCount: 6, domain: false, ticks: false },
  };
}

// Labels with their unit, as people write it.
const LABELS = {
  flops: "datum.label",
  latency_ms: "datum.label === '' ? '' : datum.value >= 1000 ? format(datum.value / 1000, '~g') + ' s' : format(datum.value, '~g') + ' ms'",
  memory_bytes: "datum.label === '' ? '' : datum.value >= 1073741824 ? format(datum.value / 1073741824, '.3~g') + ' GiB' : format(datum.value / 1048576, '.3~g') + ' MiB'",
};

const named = (name) => ({ data: { name } });

export async function frontierChart(node, sheet, cost, titles, onPick) {
  const c = colours();
  const rows = sheet.items.filter((r) => cost in r.costs).map((r, id) => ({
    id, label: r.label, kind: r.kind, cost: r.costs[cost], predicted: r.error, low: r.low, high: r.high,
    error: r.measured_error ?? r.error, backbone: r.backbone, audio_seconds: r.audio_seconds,
    reduction: r.reduction, shownCost: COSTS[cost].show(r.costs[cost]),
    shownError: `${percent(r.error, 2)} [${percent(r.low, 2)}, ${percent(r.high, 2)}]`,
    shownRuns: r.run_ids.length ? `${r.run_ids.slice(0, 6).join(", ")} (${percent(r.measured_error, 2)})` : "never run",
  }));
  const line = (sheet.frontiers[cost] ?? []).map((i) => sheet.items[i])
    .map((r) => ({ cost: r.costs[cost], error: r.error, low: r.low, high: r.high }));
  // On a phone there is no room for them.
  const labels = node.clientWidth < 560 ? [] : apart((sheet.frontiers[cost] ?? []).map((i) => sheet.items[i])
    .map((r) => ({ cost: r.costs[cost], error: r.measured_error ?? r.error, shown: [r.backbone.replace("whisper-", ""), `${r.audio_seconds} s`, ...(r.reduction === "none" ? [] : [r.reduction])].join(" · ") })));
  const costs = rows.map((r) => r.cost);
  const domain = [Math.min(...costs) / 1.18, Math.max(...costs) * 1.18];
  // The frontier holds to the right: nothing dearer is worse than its last point.
  if (line.length) line.push({ ...line.at(-1), cost: domain[1] });
  const yScale = errorScale([...rows.map((r) => r.error), ...line.flatMap((r) => [r.low, r.high])]);
  const x = {
    field: "cost", type: "quantitative", title: titles.x,
    scale: { type: "log", domain, nice: false },
    axis: { format: "~s", grid: false, tickCount: 6, labelExpr: LABELS[cost] },
  };
  const y = errorAxis(yScale, titles.y);
  const at = { x, y };
  const tooltip = [
    { field: "label", title: "title" }, { field: "shownError", title: "predicted" },
    { field: "shownCost", title: COSTS[cost].name }, { field: "shownRuns", title: "runs" },
  ];
  const spec = {
    height: 330,
    datasets: { candidates: rows, frontier: line, labels, best: [], limit: [], pick: [] },
    layer: [
      {
        ...named("limit"), mark: { type: "rect", color: c.shade, opacity: 0.045, clip: true },
        encoding: { x: { ...x, field: "value" }, x2: { datum: domain[1] } },
      },
      {
        ...named("frontier"), mark: { type: "area", interpolate: "step-after", color: c.band, opacity: 0.16, clip: true },
        encoding: { x, y: { ...y, field: "low" }, y2: { field: "high" } },
      },
      { ...named("frontier"), mark: { type: "line", interpolate: "step-after", color: c.band, strokeWidth: 1.6, clip: true }, encoding: at },
      {
        ...named("limit"), mark: { type: "rule", color: c.ink, strokeDash: [5, 3], strokeWidth: 1.3, clip: true },
        encoding: { x: { ...x, field: "value" } },
      },
      ...["right", "left"].map((align) => ({
        ...named("limit"), transform: [{ filter: `datum.align == '${align}'` }],
        // Errors fall from left to right: beside a low limit there is room below, beside a high one above.
        mark: { type: "text", align, dx: align === "right" ? -5 : 5, dy: align === "right" ? 8 : -8, baseline: align === "right" ? "top" : "bottom", color: c.soft, fontSize: 11.5, clip: true },
        encoding: { x: { ...x, field: "value" }, y: { value: align === "right" ? 0 : "height" }, text: { field: "shown" } },
      })),
      {
        ...named("candidates"),
        mark: { type: "point", filled: false, size: 58, strokeWidth: 1.7, clip: true },
        encoding: {
          ...at, tooltip,
          stroke: { condition: { test: "datum.kind == 'extrapolated'", value: c.soft }, value: c.accent },
          fill: { condition: { test: "datum.kind == 'measured'", value: c.accent }, value: c.card },
          strokeDash: { condition: { test: "datum.kind == 'extrapolated'", value: [2, 2] }, value: [1, 0] },
          opacity: { condition: { test: "datum.kind == 'measured'", value: 0.92 }, value: 0.75 },
        },
      },
      {
        ...named("labels"), mark: { type: "text", align: "left", baseline: "bottom", dx: 7, dy: -5, fontSize: 11, color: c.soft, clip: true, tooltip: null },
        encoding: { ...at, text: { field: "shown" } },
      },
      {
        ...named("pick"), mark: { type: "point", size: 190, stroke: c.ink, strokeWidth: 2, fill: null, clip: true, tooltip: null },
        encoding: at,
      },
      {
        ...named("best"), mark: { type: "point", shape: "diamond", filled: true, size: 190, color: c.choice, stroke: c.card, strokeWidth: 1.5, opacity: 1, clip: true },
        encoding: { ...at, tooltip },
      },
    ],
  };
  const view = await embed(node, spec);
  view.addEventListener("click", (event, item) => {
    if (item?.datum?.label) onPick(item.datum);
  });
  return { view, rows, domain };
}

// Those labels that leave room for each other: a sixth of the cost's decades between two.
function apart(labels) {
  const sorted = [...labels].sort((a, b) => a.cost - b.cost);
  const span = Math.log(sorted.at(-1)?.cost / sorted[0]?.cost) || 1;
  const kept = [];
  for (const one of sorted) {
    if (!kept.length || Math.log(one.cost / kept.at(-1).cost) > span / 6) kept.push(one);
  }
  return kept;
}

const same = (a, b) => a.backbone === b.backbone && a.audio_seconds === b.audio_seconds && a.reduction === b.reduction;

// What moves with a limit: the mark of the choice, of the limit, and of the point that is looked at.
export function feed(chart, { best, limit, pick, cost }) {
  const { view, rows } = chart;
  const mark = (config) => {
    const found = config && rows.find((r) => same(r, config));
    return found ? [{ ...found, error: found.predicted }] : [];
  };
  view.data("best", mark(best));
  view.data("pick", (pick ? rows.filter((r) => same(r, pick)) : []).slice(0, 1));
  const inside = limit !== null && limit < chart.domain[1];
  const value = inside ? Math.max(limit, chart.domain[0]) : null;
  // The words stand where there is room for them.
  const [left, right] = chart.domain.map(Math.log);
  const align = (Math.log(value) - left) / (right - left) < 0.3 ? "left" : "right";
  view.data("limit", inside ? [{ value, align, shown: `limit ${COSTS[cost].show(limit)}` }] : []);
  return view.runAsync();
}

export async function axisChart(node, curve, scale, title) {
  const c = colours();
  const x = {
    field: "x", type: "quantitative", title: `${curve.title} (${curve.unit})`,
    scale: { type: "log", nice: false }, axis: { format: "~s", grid: false, tickCount: 4 },
  };
  const y = errorAxis(scale, title);
  const inside = curve.points.filter((p) => !p.outside);
  const measured = curve.measured.filter((m) => m.error !== null);
  const tooltip = [{ field: "run_id", title: "run" }, { field: "error", title: "measured", format: ".2%" }, { field: "x", title: curve.unit, format: ".4~s" }];
  return embed(node, {
    height: 215,
    layer: [
      {
        data: { values: curve.points }, mark: { type: "area", color: c.band, opacity: 0.15, clip: true },
        encoding: { x, y: { ...y, field: "low" }, y2: { field: "high" } },
      },
      { data: { values: curve.points }, mark: { type: "line", color: c.band, strokeDash: [3, 3], strokeWidth: 1.4, clip: true }, encoding: { x, y } },
      { data: { values: inside }, mark: { type: "line", color: c.band, strokeWidth: 1.9, clip: true }, encoding: { x, y } },
      { data: { values: [{ x: curve.at }] }, mark: { type: "rule", color: c.choice, strokeWidth: 1, opacity: 0.55 }, encoding: { x } },
      { data: { values: measured }, mark: { type: "point", filled: true, color: c.accent, size: 48, opacity: 0.95, clip: true }, encoding: { x, y, tooltip } },
      { data: { values: [{ x: curve.at, error: curve.error }] }, mark: { type: "point", shape: "diamond", filled: true, size: 110, color: c.choice, stroke: c.card, opacity: 1 }, encoding: { x, y } },
    ],
  });
}

// Losses of several runs, told apart by colour and dash (Okabe and Ito's palette).
const LINES = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

export async function lossCharts(node, steps) {
  const values = steps.filter((s) => s.loss !== null && Number.isFinite(s.loss));
  return embed(node, {
    height: 200, data: { values }, mark: { type: "line", strokeWidth: 1.6 },
    encoding: {
      x: { field: "step", type: "quantitative", title: "step", axis: { grid: false, tickCount: 6 } },
      y: { field: "loss", type: "quantitative", title: "training loss", scale: { zero: false }, axis: { tickCount: 4 } },
      color: { field: "run", type: "nominal", title: null, scale: { range: LINES }, legend: { orient: "top" } },
      strokeDash: { field: "run", type: "nominal", legend: null },
      tooltip: [{ field: "run" }, { field: "step" }, { field: "loss", format: ".4~g" }],
    },
  });
}

export async function lossChart(node, steps) {
  const c = colours();
  const values = steps.filter((s) => s.loss !== null && Number.isFinite(s.loss));
  return embed(node, {
    height: 150, data: { values }, mark: { type: "line", color: c.accent, strokeWidth: 1.5 },
    encoding: {
      x: { field: "step", type: "quantitative", title: "step", axis: { grid: false, tickCount: 6 } },
      y: { field: "loss", type: "quantitative", title: "training loss", scale: { zero: false }, axis: { tickCount: 4 } },
      tooltip: [{ field: "step" }, { field: "loss", format: ".4~g" }],
    },
  });
}

// The regret of a study over the hours spent, in points of error: expected, and its 95 % bound.
const LEAST_POINTS = 0.01; // 0 has no logarithm; nobody decides by less (as in the report)

export async function regretChart(node, beliefs) {
  const c = colours();
  const kinds = [["at most (95 %)", "regret_bound"], ["expected", "regret"]];
  const values = kinds.flatMap(([kind, key]) => beliefs.map((b) => ({
    hours: b.hours, kind, points: Math.max(100 * b[key], LEAST_POINTS), n_runs: b.n_runs, label: b.label,
  })));
  return embed(node, {
    height: 240, data: { values },
    mark: { type: "line", point: { size: 40 }, strokeWidth: 1.8 },
    encoding: {
      x: { field: "hours", type: "quantitative", title: "hours of runs", axis: { grid: false, tickCount: 6 } },
      y: { field: "points", type: "quantitative", title: "points a better choice could save", scale: { type: "log" }, axis: { format: "~g", tickCount: 4 } },
      color: { field: "kind", type: "nominal", title: null, scale: { domain: kinds.map(([k]) => k), range: [c.choice, c.accent] }, legend: { orient: "top" } },
      strokeDash: { field: "kind", type: "nominal", legend: null, scale: { domain: kinds.map(([k]) => k), range: [[4, 3], [1, 0]] } },
      tooltip: [{ field: "kind" }, { field: "points", format: ".2~g" }, { field: "hours", format: ".3~g" }, { field: "n_runs", title: "runs" }, { field: "label", title: "choice" }],
    },
  });
}
