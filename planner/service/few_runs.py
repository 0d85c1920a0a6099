"""What one or two runs tell without a law: their errors and costs, which meet the limits, and the run to make next."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Engine

from planner.costs.flops.lengths import encoder_tokens
from planner.errors import InputError, SoundscaleError
from planner.evidence.study import Evidence, gather
from planner.plan.candidates import measured_situation
from planner.plan.choice import probability_within
from planner.plan.configurations import Config
from planner.plan.cost import Cost
from planner.plan.objectives import costs_of
from planner.service import devices
from planner.service.circumstances import latencies_of, latency_model, resolved, workload_of
from planner.service.fitting import check_test_set
from planner.store import read
from planner.store.read_evidence import learned_runs
from planner.words.catalogue import Catalogue
from planner.words.question import COST_UNITS, PlanQuery
from planner.words.records import Reduction, to_json

Z90 = 1.6448536269514722
"""Standard normal 95 % quantile: half the width of a central 90 % interval in standard errors."""


def measured(engine: Engine, query: PlanQuery, problem: SoundscaleError) -> dict[str, Any]:
    """The runs of the question as they were measured, those that meet its limits and err least first.

    No error is predicted: each is the mean of the configuration's own runs, with the scoring's standard
    error and its 90 % interval in ln(error). Costs are those of a plan.

    Args:
        engine: the database.
        query: the question; its limits may be none.
        problem: why there is no law.

    Raises:
        InputError: a limit cannot be judged, or a name is unknown.
    """
    test_set = check_test_set(engine, query.task, query.test_set)
    evidence = gather(
        learned_runs(engine, query.task, test_set), query.task, source=query.source,
        dataset=query.dataset, adaptation=query.adaptation, catalogue=read.catalogue(engine),
    )  # fmt: skip
    query = resolved(engine, query)
    latency = latency_model(engine, query, latencies_of(engine, query), evidence)
    workload = workload_of(engine, evidence)
    situation = measured_situation(
        query, evidence, workload, latency, devices.described(engine, query.device)
    )
    costs, _ = costs_of(situation)
    options = [
        _option(evidence, situation.ran_at, c, j, costs, query)
        for j, c in enumerate(situation.configs)
    ]
    options.sort(key=lambda o: (not o["feasible"], o["error"], o["label"]))
    return {
        "kind": "measured",
        "message": f"no law from {_runs(len(evidence.rows))}: {problem}"
        + (f"; whether {query.keep} is kept is not judged" if query.keep else ""),
        "query": {**to_json(query), "limits": query.limits},
        "n_runs": len(evidence.rows),
        "best": options[0] if options[0]["feasible"] else None,
        "options": options,
        "next": _next(situation.configs, evidence.catalogue),
        "evidence": [r.run_id for r in evidence.rows],
    }


def suggested_without_law(found: dict[str, Any], hours: float, worth: float) -> dict[str, Any]:
    """The run to make next as `suggest` gives it; its value is not told, as no law is there to tell it.

    Args:
        found: as `measured` gives it, with a run to make next.
        hours: that may be spent.
        worth: least value of a run, in error.
    """
    run = {"value": None, "hours": None, "value_per_hour": None, "p_change": None, "runs_so_far": 0}
    return {
        "query": found["query"],
        "fit_id": None,
        "hours": hours,
        "worth": worth,
        "suggestions": [{**found["next"], **run}],
        "more_speech": None,
        "scoring": None,
        "verdict": found["message"],
        "warnings": [],
    }


def _runs(n: int) -> str:
    words = {1: "one run", 2: "two runs"}
    return words.get(n, f"{n} runs")


def _option(
    evidence: Evidence,
    ran_at: Sequence[int | None],
    config: Config,
    j: int,
    costs: dict[str, Cost],
    query: PlanQuery,
) -> dict[str, Any]:
    """One configuration: the error of its runs, its costs, and the chance of meeting the limits."""
    rows = [r for r, at in zip(evidence.rows, ran_at, strict=True) if at == j]
    error = float(np.mean([r.error for r in rows]))
    known = [r.std_error for r in rows if r.std_error]
    # Runs are scored on the same utterances: their noise is taken as one (assumption).
    se = float(np.mean(known)) if len(known) == len(rows) else None
    spread = Z90 * se / error if se and error > 0 else None
    met = {n: float(probability_within(costs[n].at(j), v)[0]) for n, v in query.limits.items()}
    joint = math.prod(met.values())
    return {
        "label": config.label,
        "config": config.to_json(),
        "error": error,
        "std_error": se,
        "low": None if spread is None else error * math.exp(-spread),
        "high": None if spread is None else error * math.exp(spread),
        "run_ids": [r.run_id for r in rows],
        "costs": {n: _cost(n, c.at(j), query, met) for n, c in costs.items()},
        "joint_probability": joint,
        "feasible": joint >= query.min_prob,
    }


def _cost(name: str, cost: Cost, query: PlanQuery, met: dict[str, float]) -> dict[str, Any]:
    found = {
        "value": float(cost.value[0]),
        "low": float(cost.low[0]),
        "high": float(cost.high[0]),
        "unit": COST_UNITS[name],
        "source": cost.source[0],
        "per": query.per if name in ("flops", "latency_ms") else None,
    }
    if name in met:
        found |= {"limit": query.limits[name], "probability": met[name]}
    return found


def _next(configs: Sequence[Config], catalogue: Catalogue) -> dict[str, Any] | None:
    """The run that brings a law nearest: a corner where two axes moved together, else a third level."""
    first, last = configs[0], configs[-1]
    moved = [
        n for n in ("backbone", "audio_seconds", "reduction") if first.value(n) != last.value(n)
    ]
    if len(moved) > 1:
        one = dataclasses.replace(first, **{moved[0]: last.value(moved[0])})
        return _said(
            one, f"it tells {_WORDS[moved[0]]} from {_WORDS[moved[1]]}, which moved together"
        )
    axis = moved[0] if moved else "audio_seconds"
    for level in _LEVELS[axis](configs, catalogue):
        one = dataclasses.replace(first, **{axis: level})
        if one not in configs and _possible(one, catalogue):
            return _said(one, f"another {_WORDS[axis]}: three levels of one axis carry a law")
    return None


_WORDS = {"backbone": "size", "audio_seconds": "audio length", "reduction": "token rate"}


def _said(config: Config, why: str) -> dict[str, Any]:
    return {"label": config.label, "config": config.to_json(), "why": why}


def _sizes(configs: Sequence[Config], catalogue: Catalogue) -> list[str]:
    """Backbones of the same kind, the nearest in size first."""
    ran = [catalogue.backbone(c.backbone) for c in configs]
    like, middle = ran[0], float(np.mean([math.log(b.n_params) for b in ran]))
    kin = [
        b
        for b in catalogue.backbones
        if b.family == like.family and b.name.endswith(".en") == like.name.endswith(".en")
    ]
    kin.sort(key=lambda b: abs(math.log(b.n_params) - middle))
    return [b.name for b in kin]


def _lengths(configs: Sequence[Config], _: Catalogue) -> list[float]:
    """Half the shortest window that was run, then twice the longest."""
    seconds = [c.audio_seconds for c in configs]
    return [round(min(seconds) / 2, 2), round(max(seconds) * 2, 2)]


def _rates(configs: Sequence[Config], _: Catalogue) -> list[Reduction]:
    """Half the tokens of the strongest reduction."""
    most = max((c.reduction for c in configs), key=lambda r: r.factor)
    return [Reduction.parse(f"stem:{2 * most.factor}"), Reduction.parse("none")]


_Levels = Callable[[Sequence[Config], Catalogue], Sequence[Any]]
_LEVELS: dict[str, _Levels] = {
    "backbone": _sizes, "audio_seconds": _lengths, "reduction": _rates,
}  # fmt: skip


def _possible(config: Config, catalogue: Catalogue) -> bool:
    try:
        shape = catalogue.backbone(config.backbone)
        encoder_tokens(shape, config.audio_seconds, config.reduction, config.padding)
    except InputError:
        return False
    return True
