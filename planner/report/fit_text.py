"""Text and JSON of fits: pure functions of records, one screen each."""

from __future__ import annotations

import math
from typing import Any

from planner.evidence.fit_report import FitReport, StoredFit, warnings_of
from planner.laws.control import Constraint
from planner.laws.parts import Parameter
from planner.laws.result import LawFit
from planner.laws.table import flat_prediction
from planner.report.tables import cell, plain_table
from planner.words.axes import axis, axis_names
from planner.words.records import to_json
from planner.words.units import format_count

SCATTER = {
    "equal": "",
    "unequal": ", unequal along the axes (intervals allow for it)",
    "grouped": ", alike within groups",
}


def fit_json(report: FitReport) -> dict[str, Any]:
    """A fit as JSON: law, parameters with intervals, status, warnings, forms tried, provenance."""
    return {
        "fit_id": report.fit_id,
        "study": to_json(report.evidence.study),
        **law_json(report.fit),
        "warnings": warnings_of(report),
        "runs": [r.run_id for r in report.evidence.rows],
        "runs_left_out": [
            {"run_id": i, "reason": reason} for i, reason in report.evidence.exclusions
        ],
    }


def law_json(fit: LawFit) -> dict[str, Any]:
    """What a reader needs of a law; the stored fit keeps all of it."""
    return {
        "law": fit.law,
        "formula": fit.formula(),
        "metric": fit.metric,
        "axes": list(fit.axes),
        "roles": dict(fit.roles),
        "status": fit.status,
        "statuses": list(fit.statuses),
        "warnings": [{"code": w.code, "message": w.message} for w in fit.warnings],
        "parameters": [to_json(p) for p in fit.parameters],
        "loss": fit.loss,
        "objective": fit.objective,
        "n_runs": fit.n_runs,
        "dof": fit.dof,
        "sigma": fit.sigma,
        "level": fit.level,
        "condition_number": fit.condition_number if math.isfinite(fit.condition_number) else None,
        "gradient_norm": fit.gradient_norm,
        "n_starts": fit.n_starts,
        "n_agree": fit.n_agree,
        "forms": [to_json(f) for f in fit.forms],
        "seed": fit.seed,
        "version": fit.version,
    }


def stored_fit_json(stored: StoredFit) -> dict[str, Any]:
    """A stored fit as JSON."""
    law = law_json(stored.fit)
    law["warnings"] = list(stored.notes)
    return {"fit_id": stored.fit_id, "selection": stored.selection, **law}


def fit_text(report: FitReport) -> str:
    """One screen: what was fitted, the formula, parameters, what it cannot say."""
    notes = [w["message"] for w in warnings_of(report)]
    return _law_text(report.fit, report.fit_id, report.evidence.study.label, notes)


def stored_fit_text(stored: StoredFit) -> str:
    """A stored fit on one screen, with its own warnings and what is known of it since."""
    notes = [n["message"] for n in stored.notes]
    return _law_text(stored.fit, stored.fit_id, "", notes)


def left_side(link: str, metric: str) -> str:
    """What a formula gives, where that is not the error itself."""
    return f"{metric} / (1 - {metric}) = " if link == "odds" else ""


def _law_text(fit: LawFit, fit_id: str, title: str, notes: list[str]) -> str:
    head = f"{fit.law} law of {fit.metric}" + (f" · {title}" if title else "")
    lines = [
        f"{head:<72}  fit {fit_id}",
        "",
        f"  {left_side(fit.link, fit.metric)}{fit.formula()}",
        "",
        *(f"  {line}" for line in _parameters(fit)),
        "",
        *(f"  {line}" for line in _levels(fit)),
        f"  {fit.n_runs} runs, {fit.n_parameters} parameters, one run's scatter about the law "
        f"{100 * fit.sigma:.2g} %{SCATTER[fit.scatter]}",
        f"  objective {fit.objective:.12g} ({fit.loss}), {fit.n_agree} of {fit.n_starts} starts "
        f"agree, condition number {fit.condition_number:.3g}, status {', '.join(fit.statuses)}",
        *_forms(fit),
    ]
    return "\n".join([*lines, *(f"  note  {note}" for note in notes)])


def _parameters(fit: LawFit) -> list[str]:
    rows = [_parameter(p, fit.level) for p in fit.parameters]
    headings = ["parameter", "value", f"{100 * fit.level:.0f} % interval", "unit", ""]
    return plain_table(headings, rows).split("\n")


