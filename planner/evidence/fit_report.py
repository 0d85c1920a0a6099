"""A law together with the evidence behind it: what reports are made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from planner.evidence.study import Evidence
from planner.laws.result import LawFit


@dataclass(frozen=True, slots=True, kw_only=True)
class FitReport:
    """A law with the evidence behind it, as stored under `fit_id`."""

    fit_id: str
    fit: LawFit
    evidence: Evidence
    notes: tuple[dict[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFit:
    """A fit as it was stored, with all that is said of it and of its runs."""

    fit_id: str
    fit: LawFit
    selection: dict[str, Any]
    notes: tuple[dict[str, str], ...] = ()


def warnings_of(report: FitReport) -> list[dict[str, str]]:
    """What the law cannot say, and what was left out of it, with codes."""
    # The exclusions are listed here once, with their counts.
    kept = [w for w in report.fit.warnings if w.code != "rows-excluded"]
    counted = all(r.n_errors is not None for r in report.evidence.rows)
    # Rates of small counts over one test set agree by chance: no sign of a typing error.
    kept = [w for w in kept if not (w.code == "repeated-values" and counted)]
    out = [{"code": w.code, "message": w.message} for w in kept]
    out += report.notes
    if report.evidence.exclusions:
        reasons: dict[str, int] = {}
        for _, reason in report.evidence.exclusions:
            reasons[reason] = reasons.get(reason, 0) + 1
        listed = "; ".join(f"{n} x {reason}" for reason, n in reasons.items())
        out.append({"code": "runs-left-out", "message": f"runs left out: {listed}"})
    return out
