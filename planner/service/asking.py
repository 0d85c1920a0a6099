"""The use case of `plan`: the configuration with the fewest expected errors under limits.

Each use case takes a database URL and plain values, and returns records or plain JSON values. What a
long-lived caller keeps is `Prepared`; `answer_from` then chooses under limits and stores nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Engine

from planner import __version__
from planner.errors import InfeasibleError, InputError, ProbabilityError
from planner.evidence.fit_report import FitReport, warnings_of
from planner.plan import answer as answer_json
from planner.plan import engine_words, explain, influence
from planner.plan.advice import advice
from planner.plan.candidates import CandidateTable
from planner.plan.choice import Decision, decide
from planner.plan.configurations import axis_values
from planner.service.borders import borders_json
from planner.service.fitting import check_task, kept_or_why_not
from planner.service.other_sets import kept_json
from planner.service.prepared import Prepared, prepare
from planner.service.reference import references_json
from planner.store import write
from planner.store.engine import opened
from planner.words.question import PlanQuery
from planner.words.records import canonical_json, to_json

N_TIES = 20
"""Ties that an answer lists."""

LATENCY_RULE = "requests/1+imported"
"""How latency of an utterance is worked out: quantiles over requests (planner/plan/workload.py).

Before `+imported` a latency that a table told without output tokens was taken to be of none, and so was no
measurement of its own configuration."""
FORMAT = "answer/5"
"""Of an answer's JSON, in its id: what an earlier format stored for the same question stays as it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A plan: the JSON answer, and the table and decision that it was made from."""

    json: dict[str, Any]
    table: CandidateTable
    decision: Decision
    report: FitReport
    query: PlanQuery


def plan(db: str | None, query: PlanQuery) -> Answer:
    """The best configuration under the query's limits, stored under an id that replays.

    Raises:
        InputError: no limit is given, or a name is unknown.
        InfeasibleError: nothing meets the limits; `details` holds the nearest and what would do.
        FitError: there is nothing to learn from, or the law may not be planned from.
    """
    query = check_limits(query)
    with opened(db, must_exist=True) as engine:
        answer = answer_from(prepare(engine, query))
        notes = kept_or_why_not(lambda: keep(engine, answer.json))
    told = {note["code"] for note in answer.json["warnings"]}
    answer.json["warnings"] += [note for note in notes if note["code"] not in told]
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


def answer_from(prepared: Prepared) -> Answer:
    """The choice under the limits of the prepared query; nothing is stored.

    Raises:
        InfeasibleError: nothing meets the limits; `details` holds the nearest and what would do.
    """
    prepared = prepared.under_rules()
    query, table, report = prepared.query, prepared.table, prepared.report
    decision = decide(table, query.limits, query.min_prob, query.level)
    answer = _answer(prepared, decision)
    if decision.best is None:
        # Met by every point estimate, but not surely enough: another question would be answered.
        kind = ProbabilityError if "likeliest" in answer else InfeasibleError
        raise kind(answer["message"], answer)
    return Answer(json=answer, table=table, decision=decision, report=report, query=query)


def n_stored(engine: Engine) -> int:
    """How many answers the database holds."""
    return write.n_plans(engine)


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


