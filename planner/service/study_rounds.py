"""What a study does next: its first runs, the next round, or the end, from what the database holds alone.

Every decision follows from the file's question, the finished runs of the sweep of the study's name and the rounds
stored so far, so that a driver that died is followed by one that decides the same.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from sqlalchemy import Engine

from planner.errors import FitError, InfeasibleError, InputError
from planner.plan.choice import Decision, decide
from planner.plan.configurations import Columns, Config, axis_columns
from planner.plan.first_runs import LEAST_RUNS, first_runs
from planner.plan.suggest import one_round
from planner.plan.wording import points
from planner.service import asking
from planner.service.circumstances import AsOf
from planner.service.next_runs import Worthwhile, offered_json, worthwhile
from planner.service.prepared import Prepared, prepare
from planner.service.study_ruled import ruled_out, shortly
from planner.service.study_rules import together, worth_a_try
from planner.service.study_state import (
    Chosen,
    Next,
    Ran,
    chosen,
    config_named,
    configs_of_study,
    hours_left,
    ran_so_far,
    references_of,
    texts_of,
)
from planner.store import read
from planner.store.studies import StudyRow, rounds_of
from planner.words.axes import COMPUTE_AXES
from planner.words.catalogue import Catalogue
from planner.words.question import PlanQuery

ROUND_RUNS = 2
"""Runs weighed for each worker of a round: further short ones beside a long one wait for the next (assumption)."""
TRAINED_FIRST = "the choice was never run: it is trained and measured before it is the answer"


def next_of_study(engine: Engine, study: StudyRow, expected_hours: Mapping[str, float]) -> Next:
    """The next runs of a study, or its end; nothing of it may be waiting or running.

    Args:
        engine: the database.
        study: as stored.
        expected_hours: of a run of each candidate and reference, by its text, as foretold before any was made.

    Raises:
        InputError: the hours do not suffice for two runs; it says what would.
    """
    query, catalogue = PlanQuery(**json.loads(study.question_json)), read.catalogue(engine)
    configs = configs_of_study(query, catalogue)
    if not rounds_of(engine, study.study_id):
        return Next(runs=first_of_study(study, configs, expected_hours, catalogue))
    ran = ran_so_far(engine, study.name, configs)
    try:
        prepared = prepared_for(engine, query, ran)
    except FitError as problem:  # too few runs for a law, or none that may stand in one
        return _without_law(study, ran, configs, expected_hours, str(problem))
    found = decided(study, prepared, ran)
    out = ruled_out(found, ran, {text: config.label for text, config in configs.items()})
    return dataclasses.replace(found, belief={**(found.belief or {}), "ruled_out": shortly(out)})


def first_of_study(
    study: StudyRow,
    configs: Mapping[str, Config],
    expected_hours: Mapping[str, float],
    catalogue: Catalogue,
) -> tuple[Chosen, ...]:
    """References where the study has them, then the first runs (`planner.plan.first_runs`), the cheapest first."""
    texts, references = list(configs), references_of(study, configs)
    x = axis_columns(Columns.of(list(configs.values())), _axes(configs), catalogue)
    hours = np.array([expected_hours[text] for text in texts])
    needed = float(sum(expected_hours[text] for text in references))
    allowed = math.inf if study.spend.hours is None else study.spend.hours - needed
    first = first_runs(x, hours, study.spend.n_workers, allowed)
    if len(first) < LEAST_RUNS:
        least = needed + float(np.sort(hours)[:LEAST_RUNS].sum())
        beside = f" beside {len(references)} untrained checkpoints" if references else ""
        raise InputError(
            f"{study.spend.hours:g} hours are too few for two runs of study {study.name!r}: the two cheapest{beside} "
            f"are expected to take {least:.2g} h; give --hours {_rounded_up(least):g} or more, or cheaper candidates"
        )
    seen: Counter[str] = Counter()
    out = [
        chosen(text, config_named(text, catalogue), 0, expected_hours[text], why)
        for text, why in references.items()
    ]
    for j in first:
        text = texts[j]
        why = "first design" if not seen[text] else "first design: seeds of the cheapest run"
        out.append(chosen(text, configs[text], seen[text], float(hours[j]), why))
        seen[text] += 1
    return tuple(out)


def _axes(configs: Mapping[str, Config]) -> tuple[str, ...]:
    """The axes that the first design spreads over: of computing, and of training audio where there are levels of it."""
    of_hours = all(config.value("train_hours") is not None for config in configs.values())
    return (*COMPUTE_AXES, "train_hours") if of_hours else COMPUTE_AXES


def _rounded_up(hours: float) -> float:
    """To two digits, never down.

    >>> _rounded_up(0.12301), _rounded_up(0.12)
    (0.13, 0.12)
    """
    step = 10.0 ** (math.floor(math.log10(hours)) - 1)
    return float(f"{math.ceil(hours / step - 1e-9) * step:.6g}")


def prepared_for(engine: Engine, query: PlanQuery, ran: Ran) -> Prepared:
    """The question of a study, from its own runs alone; what failed and never finished is no candidate.

    Raises:
        FitError: the runs carry no law.
    """
    stored = read.latencies(engine)
    if query.device is None:
        own = {s.latency.device.name for s in stored if s.run_id in ran.run_ids}
        query = dataclasses.replace(query, device=own.pop() if len(own) == 1 else None)
    hopeless = ran.failed.keys() - ran.finished
    kept = tuple(text for text in query.candidates if text not in hopeless)
    query = dataclasses.replace(query, candidates=kept or query.candidates)
    newest = sys.maxsize
    as_of = AsOf(run_ids=ran.run_ids, latency_id=newest, engines=(newest, newest))
    return prepare(engine, query, as_of)


def decided(study: StudyRow, everything: Prepared, ran: Ran) -> Next:
    """The next round or the end, once the runs carry a law; nothing is read or stored.

    Args:
        study: as stored.
        everything: the question with all candidates, whatever they keep.
        ran: so far.
    """
    query, spend, left = everything.query, study.spend, hours_left(study, ran)
    try:
        prepared = everything.under_rules()
    except InfeasibleError as problem:
        return _unsure(study, everything, ran, str(problem))
    table = prepared.table
    decision = decide(table, query.limits, query.min_prob, query.level)
    if decision.best is None:
        return _unsure(study, everything, ran, _why_nothing(prepared))
    belief = belief_json(prepared, decision, ran)
    known: dict[str, Any] = {
        "belief": belief, "everything": everything, "prepared": prepared, "decision": decision,
    }  # fmt: skip
    texts = texts_of(prepared)
    barred = [j for j, text in enumerate(texts) if text in ran.failed]
    found = worthwhile(prepared, left, spend.worth, barred, ROUND_RUNS * spend.n_workers)
    until = spend.until_regret
    enough = until is not None and decision.regret_bound <= until
    least = max(spend.worth, until or 0.0) if enough else spend.worth
    tries = worth_a_try(everything, float(table.error[decision.best]), ran, left, least)
    offered = together([] if enough else _offered(found, prepared, texts, ran), tries)
    if offered:
        return Next(runs=_round(offered, spend.n_workers, left), **known)
    mine = float(found.hours[decision.best])
    if not table.run_ids[decision.best] and mine <= left:
        text = texts[decision.best]
        config = table.configs[decision.best].trained
        return Next(runs=(chosen(text, config, ran.n_trials[text], mine, TRAINED_FIRST),), **known)
    return Next(verdict=_verdict(study, decision, found, left, ran, enough), **known)


def _round(offered: list[Chosen], n_workers: int, left: float) -> tuple[Chosen, ...]:
    """The first of them that go together, within the hours that are left."""
    fit, used = [], 0.0
    for run in offered:
        # As many digits as a sum of hours keeps.
        if used + run["hours"] <= left * (1 + 1e-12):
            fit.append(run)
            used += run["hours"]
    return tuple(fit[: one_round([run["hours"] for run in fit], n_workers)])


def _unsure(study: StudyRow, everything: Prepared, ran: Ran, why: str) -> Next:
    """Where nothing meets limits and rules surely enough: runs that may show something to, or the end."""
    left, n_workers = hours_left(study, ran), study.spend.n_workers
    belief = _believed_so_far(ran) | {"n_feasible": 0, "label": None}
    tries = worth_a_try(everything, math.nan, ran, left, study.spend.worth)
    if tries:
        runs = _round(tries[:n_workers], n_workers, left)
        return Next(runs=runs, belief=belief, everything=everything)
    return Next(
        verdict=f"nothing meets the limits: {why}", infeasible=True, belief=belief,
        everything=everything,
    )  # fmt: skip


def _why_nothing(prepared: Prepared) -> str:
    try:
        asking.answer_from(prepared)
    except InfeasibleError as problem:
        return str(problem)
    raise AssertionError("a choice was made after all")


def _offered(found: Worthwhile, prepared: Prepared, texts: list[str], ran: Ran) -> list[Chosen]:
    """The runs with their candidates' texts and with seeds that were not run; engines share one training."""
    seen = Counter(ran.n_trials)
    out = []
    indices = [one.index for one in found.first] + [one.index for one in found.chosen]
    for j, run in zip(indices, offered_json(prepared.table, found), strict=True):
        text, config = texts[j], prepared.table.configs[j].trained
        told = {name: run[name] for name in ("value", "value_per_hour", "p_change")}
        out.append(chosen(text, config, seen[text], run["hours"], run["why"]) | told)
        seen[text] += 1
    return out


