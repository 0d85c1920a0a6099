"""The use cases: what a command, the HTTP service and a notebook call alike.

The only room that joins the store and the mathematics. Each function takes a database URL and plain
values, and returns records or plain JSON values.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Engine

from planner import __version__
from planner.costs.flops.lengths import check_seconds
from planner.errors import FitError, InfeasibleError, InputError, ProbabilityError
from planner.laws.result import LawFit
from planner.plan import answer as answer_json
from planner.plan import candidates, explain, influence
from planner.plan.candidates import CandidateTable
from planner.plan.choice import Decision, decide
from planner.plan.configurations import Config, axis_values
from planner.plan.question import PlanQuery
from planner.plan.target import decide_target
from planner.service.circumstances import AsOf, latencies_of, latency_model, resolved, workload_of
from planner.service.fitting import (
    FitReport,
    ImportReport,
    check_task,
    fit,
    fit_with,
    import_results,
    warnings_of,
)
from planner.store import read, write
from planner.store.engine import opened
from planner.words import catalogue
from planner.words.axes import COMPUTE_AXES
from planner.words.records import Reduction, canonical_json, to_json

__all__ = [
    "Answer",
    "FitReport",
    "ImportReport",
    "Prepared",
    "answer_from",
    "candidates_for",
    "check_limits",
    "check_task",
    "fit",
    "import_results",
    "keep",
    "plan",
    "plan_target",
    "prepare",
    "prepared_of",
    "replay",
    "target_from",
    "warnings_of",
    "whatif",
    "whatif_with",
    "why_unknown",
]

N_TIES = 20
"""Ties that an answer lists."""

UNUSABLE = frozenset({"not-converged"})
"""Statuses of a law that the planner refuses unless told to accept them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A plan: the JSON answer, and the table and decision that it was made from."""

    json: dict[str, Any]
    table: CandidateTable
    decision: Decision
    report: FitReport
    query: PlanQuery


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A question with its names resolved, every candidate with predictions and costs, and the law."""

    query: PlanQuery
    table: CandidateTable
    report: FitReport
    evidence_latency_id: int | None = None


def plan(db: str | None, query: PlanQuery) -> Answer:
    """The best configuration under the query's limits, stored under an id that replays.

    Raises:
        InputError: no limit is given, or a name is unknown.
        InfeasibleError: nothing meets the limits; `details` holds the nearest and what would do.
        FitError: there is nothing to learn from, or the law may not be planned from.
    """
    query = check_limits(query)
    with opened(db, must_exist=True) as engine:
        prepared = prepare(engine, query)
        answer = answer_from(prepared)
        keep(engine, answer.json)
    return answer


def check_limits(query: PlanQuery) -> PlanQuery:
    """The query, if it is one that a plan answers.

    Raises:
        InputError: the task is unknown, or no limit is given.
    """
    check_task(query.task)
    if not query.limits:
        raise InputError("no limit is given: say at least one of --flops, --latency, --memory")
    return query


def prepare(engine: Engine, query: PlanQuery, as_of: AsOf | None = None) -> Prepared:
    """All that an answer needs and that does not depend on the limits; it may be kept and reused.

    Raises:
        FitError: there is nothing to learn from, or the law may not be planned from.
    """
    report = _usable_fit(engine, query, as_of)
    query = resolved(engine, query)
    stored = latencies_of(engine, query, as_of)
    latency = latency_model(engine, query, stored)
    table = candidates.build(
        query, report.evidence, report.fit, workload_of(engine, report), latency
    )
    last = max((s.latency_id for s in stored), default=None)
    return Prepared(query=query, table=table, report=report, evidence_latency_id=last)


def answer_from(prepared: Prepared) -> Answer:
    """The choice under the limits of the prepared query; nothing is stored.

    Raises:
        InfeasibleError: nothing meets the limits; `details` holds the nearest and what would do.
    """
    query, table, report = prepared.query, prepared.table, prepared.report
    decision = decide(table, query.limits, query.min_prob, query.level)
    answer = _answer(prepared, decision)
    if decision.best is None:
        # Met by every point estimate, but not surely enough: another question would be answered.
        kind = ProbabilityError if "likeliest" in answer else InfeasibleError
        raise kind(answer["message"], answer)
    return Answer(json=answer, table=table, decision=decision, report=report, query=query)


