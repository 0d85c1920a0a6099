// The right side, top: the answer as a sentence, costs against limits, reasons and warnings.
import { el, table } from "./dom.js";
import { COSTS, metricWord, percent, percentOf, likely, points } from "./format.js";

const strong = (text) => el("strong", {}, text);

export function configWords(config) {
  const rate = `${Number(config.tokens_per_second.toPrecision(3))} tokens/s`;
  const reduced = config.reduction === "none" ? "" : ` (${config.reduction})`;
  const engine = config.engine ? [" in ", strong(`${config.engine} ${config.precision}`)] : [];
  return [strong(config.backbone), " on ", strong(`${config.audio_seconds} s`), " windows at ", strong(rate + reduced), ...engine];
}

export function sentence(answer) {
  const { config, prediction: p } = answer.best;
  const sure = `${Math.round(100 * p.level)}\u00a0%`;
  return el("p", { class: "sentence", id: "sentence" }, configWords(config), " makes ",
    el("span", { class: "figure" }, `${percentOf(p.error, p.low, p.high)} ${metricWord(answer.study.metric)}`),
    `, between ${percentOf(p.low, p.low, p.high)} and ${percentOf(p.high, p.low, p.high)} with ${sure} certainty.`);
}

export function certainty(answer) {
  const { best, regret } = answer;
  const per = answer.query.per === "utterance" && answer.utterance_seconds ? ` Costs are of an utterance of ${Number(answer.utterance_seconds.toPrecision(3))} s.` : "";
  const n = answer.n_ties ?? answer.ties.length; // an answer stored before it was counted has all
  const tie = n ? ` ${n === 1 ? "One other configuration is" : `${n} others are`} a tie within noise.` : "";
  return el("p", { class: "sure" },
    `Best with probability ${best.p_best.toFixed(2)}; choosing it costs ${points(regret.expected)} in expectation, ` +
    `at most ${points(regret.bound_95)} (95 %).${tie}${per}`);
}

// Engine -> what a model is exported to for it.
const FORMATS = { onnxruntime: "onnx", openvino: "openvino", ctranslate2: "ctranslate2", transformers: "hf" };

// The commands that take the recommended model away and use it.
export function use({ best, query, study }) {
  const run = best.prediction.run_ids[0];
  const { engine, precision } = best.config;
  const to = FORMATS[engine] ?? "onnx";
  const weights = engine ? ` --precision ${precision}` : "";
  const heard = query.task === "emotion" ? "classify" : "transcribe";
  const lines = [`soundscale export ${run} --to ${to}${weights} model`, `soundscale ${heard} speech.wav --model model`];
  if (study.provenance && study.provenance !== "measured") return null; // its tensors are elsewhere
  const told = run === undefined
    ? el("p", { class: "soft" }, `Nobody has trained ${best.label} yet: put it into a sweep file and run it (soundscale sweep run), or ask for measured configurations only.`)
    : [el("p", { class: "soft" }, `Its model, of run ${run}, to take along and to use:`), el("pre", { tabindex: "0" }, lines.join("\n"))];
  return el("details", { class: "more", id: "use" }, el("summary", {}, "Use it"), told);
}

// One cost: how much of its limit is used, how sure that is, and where the number is from.
function costBar(name, cost, query) {
  const unit = COSTS[name];
  const limited = cost.limit !== undefined && cost.limit !== null;
  // Of the other way round the larger end is the smaller value: seconds a second are shown as times real time.
  const [first, last] = unit.inverse ? [cost.high, cost.low] : [cost.low, cost.high];
  const end = unit.inverse ? unit.terse : unit.show;
  const value = cost.high > cost.low ? `${unit.show(cost.value)} [${end(first)}, ${end(last)}]` : unit.show(cost.value);
  const where = name === "latency_ms" ? `${query.quantile} on ${query.device}, ${cost.source}` : cost.source;
  const met = limited ? `${likely("met", cost.probability)} · ` : "no limit · ";
  const row = el("div", { class: "cost" },
    el("span", { class: "what" }, unit.name),
    el("span", { class: "value" }, limited ? `${unit.show(cost.value)} of ${unit.show(cost.limit)}` : value),
    limited ? track(cost) : null,
    el("small", {}, `${met}${where}${cost.per ? `, per ${cost.per}` : ""}`));
  row.classList.toggle("over", limited && cost.value > cost.limit);
  return row;
}

