"""After an answer: which runs to do next, and whether earlier answers came true."""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError, NoLawError
from planner.evidence.fit_report import warnings_of
from planner.evidence.study import Evidence
from planner.laws.result import INDEPENDENT, LawFit
from planner.plan.belief import measurements, run_variance
from planner.plan.candidates import CandidateTable
from planner.plan.choice import joint_probability
from planner.plan.cost import Floats
from planner.plan.needed_first import Needed, more_speech, needed_first
from planner.plan.suggest import MOST_RUNS, Suggestion, suggest, value_of_scoring
from planner.service import sweep_file
from planner.service.few_runs import suggested_without_law
from planner.service.prepared import Prepared, prepared_of
from planner.service.verification import _same
from planner.store import read
from planner.store.engine import opened
from planner.store.row_types import Run
from planner.words.asked import check
from planner.words.question import SUGGEST, PlanQuery
from planner.words.records import to_json

WORTH = 1e-4
"""Least value of a run in error: 0.01 points (assumption: nobody decides by less)."""


def suggest_runs(
    db: str | None, query: PlanQuery, hours: float, worth: float = WORTH
) -> dict[str, Any]:
    """The runs that would most improve this decision within so many hours of compute.

    Raises:
        InputError: hours or worth are not positive, or no run's duration is known.
        NoLawError: the runs are too few for a law, and no further one is possible.
    """
    check(SUGGEST, hours=hours, worth=worth)
    try:
        prepared = prepared_of(db, query)
    except NoLawError as problem:
        if not problem.details.get("next"):
            raise
        return suggested_without_law(problem.details, hours, worth)
    return suggest_from(prepared, hours, worth)


