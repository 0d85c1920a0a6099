// Fitted laws: formula, parameters with intervals, forms tried, and what a law cannot say.
import { ask, post, Problem } from "./api.js";
import { byId, cell, el, fill, table } from "./dom.js";
import { metricWord, when } from "./format.js";
import { banner, overview, shell, trouble } from "./shell.js";

let tasks = [];

async function load() {
  const items = [];
  let next = null;
  do {
    const page = await ask("/v1/fits", { limit: 500, after: next });
    items.push(...page.items);
    next = page.next;
  } while (next !== null);
  if (!items.length) {
    fill(byId("list"), trouble("No fit yet", "A law is fitted to the runs when a question is asked first, or with:", ["soundscale fit run --task asr"]));
    return;
  }
  const columns = [
    { key: "fit_id", title: "fit", show: (r) => el("button", { type: "button", class: "link", onclick: () => open(r.fit_id) }, r.fit_id) },
    { key: "task", title: "task" }, { key: "metric", title: "metric", show: (r) => metricWord(r.metric) }, { key: "law", title: "law" },
    { key: "status", title: "status", show: (r) => el("span", { class: `tag ${r.status}` }, r.status) },
    { key: "n_runs", title: "runs", num: true },
    { key: "objective", title: "objective", num: true },
    { key: "created_utc", title: "made (UTC)", show: (r) => when(r.created_utc) },
  ];
  fill(byId("list"), table(columns, items.reverse(), { sortable: true, label: "Fits" }));
}

async function open(id) {
  history.replaceState(null, "", `/fits?fit=${encodeURIComponent(id)}`);
  const detail = byId("detail");
  detail.hidden = false;
  try {
    show(detail, await ask(`/v1/fits/${encodeURIComponent(id)}`));
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    fill(detail, trouble(`Fit ${id}`, error.message));
  }
}

function show(detail, fit) {
  const bound = (v) => (v === null ? "?" : cell(v));
  const parameters = table([
    { key: "name", title: "parameter" }, { key: "value", title: "value", num: true },
    { title: `${Math.round(100 * fit.level)} % interval`, num: true, show: (p) => `[${bound(p.low)}, ${bound(p.high)}]` },
    { key: "unit", title: "unit" }, { title: "", show: (p) => (p.flags ?? []).join(", ") },
  ], fit.parameters, { label: "Parameters" });
  const forms = table([
    { key: "law", title: "form" }, { key: "weight", title: "weight", num: true, show: (f) => f.weight.toFixed(2) },
    { key: "aicc", title: "AICc", num: true }, { key: "cv_error", title: "hold-out error", num: true },
    { key: "note", title: "", wide: true },
  ], fit.forms, { label: "Forms tried" });
  fill(detail,
    el("div", { class: "chart-head" }, el("h2", {}, `${fit.law} law of ${metricWord(fit.metric)}, fit ${fit.fit_id}`),
      el("button", { type: "button", onclick: () => {
        detail.hidden = true;
        history.replaceState(null, "", "/fits");
      } }, "Close")),
    el("pre", { tabindex: "0" }, `${fit.metric} = ${fit.formula}`),
    fit.warnings.length ? el("ul", { class: "notes" }, fit.warnings.map((w) => el("li", {}, w.message))) : null,
    parameters,
    el("p", { class: "soft" }, `${fit.n_runs} runs; one run scatters ${(100 * fit.sigma).toPrecision(2)} % about the law; objective ${cell(fit.objective)} (${fit.loss}); ${fit.n_agree} of ${fit.n_starts} starts agree; condition number ${cell(fit.condition_number)}; ${fit.statuses.join(", ")}`),
    fit.forms.length > 1 ? [el("h2", {}, "Forms tried"), forms] : null);
}

async function again() {
  const button = byId("again");
  button.disabled = true;
  try {
    for (const task of tasks) {
      let job = await post("/v1/fits", { task });
      while (job.state === "queued" || job.state === "running") {
        byId("job").textContent = `fitting ${task}: ${job.state}`;
        await new Promise((done) => setTimeout(done, 500));
        job = await ask(`/v1/jobs/${job.job_id}`);
      }
      byId("job").textContent = job.state === "finished" ? `${task}: fit ${job.result.fit_id}` : job.problem.detail;
    }
    await load();
  } catch (error) {
    byId("job").textContent = error.message;
  }
  button.disabled = false;
}

shell();
byId("again").addEventListener("click", again);
(async () => {
  try {
    tasks = (await overview()).tasks.filter((t) => t.n_finished).map((t) => t.task);
    byId("again").disabled = !tasks.length;
    await load();
    const id = new URLSearchParams(location.search).get("fit");
    if (id) await open(id);
  } catch (error) {
    if (error instanceof Problem && error.status > 0) fill(byId("list"), trouble("The fits cannot be shown", error.message));
    else banner("The service does not answer. Is soundscale serve still running?", () => location.reload());
  }
})();
