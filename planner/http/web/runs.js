// Runs as a table, page by page; one run in full when its number is clicked, several side by side.
import { ask, Problem } from "./api.js";
import { lossChart, lossCharts } from "./charts.js";
import { compare } from "./compare.js";
import { byId, cell, el, fill, table } from "./dom.js";
import { COSTS, percent, when } from "./format.js";
import { banner, overview, shell, trouble } from "./shell.js";

const PAGE = 100;
const filters = ["task", "status", "source"];
const MOST = 20; // runs in one comparison
let rows = [];
const ticked = new Set(); // in the order of ticking: the first is what the others are compared with

const chosen = () => new URLSearchParams(location.search);

function filtered() {
  return Object.fromEntries(filters.map((name) => [name, byId(name).value]));
}

async function load(after = null) {
  const page = await ask("/v1/runs", { ...filtered(), limit: PAGE, after });
  rows = after === null ? page.items : [...rows, ...page.items];
  const list = byId("list");
  if (!rows.length) {
    fill(list, trouble("No run matches", Object.values(filtered()).some(Boolean) ? "Choose fewer filters." : "Nothing was run or imported yet.",
      ["soundscale quickstart", "soundscale runs import same2026"]));
    return;
  }
  const columns = [
    { title: "compare", show: (r) => (r.status === "finished" ? box(r.run_id) : null) },
    { key: "run_id", title: "run", num: true, show: (r) => el("button", { type: "button", class: "link", onclick: () => open(r.run_id) }, String(r.run_id)) },
    { key: "backbone", title: "backbone" },
    { key: "audio_seconds", title: "window (s)", num: true },
    { key: "tokens_per_second", title: "tokens/s", num: true },
    { key: "reduction", title: "reduction" },
    { key: "adaptation", title: "adaptation" },
    { key: "error", title: "error ± se", num: true, show: (r) => (r.error === null ? "–" : `${percent(r.error, 2)}${r.std_error === null ? "" : ` ± ${(100 * r.std_error).toFixed(2)}`}`) },
    { key: "flops", title: "FLOPs a window", num: true, show: (r) => (r.flops === null ? "–" : COSTS.flops.show(r.flops)) },
    { key: "latency_p50_ms", title: "p50", num: true, show: (r) => (r.latency_p50_ms === null ? "–" : COSTS.latency_ms.show(r.latency_p50_ms)) },
    { key: "dataset", title: "data" },
    { key: "status", title: "status", show: (r) => el("span", { class: `tag ${r.status}`, title: r.failure_text ?? "" }, r.status) },
    { key: "provenance", title: "from" },
  ];
  fill(list, el("div", { class: "actions picking", id: "picking" }), table(columns, rows, { sortable: true, label: "Runs", drawn: search }),
    page.next === null ? el("p", { class: "soft" }, `${rows.length} runs`)
      : el("div", { class: "actions" }, el("button", { type: "button", onclick: () => guarded(() => load(page.next)) }, "More"), `${rows.length} runs so far`));
  picking();
  search();
}

// Of the rows that are loaded: those that have every word somewhere.
function search() {
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  let n = 0;
  for (const row of document.querySelectorAll("#list tbody tr")) {
    const shown = row.textContent.toLowerCase();
    row.hidden = !words.every((w) => shown.includes(w));
    n += row.hidden ? 0 : 1;
  }
  byId("found").textContent = words.length ? `${n} of ${rows.length} rows have ${words.length > 1 ? "all of it" : "it"}` : "";
}

function box(id) {
  return el("input", {
    type: "checkbox", checked: ticked.has(id), "aria-label": `Compare run ${id}`,
    onchange: (e) => {
      if (e.target.checked) ticked.add(id);
      else ticked.delete(id);
      picking();
    },
  });
}

function picking() {
  const ids = [...ticked];
  const some = ids.length >= 2 && ids.length <= MOST;
  fill(byId("picking"),
    el("button", { type: "button", class: some ? "primary" : null, id: "compare", disabled: !some, onclick: () => sideBySide(ids) }, "Compare"),
    ids.length > MOST ? `at most ${MOST} runs at once`
      : ids.length ? `run ${ids[0]}${ids.length > 1 ? ` with ${ids.slice(1).join(", ")}` : ", and which others? Tick them."}`
        : "Tick two or more runs that were scored on the same utterances.");
}

