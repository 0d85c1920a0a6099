// Elements without markup: text never becomes HTML, so nothing that is stored can run.

export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.className = value;
    else if (name === "dataset") Object.assign(node.dataset, value);
    else if (value === true) node.setAttribute(name, "");
    else node.setAttribute(name, String(value));
  }
  node.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return node;
}

export function fill(node, ...children) {
  node.replaceChildren(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
}

export const byId = (id) => document.getElementById(id);

// Columns: {key, title, num, show(row)}. Rows may be clicked; a click on a heading sorts, then `drawn` is called.
export function table(columns, rows, options = {}) {
  let sorted = options.sort ?? null;
  let rising = options.rising ?? true;
  const body = el("tbody");
  const heads = columns.map((c) =>
    el("th", { scope: "col", class: c.num ? "num" : null },
      c.key && options.sortable ? el("button", { type: "button", onclick: () => order(c) }, c.title) : c.title));
  const node = el("table", {}, el("thead", {}, el("tr", {}, heads)), body);

  function order(column) {
    rising = sorted === column.key ? !rising : true;
    sorted = column.key;
    draw();
  }

  function draw() {
    const shown = sorted === null ? rows : [...rows].sort((a, b) => {
      const [p, q] = [a[sorted], b[sorted]];
      if (p === q) return 0;
      if (p === null || p === undefined) return 1;
      if (q === null || q === undefined) return -1;
      return (p < q ? -1 : 1) * (rising ? 1 : -1);
    });
    heads.forEach((head, i) => {
      if (columns[i].key && columns[i].key === sorted) {
        head.setAttribute("aria-sort", rising ? "ascending" : "descending");
      } else head.removeAttribute("aria-sort");
    });
    fill(body, shown.map((row) => el("tr", { class: options.chosen?.(row) ? "chosen" : null },
      columns.map((c) => el("td", { class: c.num ? "num" : c.wide ? "wide" : null }, c.show ? c.show(row) : cell(row[c.key]))))));
    options.drawn?.();
  }

  draw();
  return el("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": options.label ?? "table" }, node);
}

export function cell(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "number") {
    if (!Number.isInteger(value)) return String(Number(value.toPrecision(4)));
    return Math.abs(value) >= 10_000 ? value.toLocaleString("en") : String(value);
  }
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
