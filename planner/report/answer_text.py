"""Text of answers: pure functions of their JSON, one screen each; fits are in planner.report.fit_text."""

from __future__ import annotations

from typing import Any

from planner.plan.wording import NAMES, amount, enough_amount, title, with_interval
from planner.report.fit_text import (
    compare_rows,
    compare_text,
    fit_json,
    fit_text,
    law_json,
    stored_fit_json,
    stored_fit_text,
    table_text,
)
from planner.report.tables import plain_table, table_within
from planner.words.axes import axis

__all__ = [
    "compare_rows",
    "compare_text",
    "fit_json",
    "fit_text",
    "frontier_rows",
    "law_json",
    "option_text",
    "percent",
    "plan_text",
    "stored_fit_json",
    "stored_fit_text",
    "suggest_text",
    "table_text",
    "target_text",
    "verify_text",
]


def percent(value: float | None, digits: int = 2) -> str:
    """An error as people read it: `8.12 %`."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def kept_lines(answer: dict[str, Any]) -> list[str]:
    """The answer under each rule for further test sets, and how many configurations do not keep them."""
    lines = [k["verdict"] for k in answer.get("kept", ())]
    if dropped := answer.get("n_not_kept"):
        every = dropped + answer["n_candidates"]
        lines.append(f"{dropped} of {every} configurations do not keep {answer['query']['keep']}")
    return lines


def plan_text(answer: dict[str, Any]) -> str:
    """A decision in one screen, from the answer's JSON alone."""
    best, query = answer["best"], answer["query"]
    p = best["prediction"]
    lines = [
        f"  {best['label']:<70} answer {answer['answer_id']}",
        "",
        _line("error", _error_cell(p), f"{answer['n_runs']} runs, fit {answer['fit_id']}"),
        *_same_set(p),
    ]
    lines += _cost_lines(best["costs"], query)
    regret = answer["regret"]
    lines += [
        f"  best with probability {best['p_best']:.2f} · expected regret "
        f"{100 * regret['expected']:.2g} points, at most {100 * regret['bound_95']:.2g} (95 %)",
        "",
    ]
    lines += [f"  {t}" for t in _alternatives(answer)]
    lines += ["", *(f"  why   {r}" if i == 0 else f"        {r}" for i, r in _numbered(answer))]
    lines += [f"  kept  {text}" for text in kept_lines(answer)]
    lines += [f"  also  {o['verdict']}" for o in answer.get("other_sets", ())]
    lines += [f"  plain {r['verdict']}" for r in answer.get("reference", ())]
    lines += [f"  next  {text}" for text in answer.get("advice", ())]
    if "borders" in answer:
        lines.append(f"  edges {answer['borders']['verdict']}")
    lines += _rests_on(answer)
    lines += [f"  note  {w['message']}" for w in answer["warnings"]]
    return "\n".join(lines)


def _numbered(answer: dict[str, Any]) -> list[tuple[int, str]]:
    return list(enumerate(answer["reasons"]))


def _line(name: str, value: str, remark: str) -> str:
    return f"  {name:<15}{value:<46}  {remark}".rstrip()


def _error_cell(p: dict[str, Any]) -> str:
    cell = f"{percent(p['error'])}  [{100 * p['low']:.2f}, {100 * p['high']:.2f}]  {100 * p['level']:.0f} %"
    if p["measured_error"] is not None:
        cell += f"  (measured {percent(p['measured_error'])})"
    return cell


def _same_set(p: dict[str, Any]) -> list[str]:
    """The interval on the scored test set, beside the one above, which is on new speech like it."""
    if "same_set" not in p:
        return []
    low, high = (100 * p["same_set"][end] for end in ("low", "high"))
    cell = f"[{low:.2f}, {high:.2f}]  {100 * p['level']:.0f} %"
    return [_line("on this set", cell, "the error is on new speech like it")]


def _cost_line(name: str, cost: dict[str, Any], query: dict[str, Any]) -> str:
    value = amount(name, cost["value"])
    if cost["high"] > cost["low"]:
        # A speed is the inverse of the cost behind it.
        ends = ("high", "low") if name == "real_time_factor" else ("low", "high")
        value = with_interval(name, cost["value"], (cost[ends[0]], cost[ends[1]]))
    remark = cost["source"]
    if name == "latency_ms":
        of = " of requests" if cost.get("per") == "utterance" else ""
        remark = f"{query['quantile']}{of} on {query['device']}, {remark}"
    if cost.get("per"):
        remark += f", per {cost['per']}"
    if "limit" in cost:
        value += f" of {amount(name, cost['limit'])}"
        remark += f", P(met) = {cost['probability']:.2f}"
    return _line(title(name), value, remark)


def _cost_lines(costs: dict[str, Any], query: dict[str, Any]) -> list[str]:
    """The costs that people know first, then registered ones."""
    names = [*NAMES, *(n for n, c in costs.items() if isinstance(c, dict) and n not in NAMES)]
    return [_cost_line(n, costs[n], query) for n in names if n in costs]


def _rests_on(answer: dict[str, Any]) -> list[str]:
    """The budgets at which the choice changes, the elasticities, and the runs that carry the answer."""
    lines = []
    for name, found in answer.get("steps", {}).items():
        if len(found) > 1:
            then = ", ".join(
                f"{enough_amount(name, s['at'])} ({percent(s['error'])})" for s in found
            )
            lines.append(f"  steps {title(name)}: the choice changes at {then}")
    slopes = [
        f"{axis(n).title} {e['value']:+.2f} [{e['low']:.2f}, {e['high']:.2f}]"
        for n, e in answer.get("elasticity", {}).items()
    ]
    if slopes:
        lines.append(f"  slope {' · '.join(slopes)}: % of error for 1 % more")
    runs = [f"run {r['run_id']} ({100 * r['share']:.0f} %)" for r in answer.get("carried_by", ())]
    if runs:
        lines.append(f"  runs  carried by {', '.join(runs)}")
    return lines