async function sideBySide(ids) {
  const node = byId("comparison");
  const address = (query) => history.replaceState(null, "", `/runs${query.size ? `?${query}` : ""}`);
  const query = chosen();
  query.set("compare", ids.join(","));
  address(query);
  const shut = () => {
    node.hidden = true;
    const rest = chosen();
    rest.delete("compare");
    address(rest);
  };
  try {
    await compare(node, ids, shut);
    await learning(node, ids);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    fill(node, trouble("These runs cannot be compared", error.message), el("div", { class: "actions" }, el("button", { type: "button", onclick: shut }, "Close")));
  }
  node.scrollIntoView({ block: "start" });
}

// How the runs learned, one line each; runs of which no steps were kept have none.
async function learning(node, ids) {
  const found = await Promise.all(ids.map((id) => ask(`/v1/runs/${id}`)));
  const steps = found.flatMap((run) => (run.steps ?? []).map((s) => ({ ...s, run: `run ${run.run_id}` })));
  if (!steps.length) return;
  const drawing = el("div", { class: "drawing", role: "img", "aria-label": `training loss by step of runs ${ids.join(", ")}` });
  node.append(el("h3", {}, "How they learned"), drawing);
  await lossCharts(drawing, steps);
}

async function open(id) {
  const query = chosen();
  query.set("run", id);
  history.replaceState(null, "", `/runs?${query}`);
  const detail = byId("detail");
  detail.hidden = false;
  try {
    show(detail, await ask(`/v1/runs/${id}`));
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    fill(detail, trouble(`Run ${id}`, error.message));
  }
  detail.scrollIntoView({ block: "nearest" });
}

const ms = (key) => (row) => (row[key] === null ? "–" : COSTS.latency_ms.show(row[key]));
// A column's name as words; its unit goes to the value.
const UNITS = { seconds: "s", ms: "ms", bytes: "bytes", flops: "FLOPs", utc: "UTC", json: "" };
const SHORT = { wer: "word errors", cer: "character errors", n: "number of", se: "standard error", p50: "median", p95: "p95", ci: "interval" };
const FACTS = {
  run_id: "run", trial_id: "trial", n_params: "parameters", n_params_counted: "parameters counted", n_trainable: "parameters trained", train_seconds: "training took",
  score_seconds: "scoring took", train_audio_seconds: "audio trained on", train_flops: "training cost", std_error: "standard error", audio_seconds: "window", n_units: "words or labels scored",
  mean_output_tokens: "output tokens a window", flops: "FLOPs a window", flops_convention: "FLOPs counted by",
};

function inWords(key) {
  if (key in FACTS) return FACTS[key];
  const parts = key.split("_");
  if (parts.length > 1 && parts.at(-1) in UNITS) parts.pop();
  return parts.map((p) => SHORT[p] ?? p).join(" ");
}

const begun = (text) => text.replace(/[0-9a-f]{24,}/g, (digest) => `${digest.slice(0, 12)}…`);

function factShown(key, value) {
  const unit = key.split("_").at(-1);
  if (typeof value === "number") {
    if (key === "error" || key === "std_error" || key === "wer" || key === "cer") return percent(value, 2);
    if (unit === "seconds") return value >= 120 ? `${Math.floor(value / 60)} min ${Math.round(value % 60)} s` : `${cell(value)} s`;
    if (unit === "ms") return COSTS.latency_ms.show(value);
    if (unit === "bytes") return COSTS.memory_bytes.show(value);
    if (unit === "flops") return COSTS.flops.show(value);
    if (key === "n_params") return `${Number((value / 1e6).toPrecision(4))} M`;
    return cell(value);
  }
  if (unit === "utc") return when(value);
  // Of a place on a disk or in a bucket the end tells which; the whole is there to look up.
  if (typeof value === "string" && /^(\/|[A-Za-z]:[\\/]|(?!https?:)[a-z0-9]+:\/\/)/.test(value) && value.split(/[\\/]/).length > 3) {
    return el("span", { title: value }, `…/${value.split(/[\\/]/).filter(Boolean).slice(-2).map(begun).join("/")}`);
  }
  // A digest says that two things are the same; its beginning does.
  if (typeof value === "string" && /[0-9a-f]{24,}/.test(value)) return el("span", { title: value }, begun(value));
  return cell(value);
}