def suggest_from(prepared: Prepared, hours: float, worth: float = WORTH) -> dict[str, Any]:
    """As `suggest_runs`, from what was prepared."""
    check(SUGGEST, hours=hours, worth=worth)
    prepared = prepared.under_rules()
    query, table, report = prepared.query, prepared.table, prepared.report
    found = worthwhile(prepared, hours, worth)
    offered = offered_json(table, found)
    return {
        "query": {**to_json(query), "limits": query.limits},
        "fit_id": report.fit_id,
        "hours": hours,
        "worth": worth,
        "suggestions": offered,
        "more_speech": more_speech(report.fit, table.draws[:, found.best]),
        "scoring": _scoring(prepared, found.feasible, worth, offered),
        "verdict": _verdict(table, offered, hours, worth),
        "warnings": warnings_of(report),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Worthwhile:
    """Runs that are worth their time, those that are needed first apart.

    Attributes:
        first: needed before any value can be told.
        chosen: by value an hour.
        hours: that a run of each candidate takes, shape (m,); infinite where none can be made.
        feasible: which candidates may be chosen, shape (m,).
        best: the candidate that errs least among them.
    """

    first: tuple[Needed, ...]
    chosen: tuple[Suggestion, ...]
    hours: Floats
    feasible: NDArray[np.bool_]
    best: int


def worthwhile(
    prepared: Prepared,
    hours: float,
    worth: float,
    barred: Collection[int] = (),
    max_runs: int = MOST_RUNS,
) -> Worthwhile:
    """Which runs to do within so many hours, the most valuable an hour first.

    Args:
        prepared: the question.
        hours: that may be spent; infinite where there is no end.
        worth: least value of a run, in error.
        barred: candidates of which no further run can be made.
        max_runs: most runs by value.
    """
    query, table, report = prepared.query, prepared.table, prepared.report
    feasible = joint_probability(table, query.limits) >= query.min_prob
    if not feasible.any():
        feasible = np.ones(len(table), dtype=bool)
    noise = run_noise(report.evidence, report.fit, table)
    each = run_hours(report.evidence, table)
    each[list(barred)] = np.inf
    best = int(np.where(feasible, table.error, np.inf).argmin())
    first = needed_first(report.evidence, report.fit, table.run_ids, best)
    needs = np.cumsum([each[n.index] for n in first])
    first = tuple(n for n, used in zip(first, needs.tolist(), strict=True) if used <= hours)
    first = tuple(n for n in first if np.isfinite(each[n.index]))
    left = hours - float(sum(each[n.index] for n in first))
    chosen = suggest(table.draws, noise, each, feasible, left, worth, min(max_runs, MOST_RUNS))
    return Worthwhile(first=first, chosen=chosen, hours=each, feasible=feasible, best=best)


def offered_json(table: CandidateTable, found: Worthwhile) -> list[dict[str, Any]]:
    """The runs as plain values, in the order in which they are to be done."""
    return [
        *(_needed_json(table, n, float(found.hours[n.index])) for n in found.first),
        *(_suggestion_json(table, s) for s in found.chosen),
    ]


def _scoring(
    prepared: Prepared, feasible: NDArray[np.bool_], worth: float, offered: list[dict[str, Any]]
) -> dict[str, Any] | None:
    """What scoring the models there are on as much speech again is worth to the choice, beside runs.

    None where their noise is not known apart from seeds, or no time of scoring is.
    """
    table, evidence, fit = prepared.table, prepared.report.evidence, prepared.report.fit
    seconds = [r.score_seconds for r in evidence.rows if r.score_seconds]
    at = np.array([j for j, ids in enumerate(table.run_ids) if ids], dtype=np.int64)
    if fit.rule == INDEPENDENT or len(seconds) < len(evidence.rows) or not len(at):
        return None
    level = table.error[at]
    noise = np.diag(run_variance(fit, math.nan) * level**2) + fit.common * np.outer(level, level)
    value, p_change = value_of_scoring(table.draws, at, noise, feasible)
    hours = float(sum(seconds)) / 3600.0
    best = max((s["value_per_hour"] for s in offered if s["value_per_hour"]), default=0.0)
    first = value >= worth and value / hours > best
    text = (
        f"scoring the {len(evidence.rows)} models there are on as much speech again takes {hours:.2g} h and lowers "
        f"the expected error of the choice by {100 * value:.2g} points (P(changes it) {p_change:.2f})"
    )
    text += (
        ": do that before you train anything"
        if first
        else ", less an hour than the runs above" * bool(best)
    )
    return {
        "value": value, "hours": hours, "value_per_hour": value / hours, "p_change": p_change,
        "first": first, "text": text,
    }  # fmt: skip


def run_noise(evidence: Evidence, fit: LawFit, table: CandidateTable) -> Floats:
    """Variance of one more run's error about its configuration's own, shape (m,)."""
    typical = measurements(evidence, ()).typical
    return np.asarray(run_variance(fit, typical) * table.error**2)


def _verdict(
    table: CandidateTable, offered: list[dict[str, Any]], hours: float, worth: float
) -> str:
    none = (
        f"none is worth it: no run of {len(table)} within {hours:.2g} hours lowers the expected "
        f"error of the choice by {100 * worth:.2g} points"
    )
    if not offered:
        return none
    used = sum(s["hours"] for s in offered)
    said = f"{len(offered)} runs, {used:.2g} of {hours:.2g} hours"
    return said if offered[-1]["value"] is not None else f"{said}; beyond those needed first {none}"


def _suggestion_json(table: CandidateTable, s: Suggestion) -> dict[str, Any]:
    return {
        "config": table.configs[s.index].trained.to_json(),
        "label": table.configs[s.index].trained.label,
        "value": s.value,
        "hours": s.hours,
        "value_per_hour": s.value_per_hour,
        "p_change": s.p_change,
        "runs_so_far": len(table.run_ids[s.index]),
        "why": "value for this decision",
    }


def _needed_json(table: CandidateTable, needed: Needed, hours: float) -> dict[str, Any]:
    """A run that is needed before its value can be told: that is None."""
    return {
        "config": table.configs[needed.index].trained.to_json(),
        "label": table.configs[needed.index].trained.label,
        "value": None,
        "hours": hours,
        "value_per_hour": None,
        "p_change": None,
        "runs_so_far": len(table.run_ids[needed.index]),
        "why": needed.why,
    }


def run_hours(evidence: Evidence, table: CandidateTable) -> Floats:
    """Hours that a run of each candidate takes: as measured, else by FLOPs from those measured."""
    rows = [r for r in evidence.rows if r.train_seconds]
    if not rows:
        raise InputError(
            "no run of this study has a duration, so the value of a run cannot be set against its "
            "cost; suggest works on runs that were trained here"
        )
    seconds = {r.run_id: _seconds(r) for r in rows}
    flops = table.costs["flops"].value
    measured = [
        (j, np.mean([seconds[i] for i in ids if i in seconds]))
        for j, ids in enumerate(table.run_ids)
        if any(i in seconds for i in ids)
    ]
    rate = float(np.median([s / flops[j] for j, s in measured]))
    out = rate * flops
    for j, s in measured:
        out[j] = s
    return np.asarray(out / 3600.0, dtype=np.float64)


def _seconds(row: Run) -> float:
    return float(row.train_seconds or 0.0) + float(row.score_seconds or 0.0)


def sweep_text(db: str | None, suggested: dict[str, Any], name: str) -> str:
    """The suggested runs as a sweep file that `soundscale sweep run` takes.

    The data, the optimisation and everything else are those of the sweep that the evidence is from;
    each suggested configuration that was run before gets a seed of its own.

    Raises:
        InputError: the evidence does not come from a sweep of this database.
    """
    runs = suggested["suggestions"]
    seed = max((s["runs_so_far"] for s in runs), default=0)
    # A run is trained once, whatever engines it is suggested for.
    once = {tuple(s["config"].get(axis) for axis in sweep_file.AXES): s["config"] for s in runs}
    configs = list(once.values())
    return _sweep_of(db, suggested["query"]["task"], configs, name, seed)


def _sweep_of(
    db: str | None, task: str, configs: list[dict[str, Any]], name: str, seed: int
) -> str:
    with opened(db, must_exist=True) as engine:
        names = [sweep.name for sweep in reversed(read.sweeps(engine))]
        newest_first = (read.sweep_status(engine, each).spec_json for each in names)
        spec = sweep_file.how_runs_are_made(newest_first, task, configs)
    return sweep_file.toml_text(sweep_file.sweep_of_runs(spec, configs, name, [seed]))


def verification_sweep(db: str | None, answer_id: str) -> str:
    """A sweep file with the recommended configuration of an answer, with a seed that was not run.

    Raises:
        InputError: there is no such answer, or no sweep tells how its runs were made.
    """
    with opened(db, must_exist=True) as engine:
        stored = read.plan(engine, answer_id)
        answer = json.loads(stored.answer_json)
        config, study = answer["best"]["config"], answer["study"]
        rows = read.runs(engine, task=stored.task)
        seen = [r for r in rows if _same(r, config, {**study, "metric": r.metric})]
    seed = max((r.trial.seed for r in seen), default=-1) + 1
    return _sweep_of(db, stored.task, [config], f"verify-{stored.answer_id}", seed)
