"""The use case of `whatif`: one configuration, measured or not."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine

from planner.costs.flops.lengths import check_seconds
from planner.errors import InputError
from planner.evidence.fit_report import FitReport, warnings_of
from planner.plan import answer as answer_json
from planner.plan import candidates
from planner.plan.choice import decide
from planner.plan.configurations import Config
from planner.plan.engines import Deployed
from planner.service import devices
from planner.service.circumstances import latencies_of, latency_model, resolved, workload_of
from planner.service.engines import engines_of
from planner.service.fitting import check_task
from planner.service.other_sets import kept_json, sets_of
from planner.service.prepared import usable_fit
from planner.store.engine import opened
from planner.words.question import PlanQuery
from planner.words.records import Reduction, to_json


def whatif(
    db: str | None, query: PlanQuery, backbone: str, audio_seconds: float, reduction: str
) -> dict[str, Any]:
    """One configuration's prediction, costs and probability of each limit.

    Raises:
        InputError: the backbone does not take the length or the reduction.
        OutsideDataError: it lies too far outside the data.
    """
    check_task(query.task)
    with opened(db, must_exist=True) as engine:
        report = usable_fit(engine, query)
        return whatif_from(
            engine, resolved(engine, query), report, backbone, audio_seconds, reduction
        )


def whatif_from(
    engine: Engine,
    query: PlanQuery,
    report: FitReport,
    backbone: str,
    audio_seconds: float,
    reduction: str,
) -> dict[str, Any]:
    """As `whatif`, for a resolved query and its law."""
    shape = report.evidence.catalogue.backbone(backbone)
    check_seconds(shape, audio_seconds)
    config = Config(
        backbone=shape.name,
        audio_seconds=audio_seconds,
        reduction=Reduction.parse(reduction),
        adaptation=report.evidence.rows[0].trial.adaptation,
        padding=report.evidence.rows[0].trial.padding,
    )
    config = candidates.with_data_level(config, report.evidence)
    latency = latency_model(engine, query, latencies_of(engine, query), report.evidence)
    deployed = engines_of(engine, query, report.evidence, latency).chosen
    workload = workload_of(engine, report.evidence)
    table = candidates.build(
        query, report.evidence, report.fit, workload, latency, [config],
        device=devices.described(engine, query.device), engines=_one(deployed),
    )  # fmt: skip
    decision = decide(table, query.limits, query.min_prob, query.level)
    sets = sets_of(engine, query, report.evidence, table)
    return {
        **answer_json.option(table, decision, 0, query),
        "query": {**to_json(query), "limits": query.limits},
        "fit_id": report.fit_id,
        "n_runs": len(report.evidence.rows),
        "warnings": warnings_of(report),
        **({"kept": kept_json(sets, 0)} if sets.judged else {}),
    }


def _one(engines: tuple[Deployed | None, ...]) -> tuple[Deployed | None, ...]:
    """The one engine and precision.

    Raises:
        InputError: there are several.
    """
    if len(engines) > 1:
        listed = ", ".join("torch float32" if e is None else e.name for e in engines)
        raise InputError(
            f"one configuration is asked about and {len(engines)} engines and precisions fit ({listed}); "
            "name one of each with --engine and --precision"
        )
    return engines
