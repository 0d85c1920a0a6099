// The left side: task, device, limits on logarithmic sliders with fields that take units.
import { byId, el, fill } from "./dom.js";
import { COSTS, fieldOf, inField, TASKS } from "./format.js";
import { FIELDS } from "./question.js";
import { LIMITS, readLimit } from "./state.js";

const STEPS = 400;

// `changed(kind)`: "limits" for what moves the choice, "study" for what changes the candidates.
export function controls(state, changed) {
  const rows = Object.fromEntries(LIMITS.map((name) => [name, limitRow(name)]));
  fill(byId("limits"), LIMITS.map((name) => rows[name].node));

  function limitRow(name) {
    const cost = COSTS[name];
    const field = el("input", { type: "text", id: `limit-${cost.short}`, inputmode: "text", placeholder: "no limit", title: FIELDS[fieldOf(name)].help, "aria-describedby": `wrong-${cost.short}`, spellcheck: "false" });
    const slider = el("input", { type: "range", min: 0, max: STEPS + 1, step: 1, id: `slider-${cost.short}`, "aria-label": `${cost.name} limit` });
    const wrong = el("span", { class: "wrong", id: `wrong-${cost.short}`, hidden: true });
    const scale = el("div", { class: "scale", "aria-hidden": "true" }, el("span"), el("span"), el("span"));
    const node = el("div", { class: "limit" },
      el("div", { class: "limit-head" }, el("label", { for: field.id }, cost.name), field), slider, wrong, scale);
    const row = { node, field, slider, wrong, scale, range: null };
    slider.addEventListener("input", () => {
      state[name] = fromSlider(row, Number(slider.value));
      delete state.raw[fieldOf(name)];
      say(row, name, true);
      changed("limits");
    });
    field.addEventListener("change", () => typed(row, name));
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter") typed(row, name);
    });
    return row;
  }

  function typed(row, name) {
    const text = row.field.value.trim();
    const value = text === "" ? null : readLimit(name, text);
    const bad = text !== "" && value === null;
    row.field.setAttribute("aria-invalid", String(bad));
    row.wrong.hidden = !bad;
    row.wrong.textContent = bad ? refusal(name, text) : "";
    if (bad || (value === state[name] && !(fieldOf(name) in state.raw))) return;
    state[name] = value;
    delete state.raw[fieldOf(name)];
    say(row, name, false);
    changed("limits");
  }

  function refusal(name, text) {
    const { low, high, example } = FIELDS[fieldOf(name)];
    const show = (value) => COSTS[name].show(inField(name, value));
    if (COSTS[name].read(text) === null) return `not a quantity; e.g. ${example}`;
    return `must lie between ${show(low)} and ${show(high)}`;
  }

  function fromSlider(row, step) {
    if (step > STEPS || !row.range) return null;
    const [low, high] = row.range.map(Math.log);
    const value = Math.exp(low + ((high - low) * step) / STEPS);
    return Number(value.toPrecision(3));
  }

  function say(row, name, fromSlide) {
    const value = state[name];
    row.node.classList.toggle("none", value === null);
    row.field.value = value === null ? "" : COSTS[name].terse(value);
    row.field.setAttribute("aria-invalid", "false");
    row.wrong.hidden = true;
    row.slider.setAttribute("aria-valuetext", value === null ? "no limit" : COSTS[name].show(value));
    if (fromSlide || !row.range) return;
    const [low, high] = row.range.map(Math.log);
    const place = value === null ? STEPS + 1 : Math.round((STEPS * (Math.log(value) - low)) / (high - low));
    row.slider.value = String(Math.min(Math.max(place, 0), value === null ? STEPS + 1 : STEPS));
  }

  const select = (id, name, kind) => {
    const node = byId(id);
    node.addEventListener("change", () => {
      state[name] = node.value.trim() || null;
      changed(kind);
    });
    return node;
  };
  const task = select("task", "task", "study");
  const device = select("device", "device", "study");
  const plain = [["source", "source"], ["per", "per"], ["quantile", "quantile"], ["convention", "convention"]]
    .map(([id, name]) => [select(id, name, "study"), name]);
  for (const [node, name] of plain) {
    const choices = Object.entries(FIELDS[name].choices).map(([value, words]) => el("option", { value }, words));
    fill(node, FIELDS[name].default === null ? el("option", { value: "" }, "the best evidence there is") : null, choices);
  }
  const words = ["engine", "precision", "utterance_seconds", "price", "power_watts", "test_set", "keep"].map((name) => [select(name.replace("_", "-"), name, "study"), name]);
  for (const [node, name] of words) node.placeholder = `e.g. ${FIELDS[name].example}`;
  // What a form calls a field, and what it is: from the description.
  for (const label of document.querySelectorAll("#question [data-field]")) {
    const field = FIELDS[label.dataset.field];
    label.prepend(label.dataset.after === undefined ? `${field.title} ` : "");
    if (label.dataset.after !== undefined) label.append(` ${field.title}`);
    label.title = field.help;
  }
  const measured = byId("measured-only");
  measured.addEventListener("change", () => {
    state.measured_only = measured.checked;
    changed("study");
  });
  const sure = byId("min-prob");
  sure.addEventListener("input", () => {
    state.min_prob = Number(sure.value);
    delete state.raw.min_prob;
    showSure();
    changed("limits");
  });
  const showSure = () => {
    const text = `P ≥ ${state.min_prob.toFixed(2)}`;
    byId("min-prob-shown").value = text;
    sure.setAttribute("aria-valuetext", text);
  };
  byId("question").addEventListener("submit", (event) => event.preventDefault());

  return {
    // What the database offers.
    offer(overview) {
      fill(task, overview.tasks.map((t) => el("option", { value: t.task }, `${TASKS[t.task] ?? t.task} (${t.n_finished} runs)`)));
      fill(device, overview.devices.length === 1 ? null : el("option", { value: "" }, overview.devices.length ? "choose one" : "none measured"),
        overview.devices.map((d) => el("option", { value: d.name }, d.name)),
        el("optgroup", { label: "from data sheets, wide intervals" }, overview.data_sheets.map((name) => el("option", { value: name }, name))));
      const known = new Set(overview.tasks.flatMap((t) => t.studies.map((s) => s.provenance)));
      for (const option of byId("source").options) option.disabled = option.value !== "" && !known.has(option.value);
    },
    // The ends of the sliders: a little beyond the cheapest and the dearest candidate.
    ranges(sheet) {
      for (const name of LIMITS) {
        const costs = sheet.items.map((r) => r.costs[name]).filter((v) => v > 0);
        const row = rows[name];
        row.range = costs.length ? [Math.min(...costs) / 1.3, Math.max(...costs) * 1.3] : null;
        row.slider.disabled = row.field.disabled = !row.range;
        row.node.hidden = Boolean(COSTS[name].later) && (!row.range || (Boolean(COSTS[name].asked) && state[name] === null));
        const [left, middle, right] = row.scale.children;
        left.textContent = row.range ? COSTS[name].show(row.range[0], 2) : sheet.unknown?.[name] ?? (name === "latency_ms" ? "no device with measurements" : "not known");
        middle.textContent = row.range ? COSTS[name].show(Math.sqrt(row.range[0] * row.range[1]), 2) : "";
        right.textContent = row.range ? "no limit" : "";
      }
    },
    show() {
      for (const name of LIMITS) say(rows[name], name, false);
      if (state.task) task.value = state.task;
      device.value = state.device ?? device.options[0]?.value ?? "";
      for (const [node, name] of [...plain, ...words]) node.value = state[name] ?? "";
      measured.checked = state.measured_only;
      sure.value = String(state.min_prob);
      showSure();
    },
    binding(names) {
      for (const name of LIMITS) rows[name].node.classList.toggle("binding", names.includes(name));
    },
  };
}
