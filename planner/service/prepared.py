"""A question before its limits: its names resolved, the law, and every candidate with error and costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy import Engine

from planner.errors import FitError, NoLawError
from planner.evidence.fit_report import FitReport
from planner.laws.result import LawFit
from planner.plan import candidates
from planner.plan.candidates import CandidateTable
from planner.plan.configurations import config_of
from planner.service import devices
from planner.service.circumstances import AsOf, latencies_of, latency_model, resolved, workload_of
from planner.service.engines import Engines, engines_of
from planner.service.few_runs import measured
from planner.service.fitting import check_task, fit
from planner.service.other_sets import Sets, keepers, sets_of
from planner.service.reference import References, references_of
from planner.service.sets_beside import beside
from planner.store.engine import opened
from planner.store.read_engines import border_losses
from planner.words.engine_records import BorderLoss
from planner.words.question import PlanQuery

UNUSABLE = frozenset({"not-converged"})
"""Statuses of a law that the planner refuses unless told to accept them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A question with its names resolved, every candidate with predictions and costs, and the law."""

    query: PlanQuery
    table: CandidateTable
    report: FitReport
    evidence_latency_id: int | None = None
    engines: Engines = field(default_factory=Engines)
    references: References = field(default_factory=References)
    borders: tuple[BorderLoss, ...] = ()
    sets: Sets = field(default_factory=Sets)
    beside: Callable[[Sequence[int]], list[dict[str, Any]]] = field(
        default=lambda run_ids: [], compare=False
    )
    """What runs err on the further test sets that the question says nothing of."""
    utterance_seconds: float | None = None
    """Mean length of the utterances that costs are of; None where no run tells it."""

    def under_rules(self) -> Prepared:
        """The same with the candidates alone that keep the question's rules on further test sets.

        Raises:
            InfeasibleError: none keeps them.
        """
        if not self.sets.judged:
            return self
        least, memo = self.query.min_prob, self.table.memo
        if memo.get("keepers", (None,))[0] != least:
            met = keepers(self.table, self.sets, least, self.query.limits)
            # The last one alone: a table of many candidates is large, and mostly one limit moves.
            memo["keepers"] = least, self.table.among(met), self.sets.among(met)
        _, table, sets = memo["keepers"]
        return dataclasses.replace(self, table=table, sets=sets)


def prepare(engine: Engine, query: PlanQuery, as_of: AsOf | None = None) -> Prepared:
    """All that an answer needs and that does not depend on the limits; it may be kept and reused.

    Raises:
        NoLawError: the runs are too few for a law; `details` has what they measured.
        FitError: there is nothing to learn from, or the law may not be planned from.
    """
    try:
        report = usable_fit(engine, query, as_of)
    except NoLawError as problem:
        raise NoLawError(str(problem), measured(engine, query, problem)) from None
    query = resolved(engine, query)
    stored = latencies_of(engine, query, as_of)
    latency = latency_model(engine, query, stored, report.evidence, as_of)
    deployed = engines_of(
        engine, query, report.evidence, latency, None if as_of is None else as_of.engines
    )
    by_window = as_of is not None and as_of.by_window
    workload = dataclasses.replace(workload_of(engine, report.evidence), by_window=by_window)
    build = partial(
        candidates.build, evidence=report.evidence, fit=report.fit, latency=latency,
        workload=workload, device=devices.described(engine, query.device),
        engines=deployed.chosen,
    )  # fmt: skip
    table = build(query)
    # Of a reference only the costs count, however far it lies from the runs.
    alone = dataclasses.replace(query.without_limits, extrapolate=True, n_draws=2)
    references = references_of(
        engine, report.evidence,
        # Of no training audio there is no level of the law, and only costs are asked.
        lambda trial: build(
            alone, configs=[candidates.with_data_level(config_of(trial), report.evidence)]
        ),
    )  # fmt: skip
    last = max((s.latency_id for s in stored), default=None)
    return Prepared(
        query=query, table=table, report=report, evidence_latency_id=last, engines=deployed,
        references=references,
        sets=sets_of(
            engine, query, report.evidence, table, None if as_of is None else as_of.set_fits
        ),
        beside=beside(engine, query),
        borders=tuple(border_losses(engine, [r.run_id for r in report.evidence.rows])),
        utterance_seconds=query.utterance_seconds or workload.mean_seconds,
    )  # fmt: skip


def prepared_of(db: str | None, query: PlanQuery) -> Prepared:
    """As `prepare`, on the database of that URL.

    Raises:
        UnknownNameError: there is no such task.
    """
    check_task(query.task)
    with opened(db, must_exist=True) as engine:
        return prepare(engine, query)


def usable_fit(engine: Engine, query: PlanQuery, as_of: AsOf | None = None) -> FitReport:
    """The law of the query's runs, fitted now where it is not stored.

    Raises:
        FitError: there is nothing to learn from, or the law may not be planned from.
    """
    run_ids, fit_id = (None, None) if as_of is None else (as_of.run_ids, as_of.fit_id)
    report = fit(
        engine, query.task, source=query.source, dataset=query.dataset, adaptation=query.adaptation,
        seed=query.seed, run_ids=run_ids, fit_id=fit_id, test_set=query.test_set,
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


def why_unknown(table: CandidateTable, cost: str) -> str:
    """Why a cost is not known for these candidates, and what to do."""
    return table.unknown.get(cost, f"{cost} is not known for these runs: measure it")
