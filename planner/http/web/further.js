// Two further questions: the least of a cost for an error, and which runs to do next.
import { ask } from "./api.js";
import { table, el, fill } from "./dom.js";
import { COSTS, percent, points } from "./format.js";
import { question, study } from "./state.js";

const asked = { error: "", minimise: "flops", hours: "2" };

let of = ""; // the question that the answers below are to

export function further(node, state) {
  const now = JSON.stringify(question(state));
  if (!node.childElementCount) fill(node, target(state), next(state)); // what is being typed stays
  else if (now !== of) for (const said of node.querySelectorAll("[role=status]")) fill(said);
  of = now;
}

function form(summary, fields, button, answer) {
  const said = el("div", { role: "status" });
  const send = async (event) => {
    event.preventDefault();
    said.textContent = "asking…";
    try {
      fill(said, await answer());
    } catch (error) {
      said.textContent = error.message;
    }
  };
  return el("details", { class: "more" }, el("summary", {}, summary),
    el("form", { class: "filters", onsubmit: send }, fields, el("button", { type: "submit" }, button)), said);
}

function target(state) {
  const error = el("input", { type: "text", required: true, placeholder: "e.g. 8%", value: asked.error, onchange: (e) => { asked.error = e.target.value; } });
  const costs = ["flops", "latency_ms", "memory_bytes"];
  const least = el("select", { onchange: (e) => { asked.minimise = e.target.value; } }, costs.map((name) => el("option", { value: COSTS[name].short }, COSTS[name].name)));
  return form("The least that buys an error", [el("label", { class: "field" }, "Error at most", error), el("label", { class: "field" }, "Least", least)], "Ask", async () => {
    const found = await ask("/v1/plan/target", { ...question(state), error: asked.error, minimise: asked.minimise });
    const { best } = found;
    return [el("p", {}, el("strong", {}, best.label), `: ${percent(best.prediction.error, 2)}, at most ${asked.error} with probability ${best.p_error.toFixed(2)}.`),
      el("ul", { class: "why" }, found.reasons.map((r) => el("li", {}, r)))];
  });
}

function next(state) {
  const hours = el("input", { type: "text", value: asked.hours, inputmode: "decimal", onchange: (e) => { asked.hours = e.target.value; } });
  return form("Which runs to do next", [el("label", { class: "field" }, "Hours of one worker", hours)], "Ask", async () => {
    const found = await ask("/v1/suggest", { ...study(state), ...question(state), hours: asked.hours });
    const columns = [
      { title: "run", wide: true, show: (s) => s.label },
      { title: "worth", num: true, show: (s) => (s.value === null ? "first" : points(s.value)) },
      { title: "takes", num: true, show: (s) => `${Number(s.hours.toPrecision(2))} h` },
      { title: "P(changes the choice)", num: true, show: (s) => (s.p_change === null ? "–" : s.p_change.toFixed(2)) },
    ];
    return [el("p", {}, `${found.verdict}.`), found.suggestions.length ? table(columns, found.suggestions, { label: "Runs to do next" }) : null];
  });
}