function track(cost) {
  // The track is the limit; what is over it is shown by scaling the track down.
  const full = Math.max(cost.limit, cost.high) * (cost.high > cost.limit ? 1.04 : 1);
  const share = (v) => `${(100 * v) / full}%`;
  const fill = el("div", { class: "fill" });
  fill.style.width = share(cost.value);
  const node = el("div", { class: "track", role: "img", "aria-label": `${Math.round((100 * cost.value) / cost.limit)} % of the limit` }, fill);
  if (cost.high > cost.low) {
    const range = el("div", { class: "range" });
    range.style.left = share(cost.low);
    range.style.width = `${(100 * (cost.high - cost.low)) / full}%`;
    node.append(range);
  }
  if (cost.high > cost.limit) {
    const mark = el("div", { class: "limit-mark" });
    mark.style.left = share(cost.limit);
    node.append(mark);
  }
  return node;
}

export function bars(option, query) {
  const names = Object.keys(COSTS).filter((name) => name in option.costs);
  return el("div", { class: "bars" }, names.map((name) => costBar(name, option.costs[name], query)));
}

export function reasons(list) {
  return el("ul", { class: "why", "aria-label": "Why" }, list.map((r) => el("li", {}, r)));
}

export function warnings(list) {
  return list.length ? el("ul", { class: "notes", "aria-label": "What the law cannot say" }, list.map((w) => el("li", {}, w.message))) : null;
}

export function alternatives(answer, onPick) {
  const columns = [
    { title: "", show: (r) => tag(r, answer) },
    { title: "configuration", wide: true, show: (r) => r.label },
    { title: "error", num: true, show: (r) => `${percent(r.prediction.error, 2)}` },
    { title: "90 % interval".replace("90", String(Math.round(100 * answer.best.prediction.level))), num: true, show: (r) => `${percent(r.prediction.low, 2)} – ${percent(r.prediction.high, 2)}` },
    { title: "why not", wide: true, show: (r) => r.rejected_because },
    { title: "", show: (r) => el("button", { type: "button", onclick: () => onPick(r.config) }, "What if") },
  ];
  const near = (answer.almost ?? []).map((r) => ({ ...r, almost: true, rejected_because: `would err less; ${likely("meets", r.joint_probability, " the limits")}` }));
  const others = near.length ? answer.runners_up.filter((r) => r.feasible) : answer.runners_up;
  if (!others.length && !near.length) return el("p", { class: "soft" }, "No other configuration was in question.");
  return table(columns, [...others, ...near], { label: "Other configurations" });
}

// An answer stored before its entries said so lists its first ties, which hold every runner-up that is one.
function isTie(row, answer) {
  if ("tie" in row) return row.tie;
  const same = (config) => Object.keys(row.config).every((name) => config[name] === row.config[name]);
  return answer.ties.some((tie) => same(tie.config));
}

function tag(row, answer) {
  if (row.almost) return el("span", { class: "tag over" }, "almost fits");
  const kind = isTie(row, answer) ? "tie" : row.feasible ? "next" : "over";
  return el("span", { class: `tag ${kind}` }, kind === "over" ? "over the limit" : kind === "tie" ? "tie" : "next best");
}