def keep(engine: Engine, answer: dict[str, Any]) -> None:
    """Store an answer, as its JSON, under its id; the same answer again changes nothing."""
    query = {name: value for name, value in answer["query"].items() if name != "limits"}
    row = write.PlanRow(
        answer_id=answer["answer_id"],
        fit_id=answer["fit_id"],
        task=query["task"],
        query_json=canonical_json(query),
        answer_json=canonical_json(answer),
        version=__version__,
    )
    write.save_plan(engine, row)


def plan_target(
    db: str | None, query: PlanQuery, max_error: float, minimise: str
) -> dict[str, Any]:
    """The least of one resource for a quality, under the query's other limits.

    Raises:
        InfeasibleError: no configuration reaches the target; says which one would be reached.
    """
    check_task(query.task)
    with opened(db, must_exist=True) as engine:
        prepared = prepare(engine, query)
    return target_from(prepared, max_error, minimise)


def target_from(prepared: Prepared, max_error: float, minimise: str) -> dict[str, Any]:
    """As `plan_target`, from what was prepared."""
    query, table, report = prepared.query, prepared.table, prepared.report
    if not 0 < max_error < 1:
        raise InputError(
            f"the target error must lie between 0 and 1 (8% or 0.08), got {max_error:g}"
        )
    if minimise not in table.costs:
        raise InputError(why_unknown(table, minimise))
    found = decide_target(table, max_error, minimise, query.limits, query.min_prob)
    decision = decide(table, query.limits, query.min_prob, query.level)
    answer = {
        "query": {
            **to_json(query),
            "limits": query.limits,
            "error": max_error,
            "minimise": minimise,
        },
        "fit_id": report.fit_id,
        "n_runs": len(report.evidence.rows),
        "warnings": warnings_of(report),
        **answer_json.target_json(table, found, decision, query, max_error, minimise),
    }
    if found.best is None:
        raise InfeasibleError(answer["message"], answer)
    return answer


def why_unknown(table: CandidateTable, name: str) -> str:
    """Why a cost is not known for these candidates, and what to do."""
    return table.unknown.get(name, f"{name} is not known for these runs: measure it")


def whatif(
    db: str | None, query: PlanQuery, backbone: str, audio_seconds: float, reduction: str
) -> dict[str, Any]:
    """One configuration's prediction, costs and probability of each limit, measured or not."""
    check_task(query.task)
    with opened(db, must_exist=True) as engine:
        report = _usable_fit(engine, query)
        return whatif_with(
            engine, resolved(engine, query), report, backbone, audio_seconds, reduction
        )


def whatif_with(
    engine: Engine,
    query: PlanQuery,
    report: FitReport,
    backbone: str,
    audio_seconds: float,
    reduction: str,
) -> dict[str, Any]:
    """As `whatif`, for a resolved query and its law."""
    check_seconds(catalogue.backbone(backbone), audio_seconds)
    config = Config(
        backbone=catalogue.backbone(backbone).name,
        audio_seconds=audio_seconds,
        reduction=Reduction.parse(reduction),
        adaptation=report.evidence.rows[0].trial.adaptation,
        padding=report.evidence.rows[0].trial.padding,
    )
    latency = latency_model(engine, query, latencies_of(engine, query))
    workload = workload_of(engine, report)
    table = candidates.build(query, report.evidence, report.fit, workload, latency, [config])
    decision = decide(table, query.limits, query.min_prob, query.level)
    return {
        **answer_json.option(table, decision, 0, query),
        "query": {**to_json(query), "limits": query.limits},
        "fit_id": report.fit_id,
        "n_runs": len(report.evidence.rows),
        "warnings": warnings_of(report),
    }


