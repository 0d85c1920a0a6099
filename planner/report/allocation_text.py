"""An allocation on one screen, from its JSON."""

from __future__ import annotations

from typing import Any

from planner.report.tables import cell, plain_table

BIAS_TOLD = 0.001
"""Bias of an exponent below which parabolas are said to be right here."""


def allocation_text(found: dict[str, Any]) -> str:
    """Exponents and optima of the three approaches, the parabolas' bias, and the price of being off."""
    level = f"{100 * found['level']:g} %"
    low, high = found["cost_range"]
    lines = [
        f"  cost {found['cost']}, {low:.3g} to {high:.3g} in {found['n_rows']} rows; law {found['formula']}",
        "",
        *_indented(_exponents(found, level)),
        "",
        *_indented(_optima(found, level)),
        "",
        *(f"  {line}" for line in _bias(found)),
        *_indented(_penalties(found)),
    ]
    lines += [
        f"  note  approach {a['number']}: {a['note']}" for a in found["approaches"] if a["note"]
    ]
    failed = [a for a in found["approaches"] if a["n_failed"]]
    lines += [
        f"  note  approach {a['number']}: {a['n_failed']} resamples have no exponent"
        for a in failed
    ]
    lines += [f"  note  {w['message']}" for w in found["warnings"]]
    return "\n".join(lines)


def _indented(table: str) -> list[str]:
    return [f"  {line}" for line in table.split("\n")]


def _ends(low: float | None, high: float | None) -> str:
    return "–" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def _exponents(found: dict[str, Any], level: str) -> str:
    rows = [
        [f"{a['number']} {a['name']}", str(a["n_points"]), f"{e['axis']} ~ C^{cell(e['value'])}",
         _ends(e["low"], e["high"]), _ends(e["draws_low"], e["draws_high"])]
        for a in found["approaches"]
        for e in a["exponents"]
    ]  # fmt: skip
    return plain_table(
        ["approach", "points", "exponent", f"{level} bootstrap", f"{level} draws"], rows
    )


def _optima(found: dict[str, Any], level: str) -> str:
    rows = []
    for a in found["approaches"]:
        for o in a["optima"]:
            places = ", ".join(f"{p['axis']} {p['value']:.3g}{_around(p)}" for p in o["places"])
            error = (
                "–"
                if o["error"] is None
                else f"{o['error']:.4g} [{o['error_low']:.4g}, {o['error_high']:.4g}]"
            )
            outside = "" if o["beyond"] <= 1 + 1e-9 else f"{o['beyond']:.3g}x outside"
            rows.append([f"{o['budget']:.3g}", str(a["number"]), places, error, outside])
    rows.sort(key=lambda row: float(row[0]))
    return plain_table(["budget", "approach", f"optimum ({level})", "error", ""], rows)


def _around(place: dict[str, Any]) -> str:
    return "" if place["low"] is None else f" [{place['low']:.3g}, {place['high']:.3g}]"


def _bias(found: dict[str, Any]) -> list[str]:
    if not found["bias"]:
        return []
    one = found["bias"][0]
    if one["exponent_found"] is None:
        return ["parabolas find no line in the law's own values at these places", ""]
    off = one["exponent_found"] - one["exponent_of_law"]
    said = (
        f"approach 2 is biased here: on the law's own values at these places, without noise, it finds {one['axis']} ~ "
        f"C^{one['exponent_found']:.4f} instead of {one['exponent_of_law']:.4f} ({off:+.4f})"
    )
    if abs(off) < BIAS_TOLD:
        said = "approach 2 finds the law's exponent where its values have no noise, to .001"
    return [f"{said}; its worst minimum lies {one['worst_place']:.2f}x off", ""]


def _penalties(found: dict[str, Any]) -> str:
    rows = [
        [f"{p['budget']:.3g}", f"{p['factor']:g}x {p['axis']}", f"{p['error']:.4g}", f"+{100 * p['rise']:.2f} %",
         "–" if p["extra_cost"] is None else f"{p['extra_cost']:.2f}x"]
        for p in found["penalties"]
    ]  # fmt: skip
    return plain_table(["budget", "off the optimum", "error", "rise", "cost wasted"], rows)