export function everything(sheet, best, onPick) {
  const rows = sheet.items.map((r) => ({ ...r, ...r.costs }));
  const cost = (name) => ({ key: name, title: COSTS[name].name, num: true, show: (r) => (name in r.costs ? COSTS[name].show(r.costs[name]) : "–") });
  const columns = [
    { key: "backbone", title: "backbone" },
    { key: "audio_seconds", title: "window (s)", num: true },
    { key: "tokens_per_second", title: "tokens/s", num: true, show: (r) => `${Number(r.tokens_per_second.toPrecision(3))}` },
    ...(rows.some((r) => r.engine) ? [{ key: "engine", title: "engine", show: (r) => (r.engine ? `${r.engine} ${r.precision}` : "torch") }] : []),
    { key: "error", title: "error", num: true, show: (r) => percent(r.error, 2) },
    { key: "low", title: "from", num: true, show: (r) => percent(r.low, 2) },
    { key: "high", title: "to", num: true, show: (r) => percent(r.high, 2) },
    ...Object.keys(sheet.frontiers).filter((n) => n in COSTS).map(cost),
    { key: "kind", title: "known how" },
    { key: "run_ids", title: "runs", show: (r) => r.run_ids.slice(0, 4).map((id, i) => [i ? ", " : "", el("a", { href: `/runs?run=${id}` }, String(id))]).flat().reduce((a, b) => (a.append(b), a), el("span")) },
    { title: "", show: (r) => el("button", { type: "button", onclick: () => onPick(r) }, "What if") },
  ];
  const chosen = (r) => best && r.backbone === best.backbone && r.audio_seconds === best.audio_seconds && r.reduction === best.reduction && r.engine === best.engine && r.precision === best.precision;
  return table(columns, rows, { sortable: true, sort: "error", chosen, label: "All configurations" });
}

// What too few runs for a law measured, best first, and the run to make next.
export function measured(found) {
  const { best, options, next } = found;
  const said = best
    ? el("p", { class: "sentence", id: "sentence" }, configWords(best.config), " made ", el("span", { class: "figure" }, `${percent(best.error)} errors`), `, measured in run ${best.run_ids.join(", ")}.`)
    : el("p", { class: "sentence", id: "sentence" }, "Nothing that was run meets these limits.");
  const columns = [
    { title: "", show: (r) => el("span", { class: `tag ${r.feasible ? "next" : "over"}` }, r.feasible ? "fits" : "over the limit") },
    { title: "configuration", wide: true, show: (r) => r.label },
    { title: "error", num: true, show: (r) => percent(r.error, 2) },
    ...Object.keys(COSTS).filter((n) => n in options[0].costs).map((n) => ({ title: COSTS[n].name, num: true, show: (r) => COSTS[n].show(r.costs[n].value) })),
  ];
  return [said, el("p", { class: "sure" }, `${found.message}.`), table(columns, options, { label: "What was measured" }),
    next ? el("p", {}, strong("Run next: "), `${next.label} (${next.why}).`) : null];
}

export function whatIf(found, answer, onClose) {
  const p = found.prediction;
  const gap = answer ? p.error - answer.best.prediction.error : null;
  const compared = gap === null || Math.abs(gap) < 5e-7 ? "" : ` That is ${points(gap)} ${gap > 0 ? "more" : "fewer"} than the recommendation.`;
  const limits = Object.keys(found.query.limits);
  const meets = limits.length ? ` It ${likely("meets", found.joint_probability, limits.length > 1 ? " all limits" : " the limit")}.` : "";
  const ran = p.measured_error === null ? `It was never run (${p.kind}).` : `It was run: ${percent(p.measured_error, 2)} measured.`;
  return el("div", { class: "whatif", id: "whatif-card" },
    el("div", { class: "head" }, el("p", {}, "What if: ", configWords(found.config), " makes ",
      strong(percentOf(p.error, p.low, p.high)), ` [${percent(p.low, 2)}, ${percent(p.high, 2)}].${compared}${meets} ${ran}`),
    el("button", { type: "button", onclick: onClose, "aria-label": "Close what if" }, "Close")),
    bars(found, found.query));
}
