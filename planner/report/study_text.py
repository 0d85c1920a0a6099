"""A study that has ended, in words: the sections of its report, as Markdown and for a terminal.

Pure functions of the report's JSON (`planner.service.studies`); the page (`planner.report.study_page`) has the
same sections.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from planner.plan.wording import NAMES, amount, points, title
from planner.report.answer_text import percent
from planner.report.tables import cell, plain_table

MOST_RULED_OUT = 12
"""Candidates that are listed one by one, those that err least first; all are counted (assumption: a page)."""
KINDS = {
    "limit": "by a limit",
    "rule": "by a rule on a further test set",
    "error": "as they err more",
    "failed": "as their runs failed",
    "tie": "not ruled out: still in question",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One part of the report: sentences, then a table (headings and rows; none where they are empty)."""

    title: str
    sentences: tuple[str, ...] = ()
    headings: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    commands: tuple[str, ...] = ()


def sections(report: dict[str, Any]) -> list[Section]:
    """The report in order: answer, what was spent, how the regret fell, what was ruled out, what is next, use."""
    found = [_answer(report), spent(report), fall(report), ruled_out(report), _another(report)]
    if report["use"]:
        found.append(Section(title="How to use the model", commands=tuple(report["use"])))
    return [one for one in found if one.sentences or one.rows or one.commands]


def headline(report: dict[str, Any]) -> str:
    """The answer in one sentence, or that there is none."""
    answer = report["answer"]
    if answer is None:
        return f"no answer: {report['verdict']}"
    best = answer["best"]
    p = best["prediction"]
    measured = p["measured_error"]
    ran = "never run" if measured is None else f"measured {percent(measured)}"
    return (
        f"{best['label']}: {percent(p['error'])} errors on new speech ({100 * p['level']:.0f} % interval "
        f"{100 * p['low']:.2f} to {100 * p['high']:.2f} %; {ran}), best with probability {best['p_best']:.2f}"
    )


def _answer(report: dict[str, Any]) -> Section:
    answer = report["answer"]
    why = f"The study ended because {report['verdict']}."
    if answer is None:
        return Section(title="The answer", sentences=(headline(report).rstrip(".") + ".",))
    regret = answer["regret"]
    sentences = (
        headline(report) + ".",
        f"The best of {report['n_candidates']} candidates errs less by {points(regret['expected'])} as expected, "
        f"and by {points(regret['bound_95'])} at most (95 %).",
        *(f"On {one['verdict']}." for one in answer.get("kept", ())),
        *(f"Beside it {one['verdict']}." for one in answer.get("reference", ())),
        why,
        _correction(answer["best"]["prediction"]),
    )
    return Section(
        title="The answer",
        sentences=sentences,
        headings=("cost", "value", "limit", "P(met)", "from"),
        rows=tuple(_costs(answer)),
    )


def _correction(prediction: dict[str, Any]) -> str:
    """How the interval counts that the choice was made with the runs that it is told from."""
    if not prediction["run_ids"]:
        return "The interval is the law's alone, as the choice was never run: no run of its own was selected."
    return (
        "That it was chosen by the runs that it is told from is corrected for by the law: the interval is of joint "
        "draws in which its own runs are shrunk towards what the law says of it; nothing was scored anew."
    )


def _costs(answer: dict[str, Any]) -> list[tuple[str, ...]]:
    costs = answer["best"]["costs"]
    names = [*NAMES, *(n for n, c in costs.items() if isinstance(c, dict) and n not in NAMES)]
    out: list[tuple[str, ...]] = []
    for name in (n for n in names if n in costs):
        cost = costs[name]
        limit = amount(name, cost["limit"]) if "limit" in cost else "–"
        met = f"{cost['probability']:.2f}" if "limit" in cost else "–"
        per = f"{title(name)} per {cost['per']}" if cost.get("per") else title(name)
        out.append((per, amount(name, cost["value"]), limit, met, cost["source"]))
    return out


def spent(report: dict[str, Any]) -> Section:
    """Hours by what they were spent on."""
    allowed = report["allowed_hours"]
    of = "" if allowed is None else f" of {allowed:.3g}"
    sentence = f"{report['n_runs']} runs took {report['hours']:.3g}{of} hours, {report['n_workers']} at once."
    rows = tuple(
        (s["purpose"], s["backbone"], str(s["n_runs"]), f"{s['hours']:.3g}")
        for s in sorted(report["spent"], key=lambda s: -s["hours"])
    )
    return Section(
        title="What it was spent on",
        sentences=(sentence,),
        headings=("for", "model", "runs", "hours"),
        rows=rows,
    )