def is_tie(entry: dict[str, Any], answer: dict[str, Any]) -> bool:
    """Whether a runner-up cannot be told from the choice.

    Answers stored before the entries said so list their first ties, which hold every runner-up that is one.
    """
    if "tie" in entry:
        return bool(entry["tie"])
    return any(entry["config"] == tie["config"] for tie in answer["ties"])


def _alternatives(answer: dict[str, Any]) -> list[str]:
    rows = [
        [
            "tie" if is_tie(r, answer) else "next" if r["feasible"] else "over",
            r["label"],
            percent(r["prediction"]["error"]),
            r["rejected_because"],
        ]
        for r in answer["runners_up"][:8]
    ]
    if not rows:
        return ["no other configuration was in question"]
    return plain_table(["", "instead", "error", "rejected because"], rows).split("\n")


def target_text(found: dict[str, Any]) -> str:
    """The least resource for a quality on one screen."""
    best, query = found["best"], found["query"]
    lines = [f"  {best['label']}", "", _line("error", _error_cell(best["prediction"]), "")]
    lines += _cost_lines(best["costs"], query)
    lines += [
        f"  error at most {percent(query['error'])} with probability {best['p_error']:.2f}",
        "",
        *(f"  why   {r}" for r in found["reasons"]),
    ]
    cost = query["minimise"]
    rows = [
        [r["label"], percent(r["prediction"]["error"]), amount(cost, r["costs"][cost]["value"])]
        for r in found["runners_up"]
    ]
    if rows:
        table = plain_table(["would also do", "error", title(cost)], rows)
        lines += ["", *(f"  {line}" for line in table.split("\n"))]
    lines += [f"  note  {w['message']}" for w in found["warnings"]]
    return "\n".join(lines)


def suggest_text(found: dict[str, Any], width: int = 80) -> str:
    """Runs to do next, in their order, or that none is worth it; the table is at most `width` wide."""
    lines = [f"  {found['verdict']}"]
    rows = [
        [
            "first" if s["value"] is None else str(place),
            s["label"],
            "–" if s["value"] is None else f"{100 * s['value']:.2g} points",
            "–" if s["hours"] is None else f"{s['hours']:.2g} h",
            "" if s["p_change"] is None else f"{s['p_change']:.2f}",
        ]
        for place, s in enumerate(found["suggestions"], 1)
    ]
    if rows:
        headings = ["", "run", "worth", "takes", "P(changes the choice)"]
        lines += ["", *(f"  {line}" for line in table_within(headings, rows, width - 2)), ""]
    lines += [f"  first {s['why']}" for s in found["suggestions"] if s["value"] is None]
    lines += [f"  speech {found['more_speech']}"] if found.get("more_speech") else []
    lines += [f"  speech {found['scoring']['text']}"] if found.get("scoring") else []
    return "\n".join(lines + [f"  note  {w['message']}" for w in found["warnings"]])


def verify_text(found: dict[str, Any]) -> str:
    """An answer against what was measured since, and the calibration of all answers."""
    p, c = found["prediction"], found["calibration"]
    lines = [f"  {found['label']}", f"  predicted  {_error_cell(p)}"]
    for o in found["outcomes"]:
        place = "inside" if o["inside"] else "outside"
        lines.append(
            f"  run {o['run_id']:<6} {percent(o['actual'])}, {place} "
            f"[{100 * o['low']:.2f}, {100 * o['high']:.2f}] (90 % for a new run)"
        )
    if not found["outcomes"]:
        lines.append("  no run of this configuration was made since: run it, then ask again")
    if c["n"]:
        drift = "DRIFT: predictions no longer hold; fit again" if c["drift"] else "no drift"
        lines.append(
            f"  all answers: {c['n']} runs made since, {100 * c['inside']:.0f} % inside their "
            f"90 % intervals, {drift}"
        )
    return "\n".join(lines)


_HOW_KNOWN = {
    "measured": "it was run: its own runs carry the error with the law",
    "predicted": "it was never run: the law tells the error, inside the measured range",
    "extrapolated": "it was never run and lies outside the measured range: the law alone tells the error",
}


def option_text(found: dict[str, Any]) -> str:
    """One configuration on one screen."""
    lines = [
        f"  {found['label']}",
        "",
        _line("error", _error_cell(found["prediction"]), f"fit {found['fit_id']}"),
    ]
    lines += _cost_lines(found["costs"], found["query"])
    if found["query"]["limits"]:
        lines.append(f"  meets all limits with probability {found['joint_probability']:.2f}")
    lines.append(f"  {_HOW_KNOWN[found['prediction']['kind']]}")
    lines += [f"  kept  {k['verdict']}" for k in found.get("kept", ())]
    lines += [f"  note  {w['message']}" for w in found["warnings"]]
    return "\n".join(lines)


def frontier_rows(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The frontier's points for people: the cost with its unit, the error with its interval."""
    cost = found["cost"]
    return [
        {
            **p,
            "cost": amount(cost, p[cost]),
            "wer": f"{percent(p['error'])} [{100 * p['low']:.2f}, {100 * p['high']:.2f}]",
        }
        for p in found["points"]
    ]
