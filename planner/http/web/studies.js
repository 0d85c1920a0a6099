// Studies, and one of them: the answer so far, what is next and why. One that goes on is asked for every other second.
import { ask, Problem } from "./api.js";
import { regretChart } from "./charts.js";
import { byId, el, fill, table } from "./dom.js";
import { when } from "./format.js";
import { banner, overview, shell, trouble } from "./shell.js";

const EVERY_MS = 2000;
const LIST_MS = 10_000;
const LONG = "Every run, and why"; // the section that is folded at first
let name = new URLSearchParams(location.search).get("study");
let drawn = null; // what is shown, as text: the same again leaves page, focus and scrolling alone
let ended = false;

const hours = (value) => (value === null ? "–" : String(Number(value.toPrecision(3))));

async function load() {
  const { items } = await ask("/v1/studies", { limit: 500 });
  if (!items.length) {
    fill(byId("list"), trouble("No study yet", "A study runs itself from a file and a number of hours to an answer:", ["soundscale study STUDY.toml --hours 2"]));
    return;
  }
  name ??= items.at(-1).name;
  const columns = [
    { key: "name", title: "study", show: (r) => el("button", { type: "button", class: "link", onclick: () => choose(r.name) }, r.name) },
    { key: "state", title: "state", show: (r) => el("span", { class: `tag ${r.state === "open" ? "running" : "finished"}` }, r.state) },
    { key: "hours", title: "hours", num: true, show: (r) => hours(r.hours) },
    { key: "allowed_hours", title: "of", num: true, show: (r) => hours(r.allowed_hours) },
    { key: "n_rounds", title: "rounds", num: true },
    { key: "created_utc", title: "begun (UTC)", show: (r) => when(r.created_utc) },
    { key: "verdict", title: "ended because", wide: true, show: (r) => r.verdict ?? "–" },
  ];
  fill(byId("list"), table(columns, items.reverse(), { sortable: true, label: "Studies", chosen: (r) => r.name === name }));
}

async function choose(next) {
  [name, drawn, ended] = [next, null, false];
  history.replaceState(null, "", `/studies?study=${encodeURIComponent(name)}`);
  await tick();
  load().catch(() => {});
}

async function tick() {
  if (name === null || document.hidden || ended) return;
  const asked = name;
  try {
    const study = await ask(`/v1/studies/${encodeURIComponent(asked)}`);
    if (asked === name) await show(study);
    banner(null);
  } catch (error) {
    if (error instanceof Problem && error.status > 0) {
      byId("study").hidden = false;
      drawn = null;
      fill(byId("study"), trouble(`Study ${asked}`, error.message));
    } else banner("The service does not answer. Is soundscale serve still running?", tick);
  }
}

async function show(study) {
  ended = study.state === "ended";
  const text = JSON.stringify([study.sections, study.headline]);
  if (text === drawn) return;
  drawn = text;
  const node = byId("study");
  const open = new Map([...node.querySelectorAll("details")].map((d) => [d.dataset.title, d.open]));
  const chart = el("div", { class: "chart", role: "img", "aria-label": "Points of error that a better choice could save, over the hours spent: expected, and at most with 95 %" });
  node.hidden = false;
  fill(node,
    el("div", { class: "chart-head" }, el("h2", {}, study.name),
      el("span", { class: "soft" }, `${study.state === "open" ? "goes on" : "has ended"} · `,
        el("a", { href: `/sweeps?sweep=${encodeURIComponent(study.name)}` }, "its trials"),
        study.answer ? ` · answer ${study.answer.answer_id}` : null)),
    el("p", { class: "sentence", role: "status" }, study.headline),
    study.sections.map((s) => section(s, study.headline, open, s.title === "How the regret fell" && study.regret.length > 1 ? chart : null)));
  if (study.regret.length > 1) await regretChart(chart, study.regret);
}

function section(one, headline, open, chart) {
  const columns = one.headings.map((title, i) => ({
    title, show: (row) => row[i], num: one.rows.every((row) => /^[−+\-]?[\d.]|^–$/.test(row[i])), wide: ["why", "run", "choice", "candidate"].includes(title),
  }));
  const parts = [
    one.sentences.filter((s) => s !== `${headline}.`).map((s) => el("p", {}, s)),
    chart,
    one.rows.length ? table(columns, one.rows, { label: one.title }) : null,
    one.commands.length ? el("pre", { tabindex: "0" }, one.commands.join("\n")) : null,
  ];
  const shown = open.get(one.title) ?? one.title !== LONG;
  return el("details", { open: shown, dataset: { title: one.title } }, el("summary", {}, el("h3", {}, one.title)), parts);
}

shell();
(async () => {
  try {
    await overview();
    await load();
    await tick();
    setInterval(tick, EVERY_MS);
    setInterval(() => document.hidden || load().catch(() => {}), LIST_MS);
    addEventListener("themechange", () => { [drawn, ended] = [null, false]; tick(); });
  } catch (error) {
    if (error instanceof Problem && error.status > 0) fill(byId("list"), trouble("The studies cannot be shown", error.message));
    else banner("The service does not answer. Is soundscale serve still running?", () => location.reload());
  }
})();
