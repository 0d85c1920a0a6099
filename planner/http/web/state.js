// The question as it stands in the address: whatever is shown can be linked.
import { COSTS, fieldOf, inField } from "./format.js";
import { FIELDS } from "./question.js";

// The costs that can be limited, each under its own name; `fieldOf` tells the question's.
export const LIMITS = Object.keys(COSTS).filter((name) => FIELDS[fieldOf(name)]?.limit);
// A price and a power are their texts, as they may have units.
const WORDS = Object.keys(FIELDS).filter((name) => ["name", "choice", "price", "power"].includes(FIELDS[name].kind));
// Of the numbers, the one that the page asks for: seconds of an utterance.
WORDS.push("utterance_seconds");
const FLAGS = ["measured_only", "accept_status"];
const SURE = FIELDS.min_prob;
const OWN = ["x", "pick", "min_prob", ...WORDS, ...FLAGS];
const X = Object.fromEntries(Object.keys(COSTS).map((name) => [COSTS[name].short, name]));

export function readState(search) {
  const given = new URLSearchParams(search);
  const state = { x: X[given.get("x")] ?? "flops", pick: readPick(given.get("pick")), min_prob: SURE.default };
  for (const name of WORDS) state[name] = given.get(name) || FIELDS[name].default;
  for (const name of LIMITS) state[name] = given.has(fieldOf(name)) ? readLimit(name, given.get(fieldOf(name))) : null;
  const p = Number(given.get("min_prob"));
  if (within(SURE, p)) state.min_prob = p;
  for (const name of FLAGS) state[name] = given.get(name) === "true";
  // What the page has no field for, or cannot read, is asked as it stands: the service takes it, or says what is
  // wrong with it. Left out, another question than the address says would be answered.
  state.raw = {};
  const limits = LIMITS.map(fieldOf);
  for (const [name, text] of given) {
    const unread = limits.includes(name) ? state[LIMITS[limits.indexOf(name)]] === null : name === "min_prob" && !within(SURE, p);
    if (unread || !(OWN.includes(name) || limits.includes(name))) state.raw[name] = text;
  }
  return state;
}

// What of the raw parameters is a limit: it goes where limits go. The rest is of the study.
const rawOf = (state, limits) => Object.fromEntries(
  Object.entries(state.raw).filter(([name]) => Boolean(FIELDS[name]?.limit) === limits));

export const isLimited = (state) => LIMITS.some((name) => state[name] !== null) || Object.keys(rawOf(state, true)).length > 0;

const within = (field, value) => value >= field.low && value <= field.high;

// A limit in its base unit; null where the text is none, or outside the range.
export function readLimit(name, text) {
  const value = COSTS[name].read(text);
  return value !== null && within(FIELDS[fieldOf(name)], inField(name, value)) ? value : null;
}

function readPick(text) {
  const [backbone, seconds, reduction] = (text ?? "").split("|");
  const audio_seconds = Number(seconds);
  return backbone && audio_seconds > 0 ? { backbone, audio_seconds, reduction: reduction || "none" } : null;
}

// The question without its limits: what the candidates depend on.
export function study(state) {
  const out = {};
  for (const name of WORDS) if (state[name] && state[name] !== FIELDS[name].default) out[name] = state[name];
  for (const name of FLAGS) if (state[name]) out[name] = "true";
  return { ...out, ...rawOf(state, false) };
}

export function question(state) {
  const out = study(state);
  for (const name of LIMITS) if (state[name] !== null) out[fieldOf(name)] = COSTS[name].terse(state[name]);
  if (state.min_prob !== SURE.default) out.min_prob = String(state.min_prob);
  return { ...out, ...rawOf(state, true) };
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
  for (const name of LIMITS) {
    if (state[name] !== null) out[fieldOf(name)] = inField(name, COSTS[name].read(COSTS[name].terse(state[name])));
  }
  for (const name of FLAGS) if (name in out) out[name] = true;
  for (const name of Object.keys(state.raw)) {
    if (FIELDS[name]?.kind === "flag") out[name] = out[name] === "true";
    else if (FIELDS[name]?.kind === "number") out[name] = Number(out[name]);
  }
  if (out.price) out.price = parseFloat(out.price) / (out.price.endsWith("/day") ? 24 : 1);
  if (out.utterance_seconds) out.utterance_seconds = Number(out.utterance_seconds);
  if (out.power_watts) out.power_watts = parseFloat(out.power_watts) * (out.power_watts.includes("k") ? 1000 : 1);
  return out;
}
