"""The use cases: what a command, the HTTP service and a notebook call alike.

The only room that joins the store and the mathematics. Each function takes a database URL and plain
values, and returns records or plain JSON values.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from planner import __version__, candidates, catalogue
from planner.axes import COMPUTE_AXES
from planner.costs.flops import resolve_convention
from planner.costs.latency import LatencyModel, fit_latency_model
from planner.errors import FitError, InfeasibleError, InputError, UnknownNameError
from planner.laws.result import LawFit
from planner.learning import (
    FitReport,
    ImportReport,
    check_task,
    fit,
    fit_with,
    import_results,
    warnings_of,
)
from planner.plan import explain
from planner.plan.query import CandidateTable, Config, PlanQuery
from planner.plan.search import Decision, decide
from planner.plan.target import decide_target
from planner.records import Reduction, canonical_json, to_json
from planner.store import read, write
from planner.store.engine import open_store

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
    "replay",
    "target_from",
    "warnings_of",
    "whatif",
    "whatif_with",
]

DEFAULT_OUTPUT_TOKENS_PER_SECOND = 3.3
"""Output tokens for each second of speech where no run tells: assumption (English, 2.8 words/s in
LibriSpeech dev-clean by its manifest, about 1.2 tokens a word)."""

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


def plan(db: str | None, query: PlanQuery) -> Answer:
    """The best configuration under the query's limits, stored under an id that replays.

    Raises:
        InputError: no limit is given, or a name is unknown.
        InfeasibleError: nothing meets the limits; `details` holds the nearest and what would do.
        FitError: there is nothing to learn from, or the law may not be planned from.
    """
    query = check_limits(query)
    engine = open_store(db, must_exist=True)
    try:
        prepared = prepare(engine, query)
        answer = answer_from(prepared)
        keep(engine, answer)
    finally:
        engine.dispose()
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


def prepare(engine: Engine, query: PlanQuery) -> Prepared:
    """All that an answer needs and that does not depend on the limits; it may be kept and reused.

    Raises:
        FitError: there is nothing to learn from, or the law may not be planned from.
    """
    query, table, report = _table(engine, query)
    return Prepared(query=query, table=table, report=report)


def answer_from(prepared: Prepared) -> Answer:
    """The choice under the limits of the prepared query; nothing is stored.

    Raises:
        InfeasibleError: nothing meets the limits; `details` holds the nearest and what would do.
    """
    query, table, report = prepared.query, prepared.table, prepared.report
    decision = decide(table, query.limits, query.min_prob, query.level)
    answer = _answer(query, table, decision, report)
    if decision.best is None:
        raise InfeasibleError(answer["message"], answer)
    return Answer(json=answer, table=table, decision=decision, report=report, query=query)


def keep(engine: Engine, answer: Answer) -> None:
    """Store an answer under its id; the same answer again changes nothing."""
    write.save_plan(engine, _plan_row(answer.json, answer.report.fit_id, answer.query))


def plan_target(
    db: str | None, query: PlanQuery, max_error: float, minimise: str
) -> dict[str, Any]:
    """The least of one resource for a quality, under the query's other limits.

    Raises:
        InfeasibleError: no configuration reaches the target; says which one would be reached.
    """
    check_task(query.task)
    engine = open_store(db, must_exist=True)
    try:
        prepared = prepare(engine, query)
    finally:
        engine.dispose()
    return target_from(prepared, max_error, minimise)


def target_from(prepared: Prepared, max_error: float, minimise: str) -> dict[str, Any]:
    """As `plan_target`, from what was prepared."""
    query, table, report = prepared.query, prepared.table, prepared.report
    if not 0 < max_error < 1:
        raise InputError(
            f"the target error must lie between 0 and 1 (8% or 0.08), got {max_error:g}"
        )
    if minimise not in table.costs:
        raise InputError(f"{minimise} is not known for these runs: measure it, or minimise flops")
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
        **explain.target_json(table, found, decision, query, max_error, minimise),
    }
    if found.best is None:
        raise InfeasibleError(answer["message"], answer)
    return answer


def whatif(
    db: str | None, query: PlanQuery, backbone: str, audio_seconds: float, reduction: str
) -> dict[str, Any]:
    """One configuration's prediction, costs and probability of each limit, measured or not."""
    check_task(query.task)
    engine = open_store(db, must_exist=True)
    try:
        report = _usable_fit(engine, query)
        return whatif_with(
            engine, _resolved(engine, query), report, backbone, audio_seconds, reduction
        )
    finally:
        engine.dispose()


def whatif_with(
    engine: Engine,
    query: PlanQuery,
    report: FitReport,
    backbone: str,
    audio_seconds: float,
    reduction: str,
) -> dict[str, Any]:
    """As `whatif`, for a resolved query and its law."""
    config = Config(
        backbone=catalogue.backbone(backbone).name,
        audio_seconds=audio_seconds,
        reduction=Reduction.parse(reduction),
        adaptation=report.evidence.rows[0].trial.adaptation,
        padding=report.evidence.rows[0].trial.padding,
    )
    workload, latency = _workload(engine, report), _latency_model(engine, query)
    table = candidates.build(query, report.evidence, report.fit, workload, latency, [config])
    decision = decide(table, query.limits, query.min_prob, query.level)
    return {
        **explain.option(table, decision, 0, query),
        "query": {**to_json(query), "limits": query.limits},
        "fit_id": report.fit_id,
        "n_runs": len(report.evidence.rows),
        "warnings": warnings_of(report),
    }


