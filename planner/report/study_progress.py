"""A study as it is now, in words: the sections of a study that goes on, and of one that has ended.

Pure functions of what `planner.service.study_progress` gives; the page shows the same sections.
"""

from __future__ import annotations

import textwrap
from typing import Any

from planner.plan.wording import points
from planner.report import study_text
from planner.report.answer_text import percent
from planner.report.study_text import Section
from planner.report.tables import cell, plain_table

MOST_ROWS = 8
"""Of a table on a screen that is followed (assumption: three of them fit 24 lines beside their headings)."""


def progress_sections(found: dict[str, Any]) -> list[Section]:
    """In order: answer so far, what is next and why, spending, how the regret fell, what was ruled out, every run.

    Of a study that has ended its report's sections, and every run.
    """
    if found["state"] == "ended":
        return [*study_text.sections(found), _every_run(found)]
    spent, fall, ruled_out = (
        make(found) for make in (study_text.spent, study_text.fall, study_text.ruled_out)
    )
    parts = [_answer_so_far(found), _next(found), spent, fall, ruled_out, _every_run(found)]
    return [one for one in parts if one.sentences or one.rows]


def headline_now(found: dict[str, Any]) -> str:
    """The answer, or what is believed so far, in one sentence."""
    if found["state"] == "ended":
        return study_text.headline(found)
    belief = found["belief"]
    if belief is None:
        return "no choice yet: the first runs are being made"
    if belief["label"] is None:
        return "no choice yet: nothing meets limits and rules surely enough so far"
    return (
        f"so far {belief['label']}: {percent(belief['error'])} errors on new speech expected, "
        f"{100 * belief['low']:.2f} to {100 * belief['high']:.2f} %, best with probability {belief['p_best']:.2f}"
    )


def _answer_so_far(found: dict[str, Any]) -> Section:
    belief, sentences = found["belief"], [headline_now(found) + "."]
    if belief is not None and belief["label"] is not None:
        sentences.append(
            f"The best of {found['n_candidates']} candidates errs less by {points(belief['regret'])} as expected, and "
            f"by {points(belief['regret_bound'])} at most (95 %), after {belief['n_runs']} runs."
        )
    if found["until_regret"] is not None:
        sentences.append(f"It is enough at {points(found['until_regret'])}.")
    return Section(title="The answer so far", sentences=tuple(sentences))


def _next(found: dict[str, Any]) -> Section:
    """What is being run or waits, and why."""
    runs = found["next"]
    if not runs:
        text = "Nothing is waiting or running: the next round is chosen, or no driver is at work."
        return Section(title="What is next, and why", sentences=(text,))
    rows = tuple(
        (run["label"], str(run["seed"]), run["state"], f"{run['expected_hours']:.2g}", _value(run), run["why"])
        for run in runs
    )  # fmt: skip
    headings = ("run", "seed", "state", "hours expected", "value", "why")
    return Section(title="What is next, and why", headings=headings, rows=rows)


def _every_run(found: dict[str, Any]) -> Section:
    rows = tuple(
        (str(run["round"]), run["label"], str(run["seed"]), _came_to(run), cell(_hours(run)), _value(run), run["why"])
        for run in found["runs"]
        if run not in found["next"]
    )  # fmt: skip
    headings = ("round", "run", "seed", "error", "hours", "value", "why")
    return Section(title="Every run, and why", headings=headings, rows=rows)


def _came_to(run: dict[str, Any]) -> str:
    if run["error"] is not None:
        return percent(run["error"])
    return run["failure_class"] or str(run["state"])


def _hours(run: dict[str, Any]) -> str | None:
    return None if run["hours"] is None else f"{run['hours']:.2g}"


def _value(run: dict[str, Any]) -> str:
    return cell(None if run["value"] is None else points(run["value"]))


def watched_text(found: dict[str, Any], width: int) -> str:
    """For a terminal of that width, a screen: the answer so far, what is next, and the last of how the regret fell."""
    lines = [*textwrap.wrap(f"study {found['name']} · {_spending(found)}", width), ""]
    for one in progress_sections(found)[:2]:
        lines += [one.title, "-" * len(one.title)]
        lines += [line for said in one.sentences for line in textwrap.wrap(said, width)]
        if one.rows:
            lines.append(plain_table(one.headings, one.rows[-MOST_ROWS:]))
        lines.append("")
    fell = study_text.fall(found)
    if fell.rows:
        lines += [fell.title, plain_table(fell.headings, fell.rows[-MOST_ROWS:])]
    return "\n".join(lines).rstrip()


def progress_line(found: dict[str, Any]) -> str:
    """One line: how far the study is, and what it believes."""
    running = sum(run["state"] == "running" for run in found["next"])
    now = f"round {max(found['n_rounds'] - 1, 0)}, {running} running, {len(found['next']) - running} waiting"
    return f"{_spending(found)} · {now} · {headline_now(found)}"


def _spending(found: dict[str, Any]) -> str:
    of = "" if found["allowed_hours"] is None else f" of {found['allowed_hours']:.3g}"
    return f"{found['n_runs']} runs, {found['hours']:.3g}{of} h"