def fall(report: dict[str, Any]) -> Section:
    """What was believed after so many hours."""
    rows = tuple(
        (f"{b['hours']:.3g}", str(b["n_runs"]), b["label"], percent(b["error"]), points(b["regret"]),
         points(b["regret_bound"]))
        for b in report["regret"]
    )  # fmt: skip
    headings = ("hours", "runs", "choice", "error", "expected regret", "at most (95 %)")
    return Section(title="How the regret fell", headings=headings, rows=rows)


def ruled_out(report: dict[str, Any]) -> Section:
    """All are counted; a study that goes on lists the first ones alone (`n_ruled_out` counts them)."""
    found = report["ruled_out"]
    counted = report.get("n_ruled_out") or Counter(one["kind"] for one in found)
    parts = [f"{n} {KINDS[kind]}" for kind, n in counted.items()]
    listed = sorted(
        found, key=lambda o: (o["kind"] != "tie", o["error"] is None, o["error"] or 0.0)
    )
    rows = tuple((o["label"], cell(percent(o["error"])), o["why"]) for o in listed[:MOST_RULED_OUT])
    sentences = [f"Of the others {', '.join(parts)}."] if parts else []
    if sum(counted.values()) > len(rows):
        sentences.append(f"The {len(rows)} that err least, ties first:")
    return Section(
        title="What was ruled out, and why",
        sentences=tuple(sentences),
        headings=("candidate", "expected error", "why"),
        rows=rows,
    )


def _another(report: dict[str, Any]) -> Section:
    found = report["another_hour"]
    if found is None:
        return Section(title="What another hour would buy")
    if not found["runs"]:
        text = f"No run fits into an hour: the shortest takes {found['shortest_hours']:.2g}."
        if found["shortest_hours"] <= 1.0:
            text = "Nothing that would be noticed: no further run moves the expected error of the choice."
        return Section(title="What another hour would buy", sentences=(text,))
    n = len(found["runs"])
    text = (
        f"{n} run{'s' * (n > 1)} in {found['hours']:.2g} hours of one worker: an expected error of the choice lower "
        f"by {points(found['gain'])}"
    )
    # Reports of before do not say it.
    each = (
        f", by {points(found['largest'])} at most for each run"
        if n > 1 and "largest" in found
        else ""
    )
    return Section(
        title="What another hour would buy",
        sentences=(f"{text}{each}.",),
        headings=("run", "times"),
        rows=tuple((label, str(times)) for label, times in Counter(found["runs"]).items()),
    )


def study_markdown(report: dict[str, Any]) -> str:
    """The report as Markdown, a page."""
    lines = [f"# Study {report['name']}", ""]
    for one in sections(report):
        lines += [f"## {one.title}", "", *(s + "\n" for s in one.sentences)]
        if one.rows:
            lines += [_row(one.headings), _row(("---",) * len(one.headings))]
            lines += [*map(_row, one.rows), ""]
        if one.commands:
            lines += ["```sh", *one.commands, "```", ""]
    return "\n".join(lines).rstrip() + "\n"


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"


def study_text(report: dict[str, Any]) -> str:
    """The report for a terminal."""
    lines: list[str] = []
    for one in sections(report):
        lines += [one.title, "-" * len(one.title), *one.sentences]
        if one.rows:
            lines += [plain_table(one.headings, one.rows)]
        lines += [*one.commands, ""]
    return "\n".join(lines).rstrip()


def round_line(number: int, runs: Sequence[dict[str, Any]], belief: dict[str, Any] | None) -> str:
    """What a round runs, and what was believed before it, in one line."""
    labels = ", ".join(f"{run['label']} (seed {run['seed']})" for run in runs[:3])
    more = f" and {len(runs) - 3} more" if len(runs) > 3 else ""
    line = f"round {number}: {labels}{more}"
    if belief is None or belief["label"] is None:
        return f"{line}; {runs[0]['why']}"
    return (
        f"{line}; the choice now: {belief['label']}, regret {points(belief['regret'])} expected, "
        f"{points(belief['regret_bound'])} at most, after {belief['hours']:.3g} h"
    )


EXPLAIN_COLUMNS = (
    ("round", "round"),
    ("label", "run"),
    ("seed", "seed"),
    ("state", "state"),
    ("error_shown", "error"),
    ("value_shown", "value"),
    ("hours_shown", "hours"),
    ("why", "why"),
)


def explained_rows(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Why each run was made, a row each, for a table."""
    out = []
    for run in found["runs"]:
        hours = run["expected_hours"] if run["hours"] is None else run["hours"]
        value = None if run["value"] is None else points(run["value"])
        error = None if run["error"] is None else percent(run["error"])
        shown = {"error_shown": error, "value_shown": value, "hours_shown": f"{hours:.2g}"}
        out.append({**run, **shown})
    return out
