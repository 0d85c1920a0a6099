// The question as it stands in the address: whatever is shown can be linked.
import { COSTS } from "./format.js";

export const LIMITS = ["flops", "latency_ms", "memory_bytes"];
const WORDS = ["task", "device", "source", "dataset", "adaptation", "quantile", "convention", "per"];
const DEFAULTS = { quantile: "p95", convention: "exact", per: "utterance" };
const X = { flops: "flops", latency: "latency_ms", memory: "memory_bytes" };

export function readState(search) {
  const given = new URLSearchParams(search);
  const state = { x: X[given.get("x")] ?? "flops", pick: readPick(given.get("pick")), min_prob: 0.9 };
  for (const name of WORDS) state[name] = given.get(name) || DEFAULTS[name] || null;
  for (const name of LIMITS) state[name] = given.has(name) ? COSTS[name].read(given.get(name)) : null;
  const p = Number(given.get("min_prob"));
  if (p >= 0.5 && p <= 0.999) state.min_prob = p;
  state.measured_only = given.get("measured_only") === "true";
  state.accept_status = given.get("accept_status") === "true";
  return state;
}

function readPick(text) {
  const [backbone, seconds, reduction] = (text ?? "").split("|");
  const audio_seconds = Number(seconds);
  return backbone && audio_seconds > 0 ? { backbone, audio_seconds, reduction: reduction || "none" } : null;
}

// The question without its limits: what the candidates depend on.
export function study(state) {
  const out = {};
  for (const name of WORDS) if (state[name] && state[name] !== DEFAULTS[name]) out[name] = state[name];
  if (state.measured_only) out.measured_only = "true";
  if (state.accept_status) out.accept_status = "true";
  return out;
}

export function question(state) {
  const out = study(state);
  for (const name of LIMITS) if (state[name] !== null) out[name] = COSTS[name].terse(state[name]);
  if (state.min_prob !== 0.9) out.min_prob = String(state.min_prob);
  return out;
}

export function address(state) {
  const query = new URLSearchParams(question(state));
  if (state.x !== "flops") query.set("x", COSTS[state.x].short);
  if (state.pick) query.set("pick", [state.pick.backbone, state.pick.audio_seconds, state.pick.reduction].join("|"));
  return `${location.pathname}?${query}`;
}

// The same question as JSON, with numbers, for a POST.
export function body(state) {
  const out = { ...study(state), min_prob: state.min_prob };
  for (const name of LIMITS) if (state[name] !== null) out[name] = COSTS[name].read(COSTS[name].terse(state[name]));
  for (const name of ["measured_only", "accept_status"]) if (name in out) out[name] = true;
  return out;
}
