"""A law of many curves on one screen, from its JSON."""

from __future__ import annotations

from typing import Any

from planner.report.tables import cell, plain_table

MOST_GROUPS = 20
"""Groups that a screen shows; -f json and csv have all."""


def group_text(found: dict[str, Any]) -> str:
    """What groups share and by how much they differ, the first groups' parameters, and predictions."""
    level = f"{100 * found['level']:g} %"
    scales = ", ".join(f"{axis} / {value:.4g}" for axis, value in found["scales"].items())
    shared = [
        [s["name"], cell(s["mean"]), cell(s["std_error"]), cell(s["spread"])]
        for s in found["shared"]
    ]
    lines = [
        f"  {found['formula']}  ({scales}), {found['n_groups']} groups of {found['group_law']}, {found['n_rows']} rows",
        "",
        *_indented(["what groups share", "mean", "std error", "spread of groups"], shared),
        "",
        *_indented(["group", *_names(found)], _groups(found)),
    ]
    left = found["n_groups"] - MOST_GROUPS
    lines += [f"  … and {left} groups more; -f csv has all"] if left > 0 else []
    lines += [
        "",
        f"  {level} intervals; a row scatters by {100 * found['sigma']:.3g} %, status {found['status']}",
    ]
    lines += [f"  note  {w['message']}" for w in found["warnings"]]
    if found["offsets"]:
        lines += ["", *_offsets(found)]
    if found["predictions"]:
        keys = list(found["predictions"][0])
        cells = [[cell(p[k]) for k in keys] for p in found["predictions"]]
        lines += ["", *_indented(keys, cells)]
    return "\n".join(lines)


def _indented(headings: list[str], rows: list[list[str]]) -> list[str]:
    return [f"  {line}" for line in plain_table(headings, rows).split("\n")]


def _offsets(found: dict[str, Any]) -> list[str]:
    """Errors of groups over the first one's, at the scales."""
    rows = [
        [
            o["group"],
            f"{o['ratio']:.3g} [{o['low']:.3g}, {o['high']:.3g}]",
            f"{100 * o['probability_below']:.0f} %",
        ]
        for o in found["offsets"]
    ]
    against = found["offsets"][0]["against"]
    return _indented(["group", f"error over that of {against}, at the scales", "P(fewer)"], rows)


def _names(found: dict[str, Any]) -> list[str]:
    return list(dict.fromkeys(p["name"] for p in found["parameters"]))


def _groups(found: dict[str, Any]) -> list[list[str]]:
    """A row for a new group, then for each of the first."""
    rows: dict[str | None, list[str]] = {}
    for p in found["parameters"]:
        row = rows.setdefault(p["group"], ["(a new group)" if p["group"] is None else p["group"]])
        row.append(f"{p['value']:.3g} [{p['low']:.3g}, {p['high']:.3g}]")
    return list(rows.values())[: MOST_GROUPS + 1]
