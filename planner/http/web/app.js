// The planner page: the question on the left, the answer on the right, both in the address.
import * as show from "./answer.js";
import { ask, latest, post, Problem } from "./api.js";
import { axisChart, errorScale, feed, frontierChart } from "./charts.js";
import { copyText, picture, saved } from "./export.js";
import { controls } from "./controls.js";
import { byId, el, fill } from "./dom.js";
import { COSTS, metricWord, percent } from "./format.js";
import { further } from "./further.js";
import { report } from "./report.js";
import { banner, dark, overview, shell, trouble } from "./shell.js";
import { address, body, isLimited, question, readState, study } from "./state.js";

const state = readState(location.search);
let sheet = null; // every candidate, for the charts
let answer = null; // the answer that is shown, null when there is none
let chart = null;
let curvesOf = ""; // which configuration the small charts are of
const panel = controls(state, changed);

const studyKey = () => JSON.stringify(study(state));
let sheetOf = "";

async function start() {
  shell();
  try {
    banner(null);
    const found = await overview();
    const usable = found.tasks.filter((t) => t.n_finished > 0);
    if (!usable.length) return empty(found);
    panel.offer({ ...found, tasks: usable });
    state.task ??= own(usable).task;
    if (!state.device && found.devices.length === 1) state.device = found.devices[0].name;
    await refresh("study");
  } catch (error) {
    failed(error);
  }
}

// The user's own runs come before what was published.
function own(tasks) {
  const rank = (task) => Math.min(...task.studies.map((s) => ["measured", "imported", "published"].indexOf(s.provenance)));
  return [...tasks].sort((a, b) => rank(a) - rank(b))[0];
}

function changed(kind) {
  writeAddress();
  refresh(kind);
}

// Browsers allow some 20 changes of the address a second; the last one counts.
let addressTimer = 0;
function writeAddress() {
  clearTimeout(addressTimer);
  addressTimer = setTimeout(() => history.replaceState(null, "", address(state)), 60);
}

const refresh = latest(async (kind) => {
  try {
    if (kind === "study" || sheetOf !== studyKey()) await loadStudy();
    await loadAnswer();
    banner(null);
  } catch (error) {
    failed(error);
  }
});

async function loadStudy() {
  const key = studyKey();
  byId("answer").setAttribute("aria-busy", "true");
  sheet = await ask("/v1/candidates", study(state));
  sheetOf = key;
  panel.ranges(sheet);
  if (!isLimited(state)) state.flops = middle(sheet);
  if (!(state.x in sheet.frontiers)) state.x = "flops";
  panel.show();
  history.replaceState(null, "", address(state));
  drawSegments();
  await drawFrontier();
  if (state.pick) look(state.pick);
}

// A first limit that binds: halfway, in logarithms, between the cheapest and the dearest.
function middle(found) {
  const costs = found.items.map((r) => r.costs.flops);
  return Number(Math.sqrt(Math.min(...costs) * Math.max(...costs)).toPrecision(2));
}

async function loadAnswer() {
  if (!isLimited(state)) return unlimited();
  try {
    answer = await ask("/v1/plan", question(state));
    showAnswer();
  } catch (error) {
    if (!(error instanceof Problem) || error.status === 0) throw error;
    answer = null;
    showProblem(error.problem);
  }
  await mark();
  await drawCurves();
}

function showAnswer() {
  const best = answer.best;
  panel.binding(answer.binding);
  fill(byId("answer"),
    show.sentence(answer), show.certainty(answer),
    el("div", { class: "body" }, show.bars(best, answer.query), show.reasons([...answer.reasons, ...(answer.advice ?? []), ...[...(answer.kept ?? []), ...(answer.other_sets ?? [])].map((one) => one.verdict), ...(answer.reference ?? []).map((r) => r.verdict), ...(answer.borders ? [answer.borders.verdict] : [])])), show.warnings(answer.warnings), show.use(answer), actions());
  fill(byId("alternatives"), show.alternatives(answer, pick));
  showAll();
  further(byId("further"), state);
  byId("answer").setAttribute("aria-busy", "false");
}