def _verdict(
    study: StudyRow, decision: Decision, found: Worthwhile, left: float, ran: Ran, enough: bool
) -> str:
    """Why there is nothing more to do."""
    spend = study.spend
    if enough and spend.until_regret is not None:
        return (
            f"the choice errs by at most {points(decision.regret_bound)} more than the best (95 %), which is "
            f"within {points(spend.until_regret)}"
        )
    possible = found.hours[np.isfinite(found.hours)]
    if not len(possible):
        return "no further run can be made: every candidate has failed"
    if left < float(possible.min()):
        return f"the hours are spent: {ran.hours:.3g} of {spend.hours:.3g}; the shortest run takes {possible.min():.2g}"
    room = "" if spend.hours is None else f" of the {left:.2g} h left"
    return f"no run{room} lowers the expected error of the choice by {points(spend.worth)}"


def _without_law(
    study: StudyRow,
    ran: Ran,
    configs: Mapping[str, Config],
    expected_hours: Mapping[str, float],
    problem: str,
) -> Next:
    """The cheapest candidates that were not run, a worker each, until the runs carry a law."""
    left = hours_left(study, ran)
    runs: list[Chosen] = []
    for text in sorted(
        (t for t in configs if not ran.n_trials[t]), key=lambda t: expected_hours[t]
    ):
        hours = expected_hours[text]
        if len(runs) < study.spend.n_workers and hours <= left:
            left -= hours
            runs.append(chosen(text, configs[text], 0, hours, f"no law yet: {problem}"))
    if runs:
        return Next(runs=tuple(runs))
    return Next(
        verdict=f"no law from {len(ran.run_ids)} runs, and no further one can be made: {problem}"
    )


def belief_json(prepared: Prepared, decision: Decision, ran: Ran) -> dict[str, Any]:
    """What is believed at one moment of a study: the choice, its error, and how much better another could be."""
    table = prepared.table
    found = _believed_so_far(ran) | {"n_feasible": int(decision.feasible.sum())}
    j = decision.best
    if j is None:
        return found | {"label": None}
    return found | {
        "label": table.configs[j].label,
        "error": float(table.error[j]),
        "low": float(table.error_low[j]),
        "high": float(table.error_high[j]),
        "p_best": float(decision.p_best[j]),
        "regret": decision.regret,
        "regret_bound": decision.regret_bound,
    }


def _believed_so_far(ran: Ran) -> dict[str, Any]:
    return {"hours": ran.hours, "n_runs": len(ran.run_ids)}
