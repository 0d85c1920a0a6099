// An answer as one page to print or to send: no script, no other file.
import { chartSvg } from "./export.js";
import * as show from "./answer.js";
import { el } from "./dom.js";

const STYLE = `body { font: 14px/1.5 system-ui, "DejaVu Sans", sans-serif; color: #1d2228; max-width: 860px; margin: 24px auto; padding: 0 16px; }
h1 { font-size: 16px; } h2 { font-size: 14px; margin: 18px 0 4px; } .sentence { font-size: 19px; margin: 6px 0; } .figure, strong { font-weight: 650; }
table { border-collapse: collapse; width: 100%; font-size: 12.5px; } th, td { text-align: left; padding: 3px 10px 3px 0; border-bottom: 1px solid #ddd; }
td.num, th.num { text-align: right; white-space: nowrap; } ul { padding-left: 18px; margin: 4px 0; } small { color: #59626e; } svg { max-width: 100%; height: auto; }
.cost { display: grid; grid-template-columns: 130px 200px 1fr; gap: 10px; } .track, button { display: none; } @page { margin: 15mm; }`;

export async function report(answer, chart, state) {
  const drawn = chart ? await chartSvg(chart.view, `Error against cost, ${answer.study.dataset ?? answer.study.task}`) : "";
  const body = el("main", {},
    el("h1", {}, `Soundscale: answer ${answer.answer_id}`),
    el("p", {}, el("small", {}, `${new Date().toISOString().slice(0, 10)} · ${answer.n_runs} runs · fit ${answer.fit_id} · ${location.origin}${location.pathname}${location.search}`)),
    show.sentence(answer), show.certainty(answer), show.bars(answer.best, answer.query),
    el("h2", {}, "Why"), show.reasons(answer.reasons), el("figure", { class: "chart" }),
    el("h2", {}, "Instead of it"), show.alternatives(answer, () => {}),
    answer.warnings.length ? [el("h2", {}, "What it cannot say"), show.warnings(answer.warnings)] : null,
    el("p", {}, el("small", {}, `Again in a terminal: soundscale answers show ${answer.answer_id}, once it was kept (task ${state.task}).`)));
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>Soundscale ${answer.answer_id}</title><style>${STYLE}</style>${body.outerHTML.replace('<figure class="chart"></figure>', drawn)}</html>`;
}