function actions() {
  const said = el("span", { role: "status" });
  const keep = el("button", { type: "button", onclick: async () => {
    keep.disabled = true;
    try {
      const kept = await post("/v1/plan", body(state));
      said.textContent = `kept; soundscale answers show ${kept.answer_id}`;
    } catch (error) {
      said.textContent = error.message;
      keep.disabled = false;
    }
  } }, "Keep this answer");
  const copy = el("button", { type: "button", onclick: async () => {
    said.textContent = (await copyText(location.href)) ? "link copied" : `copy it from here: ${location.href}`;
  } }, "Copy link");
  const sheetOfPaper = el("button", { type: "button", onclick: async () => {
    saved(`answer-${answer.answer_id}.html`, "text/html", await report(answer, chart, state));
    said.textContent = "one page, to print or to send";
  } }, "Report");
  return el("div", { class: "actions" }, keep, copy, sheetOfPaper, el("span", { id: "answer-id" }, `answer ${answer.answer_id}`),
    el("a", { href: `/v1/plan?${new URLSearchParams(question(state))}` }, "JSON"),
    el("a", { href: `/fits?fit=${answer.fit_id}` }, `${answer.n_runs} runs, fit ${answer.fit_id}`), said);
}

function showProblem(problem) {
  panel.binding([]);
  fill(byId("alternatives"), el("p", { class: "soft" }, "There is no answer to compare with."));
  showAll();
  const details = problem.answer ?? {};
  const ways = (details.relaxations ?? []).filter((r) => r.limit in COSTS);
  if (details.kind === "measured") return showMeasured(details);
  // Met by every estimate, but not as surely as it was asked for: less certainty is a way out too.
  const surely = details.likeliest ? Math.floor(100 * details.likeliest.joint_probability) / 100 : 0;
  // Rules for further test sets that nothing keeps: the nearest keeps these.
  const kept = details.kind === "not-kept" ? details.keep : null;
  const title = kept ? "Nothing keeps these rules" : surely ? "Nothing meets these limits surely enough"
    : problem.status === 409 && problem.answer ? "Nothing meets these limits" : capital(problem.title ?? "No answer");
  const near = details.nearest ? el("p", { class: "soft" }, `Nearest: ${details.nearest.label}, ${percent(details.nearest.prediction.error)} ${metricWord(sheet.metric)}.`) : null;
  const raised = Object.entries(details.relaxed_together ?? {}).map(([limit, value]) => ({ limit, value }))
    .filter((r) => r.limit in COSTS && r.value > state[r.limit]);
  const buttons = el("div", { class: "ways" }, [...ways.map((way) => [way]), ...(raised.length ? [raised] : [])].map((some) => el(
    "button", { type: "button", class: "primary", onclick: () => relax(some) }, `Allow ${some.map(allowance).join(" and ")}`)), surely
    ? el("button", { type: "button", onclick: () => lessSure(surely) }, `Take P ≥ ${surely.toFixed(2)}`) : null,
    kept ? el("button", { type: "button", class: "primary", onclick: () => keepThat(kept) }, `Keep ${kept}`) : null);
  fill(byId("answer"), trouble(title, capital(problem.detail), [], [near, ways.length || raised.length || surely || kept ? buttons : null]),
    details.nearest ? show.bars(details.nearest, details.query) : null, show.warnings(details.warnings ?? []));
  byId("answer").setAttribute("aria-busy", "false");
}

