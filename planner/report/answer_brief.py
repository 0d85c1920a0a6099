"""An answer on one small screen: the sentence, its costs, three alternatives, two reasons, the caveats."""

from __future__ import annotations

import textwrap
from typing import Any

from planner.plan.wording import NAMES, amount, title, with_interval
from planner.report.answer_text import is_tie, kept_lines, percent
from planner.report.tables import table_within
from planner.words.engine_records import OWN_ENGINE

N_ALTERNATIVES = 3
N_REASONS = 2
N_CAVEATS = 3
"""What a screen of 24 lines holds beside the costs (assumption)."""

_PREFIX = 8
"""Columns before a reason or a caveat: the word that says which it is, and a gap."""

MOST_LINES = 24
"""Of a terminal that nobody made larger."""
_BY_WORDS: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}


def plan_brief(answer: dict[str, Any], width: int = 80) -> str:
    """A decision in at most 24 lines for one limit or two, from the answer's JSON alone.

    Left out, and counted in the last line: further alternatives, reasons and caveats, the budgets at which
    the choice changes, elasticities and the runs that carry it; `planner.report.answer_text.plan_text` has all.

    Args:
        answer: as `planner.service.asking.plan` gives it, or as it was stored.
        width: columns of the terminal; words are not broken, and a table that is wider loses whole columns.
    """
    lines = textwrap.wrap(_sentence(answer), width, **_BY_WORDS)
    lines += ["", *_costs(answer, width), ""]
    lines += _alternatives(answer, width)
    lines += ["", *_reasons(answer, width)]
    room = max(
        MOST_LINES - 2 - len(lines), 1
    )  # less the line that counts further ones, and the last
    lines += _caveats(answer, width, min(N_CAVEATS, room))
    for text in answer.get("advice", ()):
        if "soundscale compare" in text and len(lines) < MOST_LINES - 1:
            lines.append(f"the ties: soundscale {text.partition('soundscale ')[2]}")
    lines.append(f"all of it: soundscale answers show {answer['answer_id']}")
    return "\n".join(lines)


def _sentence(answer: dict[str, Any]) -> str:
    """What to take, how many errors it makes, and how sure that is."""
    best = answer["best"]
    p = best["prediction"]
    named = answer["query"].get("test_set")
    like = "the test set" if named is None else f"test set {named}"
    on_new = f"on new speech like {like}" if "same_set" in p else f"on {like}" if named else ""
    measured = p["measured_error"]
    engine = best["config"].get("engine")
    where = "" if engine in (None, OWN_ENGINE) else " in this engine"
    ran = f"never run{where}" if measured is None else f"measured {percent(measured)}"
    ends = f"{100 * p['low']:.2f} to {100 * p['high']:.2f} %"
    what = f"errors: {percent(p['error'])} {on_new}".rstrip()
    return (
        f"{best['label']} · {what} ({100 * p['level']:.0f} % interval {ends}; {ran}). "
        f"Best with probability {best['p_best']:.2f}, expected regret "
        f"{100 * answer['regret']['expected']:.2g} points."
    )


def _costs(answer: dict[str, Any], width: int) -> list[str]:
    costs, query = answer["best"]["costs"], answer["query"]
    seconds = answer.get("utterance_seconds")
    names = [*NAMES, *(n for n, c in costs.items() if isinstance(c, dict) and n not in NAMES)]
    rows = [_cost_row(n, costs[n], query, seconds) for n in names if n in costs]
    return table_within(["cost", "value", "limit", "P(met)", "from"], rows, width)


def _cost_row(
    name: str, cost: dict[str, Any], query: dict[str, Any], seconds: float | None
) -> list[str]:
    value = amount(name, cost["value"])
    if cost["high"] > cost["low"]:
        ends = ("high", "low") if name == "real_time_factor" else ("low", "high")
        value = with_interval(name, cost["value"], (cost[ends[0]], cost[ends[1]]))
    source = f"{query['quantile']}, {cost['source']}" if name == "latency_ms" else cost["source"]
    limit = amount(name, cost["limit"]) if "limit" in cost else "–"
    met = f"{cost['probability']:.2f}" if "limit" in cost else "–"
    of = cost.get("per")
    length = f"{seconds:.3g} s " if seconds and of == "utterance" else ""
    per = f"{title(name)} per {length}{of}" if of else title(name)
    return [per, value, limit, met, source]


def _alternatives(answer: dict[str, Any], width: int) -> list[str]:
    others = answer["runners_up"]
    if not others:
        return ["no other configuration was in question"]
    # A tie first, then what else fits, then what the limits rule out, the likeliest to meet them first.
    over = answer.get("almost") or [r for r in others if not r["feasible"]]
    listed = [*(r for r in others if r["feasible"]), *over][:N_ALTERNATIVES]
    labels = _without_shared_end([answer["best"]["label"], *(r["label"] for r in listed)])[1:]
    rows = [
        [
            _kind(r, answer),
            label,
            percent(r["prediction"]["error"]),
            percent(r["prediction"]["measured_error"]),
        ]
        for r, label in zip(listed, labels, strict=True)
    ]
    return table_within(["", "instead", "predicted", "measured"], rows, width)


def _kind(entry: dict[str, Any], answer: dict[str, Any]) -> str:
    if entry in answer.get("almost", ()):
        return f"P {entry['joint_probability']:.2f}"
    return "tie" if is_tie(entry, answer) else "next" if entry["feasible"] else "over"


def _without_shared_end(labels: list[str]) -> list[str]:
    """Labels less the last parts that all of them have, such as one adaptation.

    >>> _without_shared_end(["tiny · 8 s · lora:8", "base · 8 s · lora:8"])
    ['tiny', 'base']
    >>> _without_shared_end(["tiny · 8 s", "tiny · 8 s"])
    ['tiny', 'tiny']
    """
    parts = [label.split(" · ") for label in labels]
    while len({p[-1] for p in parts}) == 1 and min(len(p) for p in parts) > 1:
        parts = [p[:-1] for p in parts]
    return [" · ".join(p) for p in parts]


def _reasons(answer: dict[str, Any], width: int) -> list[str]:
    lines: list[str] = []
    for reason in answer["reasons"][:N_REASONS]:
        lead = "why" if not lines else ""
        indent: dict[str, Any] = {
            "initial_indent": f"{lead:<{_PREFIX}}",
            "subsequent_indent": " " * _PREFIX,
        }
        lines += textwrap.wrap(reason, width, **indent, **_BY_WORDS)
    return lines


def _caveats(answer: dict[str, Any], width: int, most: int) -> list[str]:
    """Further test sets, words lost at window borders, the untrained reference, then notes, each on one line."""
    kept = [("kept", text) for text in kept_lines(answer)]
    others = [("also", o["verdict"]) for o in answer.get("other_sets", ())]
    borders = answer.get("borders") or {}
    # Words that are surely lost change what is typed next; what is not shown is in the whole answer.
    edges = [("edges", borders["verdict"])] if (borders.get("low") or 0) > 0 else []
    said = [*kept, *edges, *others]
    said += [("plain", r["verdict"]) for r in answer.get("reference", ())]
    said += [("note", w["message"]) for w in answer["warnings"]]
    lines = [
        f"{kind:<{_PREFIX}}{textwrap.shorten(text, width - _PREFIX, placeholder=' …')}"
        for kind, text in said[:most]
    ]
    left = len(said) - most
    return lines + ([f"note    and {left} more"] if left > 0 else [])
