// One SELECT, its rows as a table, and the same rows as CSV or JSON.
import { post, Problem } from "./api.js";
import { byId, el, fill, table } from "./dom.js";
import { banner, overview, shell, trouble } from "./shell.js";

const EXAMPLES = [
  ["The ten best runs", "SELECT run_id, backbone, audio_seconds, tokens_per_second, error, std_error\nFROM v_results\nWHERE status = 'finished'\nORDER BY error\nLIMIT 10"],
  ["What each axis does", "SELECT backbone, audio_seconds, tokens_per_second, avg(error) AS mean_error, count(*) AS n_runs\nFROM v_results\nWHERE status = 'finished'\nGROUP BY backbone, audio_seconds, tokens_per_second\nORDER BY backbone, audio_seconds, tokens_per_second"],
  ["Error against latency: who is beaten by nobody", "SELECT backbone, audio_seconds, reduction, latency_device, latency_p50_ms, error\nFROM v_frontier\nORDER BY latency_p50_ms"],
  ["Where time and memory go", "SELECT backbone, audio_seconds, reduction, p50_ms, p95_ms, peak_memory_bytes\nFROM v_costs\nWHERE p50_ms IS NOT NULL\nORDER BY p50_ms"],
  ["The utterances that are heard worst", "SELECT utterance_id, reference, hypothesis, n_errors, n_units\nFROM v_utterances\nWHERE n_errors > 0\nORDER BY 1.0 * n_errors / n_units DESC\nLIMIT 20"],
  ["Why runs failed", "SELECT failure_class, count(*) AS n, min(failure_text) AS for_example\nFROM runs\nWHERE status = 'failed'\nGROUP BY failure_class\nORDER BY n DESC"],
];

const TITLES = {
  400: "This statement cannot be run", 403: "This statement is not allowed here", 408: "It took too long", 409: "This statement cannot be run",
  422: "This is not one SELECT on the tables and views", 429: "Too many statements at once", 503: "The database does not answer",
};

const text = byId("sql");
let shown = null;

async function run() {
  const sql = text.value.trim();
  if (!sql) return;
  history.replaceState(null, "", `/sql?${new URLSearchParams({ sql })}`);
  byId("run").disabled = true;
  byId("said").textContent = "running…";
  try {
    shown = await post("/v1/sql", { sql });
    banner(null);
    draw();
  } catch (error) {
    shown = null;
    byId("said").textContent = "";
    if (error instanceof Problem && error.status > 0) fill(byId("result"), trouble(TITLES[error.status] ?? "The statement failed", error.message));
    else banner("The service does not answer. Is soundscale serve still running?", run);
  }
  byId("run").disabled = false;
}

function draw() {
  const more = shown.truncated ? "; more are left out" : "";
  byId("said").textContent = `${shown.rows.length} rows in ${shown.elapsed_ms.toFixed(1)} ms${more}`;
  if (!shown.rows.length) return fill(byId("result"), el("p", { class: "soft" }, "No row."));
  const isNumber = shown.columns.map((_, i) => shown.rows.every((r) => r[i] === null || typeof r[i] === "number"));
  const columns = shown.columns.map((title, i) => ({ key: String(i), title, num: isNumber[i] }));
  const rows = shown.rows.map((r) => Object.fromEntries(r.map((v, i) => [String(i), v])));
  return fill(byId("result"), table(columns, rows, { sortable: true, label: "Rows" }));
}

function save(kind, content) {
  const link = el("a", { download: `soundscale.${kind}` });
  link.href = URL.createObjectURL(new Blob([content], { type: kind === "csv" ? "text/csv" : "application/json" }));
  link.click();
  URL.revokeObjectURL(link.href);
}

// A cell that begins like a formula must not become one in a spreadsheet.
function csvCell(value) {
  if (value === null) return "";
  if (typeof value === "number") return String(value);
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

async function download(kind) {
  if (!shown) await run();
  if (!shown) return;
  if (kind === "csv") save("csv", [shown.columns, ...shown.rows].map((r) => r.map(csvCell).join(",")).join("\n") + "\n");
  else save("json", JSON.stringify(shown.rows.map((r) => Object.fromEntries(shown.columns.map((c, i) => [c, r[i]]))), null, 2));
}

shell();
fill(byId("examples"), el("option", { value: "" }, "choose one"), EXAMPLES.map(([name], i) => el("option", { value: i }, name)));
byId("examples").addEventListener("change", (event) => {
  if (event.target.value === "") return;
  text.value = EXAMPLES[Number(event.target.value)][1];
  run();
});
byId("run").addEventListener("click", run);
byId("csv").addEventListener("click", () => download("csv"));
byId("json").addEventListener("click", () => download("json"));
text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run();
});
text.addEventListener("input", () => {
  shown = null;
});
text.value = new URLSearchParams(location.search).get("sql") ?? EXAMPLES[0][1];
// The views with their columns, asked of the database when one is opened; a click puts a name into the statement.
const VIEWS = ["v_results", "v_costs", "v_utterances", "v_frontier", "v_axes", "v_engines", "v_planned_vs_actual"];

function schema() {
  const put = (word) => el("button", { type: "button", class: "link", onclick: () => insert(word) }, word);
  fill(byId("schema"), VIEWS.map((name) => {
    const told = el("p", { class: "columns" });
    const open = async () => {
      if (told.childElementCount) return;
      try {
        const { columns } = await post("/v1/sql", { sql: `SELECT * FROM ${name} LIMIT 0` });
        fill(told, put(name), columns.map((c) => [" · ", put(c)]));
      } catch (error) {
        told.textContent = error.message;
      }
    };
    return el("details", { class: "more", ontoggle: (e) => e.target.open && open() }, el("summary", {}, name), told);
  }));
}

function insert(word) {
  text.setRangeText(word, text.selectionStart, text.selectionEnd, "end");
  shown = null;
  text.focus();
}

schema();
overview().then(run).catch((error) => {
  if (error instanceof Problem && error.status > 0) fill(byId("result"), trouble("No answer", error.message));
  else banner("The service does not answer. Is soundscale serve still running?", () => location.reload());
});
