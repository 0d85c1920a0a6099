// Runs side by side on the utterances that they share: verdicts, intervals, and what decides.
import { ask } from "./api.js";
import { el, fill, table } from "./dom.js";
import { percent } from "./format.js";

const CONTEXT = 4; // words that agree shown on either side of a difference
const pText = (p) => (p < 0.001 ? "<0.001" : p.toFixed(3));
const signed = (v) => `${v < 0 ? "−" : "+"}${Math.abs(100 * v).toFixed(2)}`;
const hidden = (text) => el("span", { class: "unseen" }, text);

export async function compare(node, ids, close) {
  node.hidden = false;
  node.setAttribute("aria-busy", "true");
  try {
    show(node, await ask(`/v1/compare?${ids.map((id) => `run=${id}`).join("&")}`), close);
  } finally {
    node.removeAttribute("aria-busy");
  }
}

function show(node, found, close) {
  const first = found.runs[0].run_id;
  const counted = found.metric === "wer" ? `, ${found.n_units} words` : "";
  fill(node,
    el("div", { class: "chart-head" },
      el("h2", {}, `Runs ${found.runs.map((r) => r.run_id).join(", ")} on the same ${found.n_utterances} utterances`),
      el("button", { type: "button", onclick: close }, "Close")),
    el("p", { class: "soft" }, `${found.dataset}, ${found.split}${counted}. Intervals and p are about ${found.scope}.`,
      found.n_broken ? ` ${found.n_broken} utterances that some run could not read are left out.` : "",
      found.normaliser ? ` Texts normalised by ${found.normaliser}.` : ""),
    el("ul", { class: "verdicts" }, found.comparisons.map((c) => el("li", { class: c.told_apart ? "apart" : null }, `${capital(c.verdict)}.`))),
    runsTable(found, first),
    found.comparisons.map((c, i) => details(found, c, i === 0)));
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);

function runsTable(found, first) {
  const by = new Map(found.comparisons.map((c) => [c.run_id, c]));
  const reach = Math.max(1e-6, ...found.comparisons.flatMap((c) => [c.low ?? c.difference, c.high ?? c.difference, c.difference].map(Math.abs)));
  const counts = found.metric === "wer"
    ? [["n_substitutions", "sub"], ["n_insertions", "ins"], ["n_deletions", "del"]] : [["n_errors", "wrong"]];
  const columns = [
    { title: "run", num: true, show: (r) => r.run_id },
    { title: found.metric === "wer" ? "WER" : "error", num: true, show: (r) => percent(r.error, 2) },
    ...counts.map(([key, title]) => ({ title, num: true, show: (r) => r[key] ?? "–" })),
    { title: `points more than run ${first}, ${Math.round(100 * found.level)} % interval`, show: (r) => (by.has(r.run_id) ? interval(by.get(r.run_id), reach) : "–") },
    { title: "p", num: true, show: (r) => (by.has(r.run_id) ? pText(by.get(r.run_id).p) : "–") },
    { title: "p, Holm", num: true, show: (r) => (by.has(r.run_id) ? pText(by.get(r.run_id).p_holm) : "–") },
    { title: "configuration", wide: true, show: (r) => r.label },
  ];
  return table(columns, found.runs, { label: "Runs compared" });
}

// A whisker about zero: left of the line the run errs less than the first.
function interval(c, reach) {
  const text = c.low === null ? signed(c.difference) : `${signed(c.difference)} [${signed(c.low)}, ${signed(c.high)}]`;
  if (c.low === null) return text;
  const at = (v) => 50 + (48 * v) / reach;
  const whisker = el("span", { class: `whisker${c.told_apart ? " apart" : ""}`, "aria-hidden": "true" },
    el("i", { class: "zero" }), el("i", { class: "reach" }), el("i", { class: "dot" }));
  whisker.querySelector(".reach").style.left = `${at(c.low)}%`;
  whisker.querySelector(".reach").style.width = `${at(c.high) - at(c.low)}%`;
  whisker.querySelector(".dot").style.left = `${at(c.difference)}%`;
  return el("span", { class: "with-whisker" }, whisker, text);
}

