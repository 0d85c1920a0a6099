// Sweeps, and one of them live: asked for every second while the page is looked at.
import { ask, Problem } from "./api.js";
import { byId, el, fill, table } from "./dom.js";
import { percent, when } from "./format.js";
import { banner, overview, shell, trouble } from "./shell.js";

const EVERY_MS = 1000;
const LIST_MS = 5000;
const ORDER = ["failed", "running", "queued", "finished", "cancelled"];
let name = new URLSearchParams(location.search).get("sweep");

async function load() {
  const { items } = await ask("/v1/sweeps", { limit: 500 });
  if (!items.length) {
    fill(byId("list"), trouble("No sweep yet", "A sweep is a file that says which trials to run:", ["soundscale sweep run SPEC.toml", "soundscale quickstart"]));
    return;
  }
  const columns = [
    { key: "name", title: "sweep", show: (r) => el("button", { type: "button", class: "link", onclick: () => choose(r.name) }, r.name) },
    { key: "n_trials", title: "trials", num: true }, { key: "n_finished", title: "finished", num: true },
    { key: "n_running", title: "running", num: true }, { key: "n_queued", title: "waiting", num: true },
    { key: "n_failed", title: "failed", num: true }, { key: "created_utc", title: "made (UTC)", show: (r) => when(r.created_utc) },
  ];
  fill(byId("list"), table(columns, items.reverse(), { sortable: true, label: "Sweeps", chosen: (r) => r.name === name }));
  name ??= items[0].name;
}

function choose(next) {
  name = next;
  history.replaceState(null, "", `/sweeps?sweep=${encodeURIComponent(name)}`);
  tick();
}

async function tick() {
  if (name === null || document.hidden) return;
  try {
    show(await ask(`/v1/sweeps/${encodeURIComponent(name)}`));
    banner(null);
  } catch (error) {
    if (error instanceof Problem && error.status > 0) {
      byId("live").hidden = false;
      fill(byId("live"), trouble(`Sweep ${name}`, error.message));
    } else banner("The service does not answer. Is soundscale serve still running?", tick);
  }
}

function show(sweep) {
  const n = sweep.trials.length;
  const count = (state) => sweep.counts[state] ?? 0;
  const rows = [...sweep.trials].sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state));
  const columns = [
    { title: "", show: (r) => el("span", { class: `tag ${r.state}` }, r.state === "queued" ? "waiting" : r.state) },
    { title: "trial", wide: true, show: (r) => r.label },
    { title: "progress", show: progress },
    { title: "loss", num: true, show: (r) => (r.loss === null ? "–" : r.loss.toFixed(3)) },
    { title: "error ± se", num: true, show: (r) => (r.error === null ? "–" : `${percent(r.error, 2)}${r.std_error === null ? "" : ` ± ${(100 * r.std_error).toFixed(2)}`}`) },
    { title: "attempt", num: true, show: (r) => `${r.n_attempts} of ${r.max_attempts}` },
    { title: "", wide: true, show: (r) => (r.failure_text ? `${r.failure_class}: ${r.failure_text.split("\n")[0].slice(0, 160)}` : r.run_id ? el("a", { href: `/runs?run=${r.run_id}` }, `run ${r.run_id}`) : "") },
  ];
  const live = byId("live");
  live.hidden = false;
  fill(live,
    el("div", { class: "chart-head" }, el("h2", {}, sweep.name), el("span", { class: "soft" }, `at ${sweep.now_utc.slice(11, 19)} UTC`)),
    el("p", { class: "totals", role: "status" }, el("span", {}, el("b", {}, String(count("finished"))), ` of ${n} finished`),
      ["running", "queued", "failed", "cancelled"].filter(count).map((s) => el("span", {}, el("b", {}, String(count(s))), ` ${s === "queued" ? "waiting" : s}`))),
    table(columns, rows, { label: "Trials" }));
}

function progress(row) {
  if (row.state !== "running") return row.elapsed_seconds === null ? "" : `${Math.round(row.elapsed_seconds)} s`;
  const bar = el("i");
  bar.style.width = row.n_steps ? `${(100 * (row.step ?? 0)) / row.n_steps}%` : "0";
  return el("div", {}, el("div", { class: "progress" }, bar), el("small", { class: "soft" }, `${row.phase ?? "starting"} ${row.step ?? ""}${row.n_steps ? ` of ${row.n_steps}` : ""}`));
}

shell();
(async () => {
  try {
    await overview();
    await load();
    await tick();
    setInterval(tick, EVERY_MS);
    setInterval(() => document.hidden || load().catch(() => {}), LIST_MS);
  } catch (error) {
    if (error instanceof Problem && error.status > 0) fill(byId("list"), trouble("The sweeps cannot be shown", error.message));
    else banner("The service does not answer. Is soundscale serve still running?", () => location.reload());
  }
})();