def replay(db: str | None, answer_id: str) -> tuple[bool, dict[str, Any]]:
    """Make a stored answer again; whether it equals what was stored, and the answer now."""
    engine = open_store(db, must_exist=True)
    try:
        stored = read.plan(engine, answer_id)
        query = PlanQuery(**json.loads(stored.query_json))
        query, table, report = _table(engine, query)
    finally:
        engine.dispose()
    decision = decide(table, query.limits, query.min_prob, query.level)
    now = _answer(query, table, decision, report)
    return canonical_json(now) == stored.answer_json, now


def candidates_for(db: str | None, query: PlanQuery) -> tuple[PlanQuery, CandidateTable, FitReport]:
    """All candidates with predictions and costs, for the frontier, what-if and notebooks."""
    check_task(query.task)
    engine = open_store(db, must_exist=True)
    try:
        return _table(engine, query)
    finally:
        engine.dispose()


def _table(engine: Engine, query: PlanQuery) -> tuple[PlanQuery, CandidateTable, FitReport]:
    report = _usable_fit(engine, query)
    query = _resolved(engine, query)
    latency = _latency_model(engine, query)
    table = candidates.build(query, report.evidence, report.fit, _workload(engine, report), latency)
    return query, table, report


def _usable_fit(engine: Engine, query: PlanQuery) -> FitReport:
    report = fit_with(
        engine, query.task, query.source, query.dataset, query.adaptation, COMPUTE_AXES,
        "auto", "log", query.seed,
    )  # fmt: skip
    if set(report.fit.statuses) & UNUSABLE and not query.accept_status:
        raise FitError(
            f"the law of {report.evidence.study.label} is not fit to plan from "
            f"({report.fit.status}): {_first_warning(report.fit)}; add runs, or accept it "
            "with --accept-status"
        )
    return report


def _resolved(engine: Engine, query: PlanQuery) -> PlanQuery:
    """The query with its convention's full name and the device that latency is meant on."""
    convention = resolve_convention(query.convention)
    return dataclasses.replace(query, convention=convention, device=_device(engine, query))


def _first_warning(fitted: LawFit) -> str:
    return fitted.warnings[0].message if fitted.warnings else "see soundscale fit show"


def _device(engine: Engine, query: PlanQuery) -> str | None:
    """The device that latency is asked for: named, or the only one that was measured."""
    known = sorted({s.latency.device.name for s in read.latencies(engine)})
    if query.device is not None:
        if query.device not in known:
            remedy = "measure it with: soundscale probe" if not known else ""
            raise UnknownNameError("device", query.device, known, remedy=remedy)
        return query.device
    if len(known) == 1:
        return known[0]
    if query.latency_ms is None:
        return None
    if not known:
        raise InputError(
            "a latency limit needs a device with measurements and the database has none; "
            "run a sweep or soundscale probe on the device"
        )
    raise InputError(f"a latency limit needs a device; say --device with one of {', '.join(known)}")


def _latency_model(engine: Engine, query: PlanQuery) -> LatencyModel | None:
    if query.device is None:
        return None
    stored = read.latencies(engine, device=query.device)
    return fit_latency_model([s.latency for s in stored])


def _workload(engine: Engine, report: FitReport) -> candidates.Workload:
    """Durations and output tokens of the utterances that the study scored."""
    rows = report.evidence.rows
    means = [r.mean_output_tokens for r in rows if r.mean_output_tokens is not None]
    seconds = tuple(read.utterance_seconds(engine, rows[0].run_id))
    if report.evidence.study.task != "asr":
        return candidates.Workload(seconds=seconds, output_tokens=0.0, source="no decoder")
    if means:
        mean = sum(means) / len(means)
        source = f"measured mean of {len(means)} runs"
        return candidates.Workload(seconds=seconds, output_tokens=mean, source=source)
    longest = max(r.trial.audio_seconds for r in rows)
    length = sum(seconds) / len(seconds) if seconds else longest
    tokens = DEFAULT_OUTPUT_TOKENS_PER_SECOND * length
    return candidates.Workload(seconds=seconds, output_tokens=tokens, source="assumption")


def _answer(
    query: PlanQuery, table: CandidateTable, decision: Decision, report: FitReport
) -> dict[str, Any]:
    """The answer as JSON; its id is a hash of question, fit and version, so that it replays."""
    identity = canonical_json([to_json(query), report.fit_id, __version__])
    answer: dict[str, Any] = {
        "answer_id": hashlib.sha256(identity.encode()).hexdigest()[:12],
        "query": {**to_json(query), "limits": query.limits},
        "fit_id": report.fit_id,
        "study": to_json(report.evidence.study),
        "n_runs": len(report.evidence.rows),
        "n_candidates": len(table),
        "formula": report.fit.formula(),
        "fit_status": report.fit.status,
        "warnings": warnings_of(report),
    }
    if decision.best is None:
        return {**answer, "best": None, **explain.nothing_fits(table, decision, query)}
    best = decision.best
    return {
        **answer,
        "best": explain.option(table, decision, best, query),
        "ties": [explain.option(table, decision, j, query) for j in decision.ties],
        "regret": {"expected": decision.regret, "bound_95": decision.regret_bound},
        "runners_up": explain.runners_up(table, decision, query),
        "binding": list(decision.binding),
        "switches": {
            n: {"at": s.value, "config": table.configs[s.index].to_json()}
            for n, s in decision.switches.items()
        },
        "error_change_per_doubling": decision.doubling,
        "reasons": explain.reasons(table, decision, query),
        "evidence": [r.run_id for r in report.evidence.rows],
    }


def _plan_row(answer: dict[str, Any], fit_id: str, query: PlanQuery) -> write.PlanRow:
    return write.PlanRow(
        answer_id=answer["answer_id"],
        fit_id=fit_id,
        task=query.task,
        query_json=canonical_json(to_json(query)),
        answer_json=canonical_json(answer),
        version=__version__,
    )