function details(found, c, open) {
  const names = [`run ${c.against_run_id}`, `run ${c.run_id}`];
  return el("details", { class: "more", open },
    el("summary", {}, `What decides between ${names[0]} and ${names[1]}`),
    c.deciding.length && found.metric === "wer" ? el("p", { class: "soft", "aria-hidden": "true" }, el("del", {}, "said"), " or left out, ", el("ins", {}, "heard"), " or put in") : null,
    c.deciding.length ? el("ol", { class: "deciding" }, c.deciding.map((u) => utterance(u, names)))
      : el("p", { class: "soft" }, "No utterance: both have the same number of errors in each."),
    c.classes ? classes(c, names) : null,
    el("details", { class: "more" }, el("summary", {}, "Other tests of the same difference"), tests(c)));
}

function utterance(u, names) {
  const heard = u.words === null
    ? [line("said", u.reference), line(names[0], u.hypothesis_first), line(names[1], u.hypothesis)]
    : [line(names[0], diff(u.words_first)), line(names[1], diff(u.words))];
  return el("li", {},
    el("p", {}, el("b", {}, u.utterance_id), u.speaker ? ` (${u.speaker})` : "",
      `: ${signed(u.contribution)} points, ${u.n_errors_first} against ${u.n_errors} errors`),
    el("dl", {}, heard));
}

const line = (name, text) => el("div", {}, el("dt", {}, name), el("dd", {}, text));

function diff(words) {
  const wrong = words.flatMap(([kind], i) => (kind === "=" ? [] : [i]));
  if (!wrong.length) return el("span", { class: "soft" }, "no error");
  const out = [];
  words.forEach(([kind, said, heard], i) => {
    if (Math.min(...wrong.map((w) => Math.abs(w - i))) > CONTEXT) {
      if (out.at(-1) !== "… ") out.push("… ");
      return;
    }
    if (kind === "=") out.push(`${said} `);
    else out.push(...[
      said ? el("del", {}, hidden(kind === "s" ? "said " : "left out "), said) : null, said && heard ? " " : null,
      heard ? el("ins", {}, hidden(kind === "s" ? "heard as " : "put in "), heard) : null, " "].filter((x) => x !== null));
  });
  return out;
}

function classes(c, names) {
  const recall = (value, [low, high]) => `${percent(value)} [${percent(low)}, ${percent(high)}]`;
  return table([
    { title: "class", show: (k) => k.label }, { title: "utterances", num: true, show: (k) => k.n },
    { title: `recall, ${names[0]}`, num: true, show: (k) => recall(k.recall_first, k.recall_first_interval) },
    { title: `recall, ${names[1]}`, num: true, show: (k) => recall(k.recall, k.recall_interval) },
    { title: "p", num: true, show: (k) => pText(k.p) },
  ], c.classes, { label: "Recall of each class" });
}

function tests(c) {
  const t = c.tests;
  const m = t.mapsswe;
  const rows = [
    [c.test, c.p, `${c.n_differing} utterances differ`],
    m ? ["MAPSSWE (NIST)", m.p, `${m.n_segments} segments, ${m.z === null ? "no spread" : `z ${m.z.toFixed(3)}`}; ${m.n_utterances_cut} utterances cut by ${m.aligner}`] : null,
    [`bootstrap by ${t.bootstrap.of}`, t.bootstrap.p, `improves in ${percent(t.bootstrap.p_improvement)} of ${t.bootstrap.n_draws} draws`],
    ["sign test", t.sign.p, `${t.sign.n_less} utterances with fewer, ${t.sign.n_more} with more`],
    [`Wilcoxon by ${t.wilcoxon.of}`, t.wilcoxon.p, ""],
    ["McNemar", t.mcnemar.p, `${t.mcnemar.n_only_first} wrong in run ${c.against_run_id} alone, ${t.mcnemar.n_only_second} in run ${c.run_id} alone`],
  ].filter(Boolean);
  return table([
    { title: "test", show: (r) => r[0] }, { title: "p", num: true, show: (r) => pText(r[1]) }, { title: "from", wide: true, show: (r) => r[2] },
  ], rows, { label: "Tests" });
}