def _parameter(p: Parameter, level: float) -> list[str]:
    low = "?" if p.low is None else f"{p.low:.4g}"
    high = "?" if p.high is None else f"{p.high:.4g}"
    name = f"{p.name} ({axis(p.axis).title})" if p.axis and p.axis in axis_names() else p.name
    return [name, f"{p.value:.6g}", f"[{low}, {high}]", p.unit, " ".join(p.flags)]


def _levels(fit: LawFit) -> list[str]:
    out = []
    roles = dict(fit.roles)
    for name, values in fit.levels:
        shown = ", ".join(_level(name, v) for v in values[:8])
        more = f", … ({len(values)} levels)" if len(values) > 8 else ""
        title = axis(name).title if name in axis_names() else name
        unit = f" {axis(name).unit}" if name in axis_names() else ""
        out.append(f"{title}: {shown}{more}{unit} ({roles.get(name, 'left-out')})")
    return out


def _level(name: str, value: float) -> str:
    return format_count(value) if name == "n_params" else f"{value:g}"


def _forms(fit: LawFit) -> list[str]:
    if len(fit.forms) < 2:
        return []
    rows = []
    for form in fit.forms:
        rows.append(
            [
                f"{form.weight:.2f}",
                "–" if form.aicc is None else f"{form.aicc:.1f}",
                "–" if form.cv_error is None else f"{form.cv_error:.3g}",
                form.law,
                form.note,
            ]
        )
    table = plain_table(["weight", "AICc", "hold-out error", "form", ""], rows)
    return ["", *(f"  {line}" for line in table.split("\n"))]


def compare_rows(report: FitReport) -> list[dict[str, Any]]:
    """Every form that was tried, heaviest first."""
    ordered = sorted(report.fit.forms, key=lambda f: -f.weight)
    return [{"fit_id": report.fit_id, **to_json(form)} for form in ordered]


def compare_text(report: FitReport) -> str:
    """The forms that were tried on one screen, and what decided."""
    fit = report.fit
    chosen = max(fit.forms, key=lambda f: f.weight)
    lines = [f"{report.evidence.study.label}: {fit.n_runs} runs", *_forms(fit), ""]
    by = "error on the costliest runs, held out" if chosen.cv_error is not None else "AICc"
    lines.append(f"  {chosen.law} carries {chosen.weight:.2f} of the prediction, by {by}")
    lines += [f"  {f.law}: {f.note}" for f in fit.forms if f.note]
    return "\n".join(lines)


def table_text(found: dict[str, Any]) -> str:
    """A fit of anybody's table on one screen, from its JSON."""
    level, drawn = f"{100 * found['level']:.0f} %", found["bootstrap"]
    ends = [""] * len(found["parameters"])
    if drawn is not None:
        ends = [
            f"[{low:.4g}, {high:.4g}]"
            for low, high in zip(drawn["low"], drawn["high"], strict=True)
        ]
    rows = [
        [
            p["name"],
            f"{p['value']:.6g}",
            _interval(p),
            *[end] * bool(drawn),
            p["unit"],
            " ".join(p["flags"]),
        ]
        for p, end in zip(found["parameters"], ends, strict=True)
    ]
    resampled = [f"{level} of {drawn['n']} resamples"] if drawn else []
    headings = ["parameter", "value", f"{level} interval", *resampled, "unit", ""]
    lines = [
        f"  {left_side(found['link'], found['metric'])}{found['formula']}",
        "",
        *(f"  {line}" for line in plain_table(headings, rows).split("\n")),
        "",
        f"  {found['n_runs']} rows, objective {found['objective']:.12g} ({found['loss']}), "
        f"status {found['status']}",
    ]
    known = [Constraint(**one).said() for one in found["known"]]
    lines += [f"  given {'; '.join(known)}"] * bool(known)
    lines += [f"  note  {w['message']}" for w in found["warnings"]]
    if found["predictions"]:
        flat = [flat_prediction({**p, "distance": {}}) for p in found["predictions"]]
        keys = list(flat[0])
        cells = [[cell(p[k]) for k in keys] for p in flat]
        lines += ["", *(f"  {line}" for line in plain_table(keys, cells).split("\n"))]
    return "\n".join(lines)


def _interval(p: dict[str, Any]) -> str:
    low, high = ("?" if p[k] is None else f"{p[k]:.4g}" for k in ("low", "high"))
    return f"[{low}, {high}]"
