// Quantities for people, the same as the command prints them, and back from what people type.

const GAP = "\u00a0"; // a number and its unit stay on one line
const SI = [[1e18, "E"], [1e15, "P"], [1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]];
const BINARY = [[2 ** 40, "Ti"], [2 ** 30, "Gi"], [2 ** 20, "Mi"], [2 ** 10, "Ki"]];

const digits = (value, n) => String(Number(value.toPrecision(n)));

function scaled(value, steps, unit, n) {
  for (const [size, prefix] of steps) if (value >= size) return `${digits(value / size, n)}${GAP}${prefix}${unit}`;
  return `${digits(value, n)}${GAP}${unit}`.trim();
}

function milliseconds(value, n) {
  if (value >= 60_000) return `${digits(value / 60_000, n)}${GAP}min`;
  return value >= 1000 ? `${digits(value / 1000, n)}${GAP}s` : `${digits(value, n)}${GAP}ms`;
}

export const COSTS = {
  flops: {
    name: "FLOPs", short: "flops",
    show: (v, n = 3) => scaled(v, SI, "FLOPs", n),
    // One letter in a narrow field and in the URL.
    terse: (v) => scaled(v, SI, "", 3).replace(GAP, ""),
    read: (t) => readWith(t.replace(/flops?$/i, ""), { "": 1, k: 1e3, K: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15 }),
  },
  latency_ms: {
    name: "latency", short: "latency",
    show: (v, n = 3) => milliseconds(v, n),
    terse: (v) => milliseconds(v, 3).replace(GAP, ""),
    read: (t) => readWith(t, { "": 1, ms: 1, s: 1e3, min: 6e4 }),
  },
  memory_bytes: {
    name: "memory", short: "memory",
    show: (v, n = 3) => scaled(v, BINARY, "B", n),
    terse: (v) => scaled(v, BINARY, "B", 3).replace(GAP, ""),
    read: (t) => readWith(t.replace(/B$/, ""), {
      "": 1, k: 1e3, M: 1e6, G: 1e9, Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, Ti: 2 ** 40,
    }),
  },
  train_flops: {
    name: "training FLOPs", short: "train-flops", later: true, asked: true, // a field of its own where the address asks
    show: (v, n = 3) => (v <= 1 ? "none" : scaled(v, SI, "FLOPs", n)),
    terse: (v) => scaled(v, SI, "", 3).replace(GAP, ""),
    read: (t) => COSTS.flops.read(t),
  },
  train_hours: {
    name: "training audio", short: "train-hours", later: true,
    show: (v, n = 3) => `${digits(v, n)}${GAP}h`,
    terse: (v) => digits(v, 3),
    read: (t) => readWith(t, { "": 1, h: 1 }),
  },
  // What deployment costs: there where a price or an engine is asked for (`later`).
  real_time_factor: {
    // Seconds of compute a second of audio; people ask for the other way round (`--rtfx`), at least so many.
    name: "speed", short: "rtfx", field: "rtfx", later: true, inverse: true,
    show: (v, n = 3) => `${digits(1 / v, n)}x real time`,
    terse: (v) => digits(1 / v, 3),
    read: (t) => {
      const value = readWith(t.replace(/\s*x( real time)?$/i, ""), { "": 1 });
      return value === null ? null : 1 / value;
    },
  },
  cost_per_1000h: {
    name: "money for 1,000 h", short: "cost-per-1000h", later: true,
    show: (v, n = 3) => digits(v, n),
    terse: (v) => digits(v, 3),
    read: (t) => readWith(t, { "": 1 }),
  },
  energy_j_per_hour: {
    name: "energy of an hour", short: "energy", later: true,
    show: (v, n = 3) => scaled(v, SI, "J", n),
    terse: (v) => digits(v, 3),
    read: (t) => readWith(t, { "": 1, J: 1, kJ: 1e3, MJ: 1e6, Wh: 3.6e3, kWh: 3.6e6 }),
  },
  size_bytes: {
    name: "model size", short: "size", later: true,
    show: (v, n = 3) => scaled(v, BINARY, "B", n),
    terse: (v) => scaled(v, BINARY, "B", 3).replace(GAP, ""),
    read: (t) => COSTS.memory_bytes.read(t),
  },
};

// The field of a question that limits a cost, and a cost's value in the unit of that field.
export const fieldOf = (cost) => COSTS[cost].field ?? cost;
export const inField = (cost, value) => (COSTS[cost].field ? 1 / value : value);

function readWith(text, units) {
  const found = /^\s*(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)\s*([a-zA-Z]*)\s*$/.exec(text);
  if (!found || !(found[2] in units)) return null;
  const value = Number(found[1]) * units[found[2]];
  return Number.isFinite(value) && value > 0 ? value : null;
}

export const percent = (value, n = 1) => `${(100 * value).toFixed(n)}${GAP}%`;

// As many decimals as the interval makes worth reading, at least one.
export function percentOf(value, low, high) {
  const width = 100 * (high - low);
  return percent(value, width > 0 && width < 0.3 ? 2 : 1);
}

export function points(error) {
  const value = Math.abs(100 * error);
  return value > 0 && value < 0.01 ? "less than 0.01 points" : `${digits(value, 2)} points`;
}

export const TASKS = { asr: "speech", emotion: "emotion" };
export const METRICS = { wer: "word errors", cer: "character errors", error: "errors", unweighted_error: "errors in emotion (1 − mean recall)", macro_f1_error: "errors in emotion (1 − macro-F1)" };
export const metricWord = (metric) => METRICS[metric] ?? `${metric} errors`;

// `never meets all limits`, `certainly met`, `met with probability 0.98`.
export function likely(verb, p, object = "") {
  if (p >= 0.9995) return `certainly ${verb}${object}`;
  if (p <= 0.0005) return `never ${verb}${object}`;
  return `${verb}${object} with probability ${Math.min(Math.max(p, 0.01), 0.99).toFixed(2)}`;
}

// `2026-11-24 12:00` of a UTC time stamp.
export const when = (utc) => (utc ? utc.slice(0, 16).replace("T", " ") : "–");