def _answer(prepared: Prepared, decision: Decision) -> dict[str, Any]:
    """The answer as JSON; its id is a hash of question, evidence and version, so that it replays."""
    query, table, report = prepared.query, prepared.table, prepared.report
    sets = {} if decision.best is None else _other_sets(prepared, decision.best)
    answer: dict[str, Any] = {
        "answer_id": _answer_id(prepared, sets),
        "query": {**to_json(query), "limits": query.limits},
        "fit_id": report.fit_id,
        "evidence_latency_id": prepared.evidence_latency_id,
        "latency_rule": LATENCY_RULE,
        **_engines(prepared),
        "study": to_json(report.evidence.study),
        "n_runs": len(report.evidence.rows),
        "n_candidates": len(table),
        "utterance_seconds": prepared.utterance_seconds,
        "formula": report.fit.formula(),
        "fit_status": report.fit.status,
        "warnings": warnings_of(report),
    }
    if decision.best is None:
        seconds = prepared.utterance_seconds
        return {**answer, "best": None, **answer_json.nothing_fits(table, decision, query, seconds)}
    best = decision.best
    return {
        **answer,
        "best": answer_json.option(table, decision, best, query),
        # Of a fine grid thousands tie; the likeliest are listed and all are counted.
        "ties": [answer_json.option(table, decision, j, query) for j in decision.ties[:N_TIES]],
        "n_ties": len(decision.ties),
        "regret": {"expected": decision.regret, "bound_95": decision.regret_bound},
        "runners_up": answer_json.runners_up(table, decision, query),
        "almost": answer_json.almost(table, decision, query),
        "binding": list(decision.binding),
        "switches": {
            n: {"at": s.value, "config": table.configs[s.index].to_json()}
            for n, s in decision.switches.items()
        },
        "error_change_per_doubling": decision.doubling,
        "steps": answer_json.steps(table, decision, query),
        "elasticity": influence.elasticities(
            report.fit,
            np.array(axis_values(table.configs[best], report.fit.axes, report.evidence.catalogue)),
            query.level,
            query.seed,
        ),
        "carried_by": influence.carried_by(report.fit, report.evidence, table, best),
        "reasons": [
            *explain.reasons(table, decision, query),
            *engine_words.engine_reasons(table, best, query.level),
        ],
        "advice": advice(table, decision, report.evidence, report.fit, query.level),
        "evidence": [r.run_id for r in report.evidence.rows],
        **_reference(prepared, best),
        **_borders(prepared, best),
        **sets,
    }


def _answer_id(prepared: Prepared, sets: dict[str, Any]) -> str:
    """A hash of the question, of all that the answer was made from, and of the version and format."""
    evidence: list[Any] = [prepared.report.fit_id, prepared.evidence_latency_id]
    if prepared.engines.last is not None:
        evidence.append(prepared.engines.last)
    references = [r.row.run_id for r in prepared.references.found]
    if references:
        # They are no part of the law's evidence, and the answer shows them.
        evidence.append(references)
    if sets:
        # Scores on further sets may come long after the runs, and the answer shows them.
        evidence.append(sets)
    if prepared.borders:
        evidence.append([b.engine_evaluation_id for b in prepared.borders])
    identity = canonical_json([to_json(prepared.query), evidence, __version__, FORMAT])
    return hashlib.sha256(identity.encode()).hexdigest()[:12]


def _borders(prepared: Prepared, best: int) -> dict[str, Any]:
    """What window borders cost the answer; nothing where it was not measured, or audio fits one window."""
    table = prepared.table
    found = borders_json(
        prepared.borders,
        table.run_ids[best],
        table.configs[best].audio_seconds,
        prepared.query.level,
    )
    return {"borders": found} if found else {}


def _other_sets(prepared: Prepared, best: int) -> dict[str, Any]:
    """The answer on the further test sets that the question has rules for, and on those that it has none for."""
    sets, found = prepared.sets, prepared.beside(prepared.table.run_ids[best])
    out: dict[str, Any] = {"other_sets": found} if found else {}
    if sets.judged:
        kept = kept_json(sets, best)
        out |= {"kept": kept, "kept_fit_ids": list(sets.fit_ids), "n_not_kept": sets.n_dropped}
    return out


def _engines(prepared: Prepared) -> dict[str, Any]:
    """What is known of the engines of the question; nothing where it names none."""
    if prepared.engines.last is None:
        return {}
    chosen, evidence = prepared.engines.chosen, prepared.report.evidence
    return {
        "evidence_engines": list(prepared.engines.last),
        "engines": engine_words.engines_json(chosen, evidence),
    }


def _reference(prepared: Prepared, best: int) -> dict[str, Any]:
    """The untrained checkpoints beside the answer; nothing where none was scored."""
    found = references_json(prepared.references, prepared.table, best)
    return {"reference": found} if found else {}