// Too few runs for a law: what they measured is an answer all the same.
function showMeasured(found) {
  fill(byId("answer"), show.measured(found));
  byId("answer").setAttribute("aria-busy", "false");
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

// Three digits, never below: rounding down would miss the configuration that it is for.
function upTo3(value) {
  const size = 10 ** (Math.floor(Math.log10(value)) - 2);
  return Number((Math.ceil(value / size - 1e-9) * size).toPrecision(3));
}

// Of a cost that people name by its inverse, three digits of that, never above.
function enough(limit, value) {
  if (!COSTS[limit].inverse) return upTo3(value);
  const size = 10 ** (Math.floor(Math.log10(1 / value)) - 2);
  return 1 / Number((Math.floor(1 / value / size + 1e-9) * size).toPrecision(3));
}

const allowance = (way) => `${COSTS[way.limit].show(enough(way.limit, way.value))} ${COSTS[way.limit].name === "FLOPs" ? "" : COSTS[way.limit].name}`.trim();

function relax(ways) {
  for (const way of ways) {
    // Memory is shown in powers of two, where three digits are other numbers.
    const unit = ["memory_bytes", "size_bytes"].includes(way.limit) ? 2 ** 20 : 1;
    state[way.limit] = enough(way.limit, way.value / unit) * unit;
  }
  moved();
}

// A step that the browser's Back takes back.
function moved() {
  panel.show();
  clearTimeout(addressTimer);
  history.pushState(null, "", address(state));
  refresh("limits");
}

function keepThat(rules) {
  state.keep = rules;
  panel.show();
  clearTimeout(addressTimer);
  history.pushState(null, "", address(state));
  refresh("study");
}

function lessSure(probability) {
  state.min_prob = probability;
  moved();
}

async function unlimited() {
  answer = null;
  panel.binding([]);
  fill(byId("answer"), trouble("Set a limit", "Drag a slider or type a limit with its unit: the answer is the configuration with the fewest expected errors under it."));
  fill(byId("alternatives"), el("p", { class: "soft" }, "There is no answer to compare with."));
  byId("answer").setAttribute("aria-busy", "false");
  showAll();
  await mark();
}

function showAll() {
  fill(byId("all"), show.everything(sheet, answer?.best.config, pick));
}

function drawSegments() {
  const names = Object.keys(COSTS).filter((n) => n in sheet.frontiers);
  fill(byId("x"), names.map((name) => el("button", {
    type: "button", "aria-pressed": String(state.x === name),
    onclick: async () => {
      state.x = name;
      drawSegments();
      writeAddress();
      await drawFrontier();
      await mark();
    },
  }, COSTS[name].name)));
}

async function drawFrontier() {
  const per = ["flops", "latency_ms"].includes(state.x) ? ` per ${state.per}` : "";
  const titles = { x: `${COSTS[state.x].name}${per}`, y: capital(metricWord(sheet.metric)) };
  const node = byId("frontier");
  chart = await frontierChart(node, sheet, state.x, titles, pick);
  drawExports(titles);
  node.classList.add("clickable");
  node.setAttribute("aria-label", `Error against ${COSTS[state.x].name}: ${sheet.items.length} configurations and the frontier; the same numbers are in the table below`);
}

// The chart as a file, with its title and what its marks mean.
function drawExports(titles) {
  const title = `${titles.y} against ${titles.x}, ${sheet.study}`;
  const name = `soundscale-${COSTS[state.x].short}`;
  const button = (kind) => el("button", { type: "button", "aria-label": `Save the chart as ${kind.toUpperCase()}`, onclick: async () => {
    const [type, content] = await picture(chart.view, title, kind);
    saved(`${name}.${kind}`, type, content);
  } }, kind.toUpperCase());
  fill(byId("exports"), button("svg"), button("png"));
}

function mark() {
  if (!chart) return null;
  return feed(chart, { best: answer?.best.config, limit: state[state.x], pick: state.pick, cost: state.x });
}

function pick(config) {
  state.pick = { backbone: config.backbone, audio_seconds: config.audio_seconds, reduction: config.reduction };
  writeAddress();
  mark();
  look(state.pick, true);
}

const look = latest(async (config, shown = false) => {
  try {
    const found = await ask("/v1/whatif", { ...question(state), ...config });
    fill(byId("whatif"), show.whatIf(found, answer, closeLook));
    if (shown) byId("whatif").scrollIntoView({ block: "nearest" });
  } catch (error) {
    fill(byId("whatif"), el("p", { class: "soft" }, error.message));
  }
  await drawCurves();
});

function closeLook() {
  state.pick = null;
  fill(byId("whatif"));
  writeAddress();
  mark();
  drawCurves();
}

const drawCurves = latest(async () => {
  const config = state.pick ?? answer?.best.config;
  byId("axes-card").hidden = !config;
  if (!config) return;
  const key = JSON.stringify([sheetOf, config.backbone, config.audio_seconds, config.reduction, dark()]);
  if (key === curvesOf) return;
  curvesOf = key;
  byId("axes-of").textContent = state.pick ? "what you look at" : "the recommendation";
  const { backbone, audio_seconds, reduction } = config;
  const found = await ask("/v1/curves", { ...study(state), backbone, audio_seconds, reduction });
  await drawSmall(found);
});

// One scale of errors for all three, by what lies inside the data: outside, a band has no bound.
function smallScale(found) {
  const inside = found.axes.flatMap((a) => a.points.filter((p) => !p.outside));
  const errors = [...inside, ...found.axes].map((p) => p.error);
  errors.push(...found.axes.flatMap((a) => a.measured.map((m) => m.error)).filter((e) => e !== null));
  const [lowest, highest] = [Math.min(...errors) / 1.6, 1.6 * Math.max(...errors)];
  const bands = inside.flatMap((p) => [Math.max(p.low, lowest), Math.min(p.high, highest)]);
  return errorScale([...errors, ...bands]);
}

async function drawSmall(found) {
  const scale = smallScale(found);
  const title = capital(metricWord(found.metric));
  const drawings = [];
  const frame = (heading, label) => {
    const drawing = el("div", { class: "drawing", role: "img", "aria-label": label });
    drawings.push(drawing);
    return el("div", { class: "small-chart" }, el("h3", {}, heading), drawing);
  };
  fill(byId("axes"), found.axes.map((a) => frame(capital(a.title), `${metricWord(found.metric)} against ${a.title}`)));
  for (const [i, axis] of found.axes.entries()) {
    if (axis.points.length) await axisChart(drawings[i], axis, scale, title);
    else fill(drawings[i], el("p", { class: "none" }, `${capital(axis.title)} is not resolved: the runs have ${axis.levels} ${axis.levels === 1 ? "level" : "levels"} of it.`));
  }
  byId("axes-note").textContent = beside(found);
}

// The band is about the expected error; single runs scatter about it, and those outside are counted.
function beside(found) {
  const told = `The band is the ${Math.round(100 * found.level)} % interval of the expected error; a point is one run, which scatters about it.`;
  const points = found.axes.flatMap((a) => a.measured.filter((m) => m.error !== null && a.points.length).map((m) => {
    const near = a.points.reduce((p, q) => (Math.abs(Math.log(q.x / m.x)) < Math.abs(Math.log(p.x / m.x)) ? q : p));
    return { run: m.run_id, outside: m.error < near.low || m.error > near.high };
  }));
  const outside = [...new Set(points.filter((p) => p.outside).map((p) => p.run))];
  return outside.length ? `${told} Outside it: run ${outside.join(", ")}.` : told;
}

function empty(found) {
  byId("plan").classList.add("empty");
  byId("question").hidden = byId("trade").hidden = byId("axes-card").hidden = byId("evidence").hidden = true;
  const failedRuns = found.n_runs ? `There are ${found.n_runs} runs, but none is finished. ` : "";
  fill(byId("answer"), trouble("No finished run yet",
    `${failedRuns}An answer is learned from runs: train some here (minutes, no GPU needed), import your own results, or begin with a published table. This page then has something to say; reload it.`,
    [`soundscale quickstart --db ${found.database}`, `soundscale runs import same2026 --db ${found.database}`, `soundscale runs import results.csv --db ${found.database}`]));
  byId("answer").setAttribute("aria-busy", "false");
}

function failed(error) {
  byId("answer").setAttribute("aria-busy", "false");
  if (error instanceof Problem && error.status > 0) {
    sheet ??= { items: [], frontiers: {}, metric: "error" };
    answer = null;
    byId("trade").hidden = byId("axes-card").hidden = byId("evidence").hidden = !sheet.items.length;
    if (sheet.items.length) return showProblem(error.problem);
    fill(byId("answer"), trouble(capital(error.problem.title ?? "No answer"), capital(error.message)));
    return;
  }
  if (!(error instanceof Problem)) console.error(error);
  banner("The service does not answer. Is soundscale serve still running?", () => (sheet ? refresh("study") : start()));
}

addEventListener("themechange", async () => {
  if (!chart) return;
  await drawFrontier();
  await mark();
  await drawCurves();
});
addEventListener("popstate", () => location.reload());

start();
