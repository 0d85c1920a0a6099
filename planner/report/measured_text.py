"""What one or two runs measured, on one screen, where they carry no law."""

from __future__ import annotations

import textwrap
from typing import Any

from planner.plan.wording import NAMES, amount, said, title
from planner.report.answer_text import percent
from planner.report.tables import table_within

MOST_ROWS = 8
"""Configurations that are listed (assumption: one screen)."""
_BY_WORDS: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}


def measured_text(found: dict[str, Any], width: int = 80) -> str:
    """The choice among what was run, its costs, and the run to make next.

    Args:
        found: as `planner.service.few_runs.measured` gives it.
        width: columns of the terminal.
    """
    lines = textwrap.wrap(_sentence(found), width, **_BY_WORDS)
    lines += ["", *_table(found, width), ""]
    lines += _labelled("no law", found["message"], width)
    if found["next"]:
        then = f"{found['next']['label']}: {found['next']['why']}"
        lines += _labelled("next", then, width)
    return "\n".join(lines)


def _sentence(found: dict[str, Any]) -> str:
    best, limits = found["best"], found["query"]["limits"]
    asked = " and ".join(said(n, v) for n, v in limits.items())
    if best is None:
        return (
            f"Nothing that was run meets {asked} with probability {found['query']['min_prob']:g}."
        )
    runs = ", ".join(map(str, best["run_ids"]))
    noise = (
        "standard error not known" if best["std_error"] is None
        else f"90 % interval of the scoring {100 * best['low']:.2f} to {100 * best['high']:.2f} %"
    )  # fmt: skip
    meets = f" of those that meet {asked}" if asked else ""
    return (
        f"{best['label']} · errors: {percent(best['error'])}, measured in run {runs} ({noise}): the fewest "
        f"of what was run{meets}. Nothing is predicted."
    )


def _table(found: dict[str, Any], width: int) -> list[str]:
    limits = list(found["query"]["limits"])
    known = [n for n in NAMES if n in found["options"][0]["costs"]]
    names = [*limits, *(n for n in known if n not in limits)]
    rows = [
        [
            "best" if o is found["best"] else "fits" if o["feasible"] else "over",
            o["label"],
            percent(o["error"]),
            *(amount(n, o["costs"][n]["value"]) for n in names),
        ]
        for o in found["options"][:MOST_ROWS]
    ]
    return table_within(["", "measured", "error", *(title(n) for n in names)], rows, width)


def _labelled(lead: str, text: str, width: int) -> list[str]:
    indents: dict[str, Any] = {"initial_indent": f"{lead:<8}", "subsequent_indent": " " * 8}
    return textwrap.wrap(text, width, **indents, **_BY_WORDS)