const part = (key) => (row) => (row[key] === null ? "–" : percent(row[key]));
const LATENCIES = [
  { key: "device", title: "device" }, { key: "load", title: "taken" },
  { key: "request_p50_ms", title: "requests p50", num: true, show: ms("request_p50_ms") },
  { key: "request_p95_ms", title: "p95", num: true, show: ms("request_p95_ms") },
  { key: "share_above_p95", title: "above p95", num: true, show: part("share_above_p95") },
  { key: "window_p50_ms", title: "a window", num: true, show: ms("window_p50_ms") },
  { key: "noise_floor", title: "A against A", num: true, show: part("noise_floor") },
  { key: "contention", title: "contention", num: true, show: (r) => (r.contention === null ? "–" : r.contention.toFixed(2)) },
];

function show(detail, run) {
  const steps = run.steps ?? [];
  const skip = new Set(["steps", "trial", "utterances", "failure_text", "latencies"]);
  const facts = Object.entries(run).filter(([k, v]) => !skip.has(k) && v !== null && v !== "" && !(Array.isArray(v) && !v.length)).map(([k, v]) => [inWords(k), factShown(k, v)]);
  const drawing = el("div", { class: "drawing", role: "img", "aria-label": "training loss by step" });
  const scored = el("div");
  fill(detail,
    el("div", { class: "chart-head" }, el("h2", {}, `Run ${run.run_id}: ${run.backbone}, ${run.audio_seconds} s, ${run.reduction}`),
      el("div", { class: "actions" }, run.status === "finished" ? el("button", { type: "button", onclick: () => pick(run.run_id) }, "Compare with…") : null,
        el("button", { type: "button", onclick: () => close(detail) }, "Close"))),
    run.failure_text ? el("ul", { class: "notes" }, el("li", {}, `${run.failure_class}: ${run.failure_text}`)) : null,
    steps.length > 1 ? drawing : null,
    el("dl", {}, facts.map(([k, v]) => el("div", {}, el("dt", {}, k), el("dd", {}, v)))),
    run.latencies?.length ? el("div", { id: "latencies" }, el("h3", {}, "Latency"), table(LATENCIES, run.latencies, { label: "Latency" })) : null,
    el("details", { class: "more" }, el("summary", {}, "The whole trial"), el("pre", { tabindex: "0" }, JSON.stringify(run.trial, null, 2))),
    el("details", { class: "more", ontoggle: (e) => e.target.open && utterances(scored, run.run_id) }, el("summary", {}, "What it heard, utterance by utterance"), scored));
  if (steps.length > 1) lossChart(drawing, steps);
}

function pick(id) {
  ticked.add(id);
  const mine = document.querySelector(`#list input[aria-label="Compare run ${id}"]`);
  if (mine) mine.checked = true;
  picking();
  byId("picking").scrollIntoView({ block: "center" });
}

async function utterances(node, id) {
  const found = (await ask(`/v1/runs/${id}`, { utterances: "true" })).utterances;
  const columns = [
    { key: "utterance_id", title: "utterance" }, { key: "reference", title: "said", wide: true },
    { key: "hypothesis", title: "heard", wide: true }, { key: "n_errors", title: "errors", num: true }, { key: "n_units", title: "of", num: true },
  ];
  fill(node, found.length ? table(columns, found, { sortable: true, label: "Utterances" }) : el("p", { class: "soft" }, "No utterance is stored for this run."));
}

function close(detail) {
  detail.hidden = true;
  const query = chosen();
  query.delete("run");
  history.replaceState(null, "", `/runs?${query}`);
}

async function guarded(work) {
  try {
    await work();
    banner(null);
  } catch (error) {
    if (error instanceof Problem && error.status > 0) fill(byId("list"), trouble("The runs cannot be shown", error.message));
    else banner("The service does not answer. Is soundscale serve still running?", () => guarded(work));
  }
}

shell();
for (const name of filters) {
  byId(name).value = chosen().get(name) ?? "";
  byId(name).addEventListener("change", () => {
    const query = new URLSearchParams(Object.entries(filtered()).filter(([, v]) => v));
    history.replaceState(null, "", `/runs?${query}`);
    guarded(() => load());
  });
}
byId("search").addEventListener("input", search);
guarded(async () => {
  await overview();
  await load();
  const id = chosen().get("run");
  if (/^\d+$/.test(id ?? "")) await open(id);
  const asked = chosen().get("compare") ?? "";
  if (/^\d+(,\d+)+$/.test(asked)) {
    asked.split(",").forEach((one) => ticked.add(Number(one)));
    await load();
    await sideBySide([...ticked]);
  }
});
