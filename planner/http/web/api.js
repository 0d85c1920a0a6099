// Talking to the service. A problem (RFC 9457) becomes an Error with the problem in it.

export class Problem extends Error {
  constructor(problem) {
    super(problem.detail ?? problem.title ?? "the request failed");
    this.problem = problem;
    this.status = problem.status ?? 0;
  }
}

export async function ask(path, params = {}, options = {}) {
  const query = new URLSearchParams(Object.entries(params).filter(([, v]) => v !== null && v !== undefined && v !== ""));
  const url = query.size ? `${path}?${query}` : path;
  return request(url, { signal: options.signal });
}

export function post(path, body) {
  return request(path, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
}

async function request(url, init) {
  const headers = { Accept: "application/json", ...init.headers };
  const token = sessionStorage.getItem("token");
  if (token) headers.Authorization = `Bearer ${token}`;
  let answer;
  try {
    answer = await fetch(url, { ...init, headers, credentials: "omit", redirect: "error" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ status: 0, title: "no answer", detail: "the service does not answer" });
  }
  if (answer.status === 401 && (await askForToken())) return request(url, init);
  const kind = answer.headers.get("content-type") ?? "";
  const body = kind.includes("json") ? await answer.json() : await answer.text();
  if (!answer.ok) throw new Problem(typeof body === "object" ? body : { status: answer.status, detail: body });
  return body;
}

let asking = null;

// One dialog however many requests were refused; the token stays in this tab.
function askForToken() {
  asking ??= new Promise((resolve) => {
    const dialog = document.createElement("dialog");
    const form = Object.assign(document.createElement("form"), { method: "dialog" });
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), { type: "password", required: true, name: "token", autocomplete: "off" });
    const button = Object.assign(document.createElement("button"), { className: "primary", textContent: "Use this token" });
    label.className = "field";
    label.append("This service asks for a token (soundscale tokens add makes one). It is kept until this tab closes.", input);
    form.append(label, button);
    dialog.append(form);
    document.body.append(dialog);
    dialog.addEventListener("close", () => {
      if (input.value) sessionStorage.setItem("token", input.value.trim());
      dialog.remove();
      asking = null;
      resolve(Boolean(input.value));
    });
    dialog.showModal();
  });
  return asking;
}

// Only the latest of many quick questions matters: at most one is under way, the next waits.
export function latest(work) {
  let running = false;
  let waiting = null;
  return async function next(...given) {
    if (running) {
      waiting = given;
      return;
    }
    running = true;
    try {
      await work(...given);
    } finally {
      running = false;
      if (waiting) {
        const again = waiting;
        waiting = null;
        next(...again);
      }
    }
  };
}