def replay(db: str | None, answer_id: str) -> tuple[bool, dict[str, Any]]:
    """Make a stored answer again from what it knew; whether it is the same, and the answer now."""
    with opened(db, must_exist=True) as engine:
        stored = read.plan(engine, answer_id)
        before = json.loads(stored.answer_json)
        runs = read.fit(engine, before["fit_id"]).runs
        as_of = AsOf(
            fit_id=before["fit_id"],
            run_ids=frozenset(r[0] for r in runs),
            latency_id=before["evidence_latency_id"],
        )
        prepared = prepare(engine, PlanQuery(**json.loads(stored.query_json)), as_of)
    now = answer_from(prepared).json
    return canonical_json(_as_stored(now, before)) == stored.answer_json, now


def _as_stored(now: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """The answer without the keys that answers did not have yet when this one was stored."""
    if all("tie" in entry for entry in before.get("runners_up", ())):
        return now
    bare = [{k: v for k, v in entry.items() if k != "tie"} for entry in now["runners_up"]]
    return {**now, "runners_up": bare}


def candidates_for(db: str | None, query: PlanQuery) -> tuple[PlanQuery, CandidateTable, FitReport]:
    """All candidates with predictions and costs, for the frontier, what-if and notebooks."""
    prepared = prepared_of(db, query)
    return prepared.query, prepared.table, prepared.report


def prepared_of(db: str | None, query: PlanQuery) -> Prepared:
    """As `prepare`, on the database of that URL."""
    check_task(query.task)
    with opened(db, must_exist=True) as engine:
        return prepare(engine, query)


def _usable_fit(engine: Engine, query: PlanQuery, as_of: AsOf | None = None) -> FitReport:
    known = (None, None) if as_of is None else (as_of.run_ids, as_of.fit_id)
    report = fit_with(
        engine, query.task, query.source, query.dataset, query.adaptation, COMPUTE_AXES,
        "auto", "log", query.seed, *known,
    )  # fmt: skip
    if set(report.fit.statuses) & UNUSABLE and not query.accept_status:
        raise FitError(
            f"the law of {report.evidence.study.label} is not fit to plan from "
            f"({report.fit.status}): {_first_warning(report.fit)}; add runs, or accept it "
            "with --accept-status"
        )
    return report


def _first_warning(fitted: LawFit) -> str:
    return fitted.warnings[0].message if fitted.warnings else "see soundscale fit show"


def _answer(prepared: Prepared, decision: Decision) -> dict[str, Any]:
    """The answer as JSON; its id is a hash of question, evidence and version, so that it replays."""
    query, table, report = prepared.query, prepared.table, prepared.report
    known = [report.fit_id, prepared.evidence_latency_id]
    identity = canonical_json([to_json(query), known, __version__])
    answer: dict[str, Any] = {
        "answer_id": hashlib.sha256(identity.encode()).hexdigest()[:12],
        "query": {**to_json(query), "limits": query.limits},
        "fit_id": report.fit_id,
        "evidence_latency_id": prepared.evidence_latency_id,
        "study": to_json(report.evidence.study),
        "n_runs": len(report.evidence.rows),
        "n_candidates": len(table),
        "formula": report.fit.formula(),
        "fit_status": report.fit.status,
        "warnings": warnings_of(report),
    }
    if decision.best is None:
        return {**answer, "best": None, **answer_json.nothing_fits(table, decision, query)}
    best = decision.best
    return {
        **answer,
        "best": answer_json.option(table, decision, best, query),
        # Of a fine grid thousands tie; the likeliest are listed and all are counted.
        "ties": [answer_json.option(table, decision, j, query) for j in decision.ties[:N_TIES]],
        "n_ties": len(decision.ties),
        "regret": {"expected": decision.regret, "bound_95": decision.regret_bound},
        "runners_up": answer_json.runners_up(table, decision, query),
        "binding": list(decision.binding),
        "switches": {
            n: {"at": s.value, "config": table.configs[s.index].to_json()}
            for n, s in decision.switches.items()
        },
        "error_change_per_doubling": decision.doubling,
        "steps": answer_json.steps(table, decision, query),
        "elasticity": influence.elasticities(
            report.fit,
            np.array(axis_values(table.configs[best], report.fit.axes)),
            query.level,
            query.seed,
        ),
        "carried_by": influence.carried_by(report.fit, report.evidence, table, best),
        "reasons": explain.reasons(table, decision, query),
        "evidence": [r.run_id for r in report.evidence.rows],
    }
