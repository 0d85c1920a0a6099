"""A comparison of laws on one screen, from its JSON."""

from __future__ import annotations

from typing import Any

from planner.report.tables import cell, plain_table
from planner.service.compare_words import p_text


def difference_text(found: dict[str, Any]) -> str:
    """Each group's law, then every pair: parameters, exponents, curves, and where the curves cross."""
    lines = [f"  {found['law']} law of {found['metric']}, one for each {found['by']}", ""]
    lines += _indented(
        [found["by"], "rows", "scatter", "law"],
        [[g["group"], str(g["n_rows"]), f"{100 * g['sigma']:.2g} %", g["formula"]] for g in found["groups"]],
    )  # fmt: skip
    for pair in found["pairs"]:
        lines += ["", f"  {pair['second']} against {pair['first']}"]
        lines += _indented(
            ["", "", f"{100 * found['level']:g} % interval", "p", "p Holm", "evidence"],
            [*(_parameter(p) for p in pair["parameters"]), *(_joint(t) for t in pair["joint"])],
        )
        lines.append(f"  {_crossing(pair, found['level'])}")
    lines += [f"  note  {w['message']}" for w in found["warnings"]]
    return "\n".join(lines)


def _indented(headings: list[str], rows: list[list[str]]) -> list[str]:
    return [f"  {line}" for line in plain_table(headings, rows).split("\n")]


def _p(value: float | None) -> str:
    return "–" if value is None else p_text(value)


def _parameter(p: dict[str, Any]) -> list[str]:
    sign = "x" if p["kind"] == "ratio" else "+"
    said = "not told" if p["value"] is None else f"{sign}{p['value']:.4g}".replace("+-", "-")
    ends = "" if p["low"] is None else f"[{p['low']:.4g}, {p['high']:.4g}]"
    return [p["name"], said, ends, _p(p["p"]), _p(p["p_holm"]), f"{p['evidence']:.3g}"]


def _joint(t: dict[str, Any]) -> list[str]:
    kind = f"F({t['n']}, {t['dof']:.3g})"
    return [t["what"], kind, f"{t['f']:.3g}", _p(t["p"]), _p(t["p_holm"]), f"{t['evidence']:.3g}"]


def _crossing(pair: dict[str, Any], level: float) -> str:
    c = pair["crossing"]
    held = ", ".join(f"{axis} {value:.4g}" for axis, value in c["held"])
    where = f"{c['axis']} {cell(c['search'][0])} to {cell(c['search'][1])}" + (
        f" at {held}" if held else ""
    )
    if c["value"] is None:
        return (
            f"no crossing on {where}: {c['below']} is lower throughout; a crossing there has "
            f"probability {c['probability']:.2f}"
        )
    low = "below the search" if c["low"] is None else cell(c["low"])
    high = "beyond it" if c["high"] is None else cell(c["high"])
    times = "" if c["n"] == 1 else f" {c['n']} times, first"
    return (
        f"the curves cross{times} at {c['axis']} {cell(c['value'])} [{low}, {high}] ({100 * level:g} %) on {where}: "
        f"{c['below']} is lower below, {c['above']} above; probability {c['probability']:.2f}"
    )
