"""A comparison as rows of plain values, for listings and frames."""

from __future__ import annotations

from typing import Any

from planner.laws.compare.records import LawComparison, Pair

Rows = list[dict[str, Any]]


def pair_rows(found: LawComparison) -> Rows:
    """A row for each pair and question: its parameters, exponents together, curves, and the crossing."""
    return [row for pair in found.pairs for row in _rows(pair)]


def _rows(pair: Pair) -> Rows:
    both = {"first": pair.first, "second": pair.second}
    made: Rows = [
        {**both, "what": p.name, "kind": p.kind, "value": p.value, "low": p.low, "high": p.high, "p": p.p,
         "p_holm": p.p_holm, "evidence": p.evidence}
        for p in pair.parameters
    ]  # fmt: skip
    made += [
        {**both, "what": t.what, "kind": f"F({t.n}, {t.dof:.3g})", "value": t.f, "low": None, "high": None, "p": t.p,
         "p_holm": t.p_holm, "evidence": t.evidence}
        for t in pair.joint
    ]  # fmt: skip
    c = pair.crossing
    made.append(
        {**both, "what": f"crossing along {c.axis}", "kind": "place", "value": c.value, "low": c.low, "high": c.high,
         "p": None, "p_holm": None, "evidence": None}
    )  # fmt: skip
    return made
