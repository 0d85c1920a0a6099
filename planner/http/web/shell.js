// What every page has: the bar, the theme, the footer and the banner for trouble.
import { ask } from "./api.js";
import { byId, el, fill } from "./dom.js";

const PAGES = [["/", "Plan"], ["/runs", "Runs"], ["/fits", "Fits"], ["/sweeps", "Sweeps"], ["/studies", "Studies"], ["/sql", "SQL"]];

export function shell() {
  const here = location.pathname;
  fill(byId("bar"),
    el("a", { class: "name", href: "/" }, el("img", { src: "/static/favicon.svg", alt: "" }), "Soundscale"),
    el("nav", { "aria-label": "Pages" }, PAGES.map(([path, name]) =>
      el("a", { href: path, "aria-current": path === here ? "page" : null }, name))),
    el("span", { class: "where", id: "where" }),
    el("button", { class: "theme", type: "button", id: "theme", onclick: turn }, ""));
  showTheme();
}

export const dark = () => {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};

function turn() {
  const next = dark() ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  localStorage.setItem("theme", next);
  showTheme();
  dispatchEvent(new Event("themechange"));
}

function showTheme() {
  const button = byId("theme");
  button.textContent = dark() ? "Light" : "Dark";
  button.setAttribute("aria-label", `Switch to the ${dark() ? "light" : "dark"} theme`);
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  showTheme();
  dispatchEvent(new Event("themechange"));
});

export async function overview() {
  const found = await ask("/v1/overview");
  const where = byId("where");
  where.textContent = found.database.split("/").pop();
  where.title = found.database;
  const foot = byId("foot");
  if (foot) {
    fill(foot, `Soundscale ${found.version} · ${found.n_runs} runs · `,
      el("a", { href: "/openapi.json" }, "API"), " · charts by Vega-Lite (",
      el("a", { href: "/static/vendor/LICENSES.txt" }, "licences"), ")");
  }
  return found;
}

export function banner(message, retry) {
  const node = byId("banner");
  node.hidden = !message;
  if (message) fill(node, message, retry ? el("button", { type: "button", onclick: retry }, "Try again") : null);
}

export function trouble(title, detail, commands = [], more = []) {
  return el("div", { class: "trouble" }, el("h2", {}, title), detail ? el("p", {}, detail) : null,
    commands.length ? el("pre", {}, commands.join("\n")) : null, ...more);
}
