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
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Engine

from planner.errors import FitError, InputError, UnknownNameError
from planner.plan.candidates import parsed
from planner.plan.choice import Decision, decide
from planner.plan.configurations import Columns, Config, axis_columns, config_of
from planner.plan.first_runs import LEAST_RUNS, first_runs
from planner.plan.suggest import one_round
from planner.plan.wording import points
from planner.service.circumstances import AsOf
from planner.service.next_runs import Worthwhile, offered_json, worthwhile
from planner.service.prepared import Prepared, prepare
from planner.store import read
from planner.store.studies import StudyRow, hours_spent, rounds_of
from planner.words.axes import COMPUTE_AXES
from planner.words.catalogue import Catalogue
from planner.words.question import PlanQuery
from planner.words.records import Adaptation, Reduction

Chosen = dict[str, Any]
"""A run to make: `candidate`, `label`, `seed`, `hours`, `value`, `p_change` and `why`."""

ROUND_RUNS = 2
"""Runs weighed for each worker of a round: further short ones beside a long one wait for the next (assumption)."""
TRAINED_FIRST = "the choice was never run: it is trained and measured before it is the answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a study has run so far.

    Attributes:
        run_ids: of the finished runs.
        n_trials: of each candidate, whatever became of them: the next seed.
        finished: candidates that have a finished run.
        failed: candidates of which a trial failed or was cancelled, with the reason; none of them is run again.
        hours: spent.
    """

    run_ids: frozenset[int]
    n_trials: Counter[str]
    finished: frozenset[str]
    failed: dict[str, str]
    hours: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """Runs to make now, or why the study ends (`verdict`), with what was known when that was decided."""

    runs: tuple[Chosen, ...] = ()
    verdict: str | None = None
    belief: dict[str, Any] | None = None
    prepared: Prepared | None = None
    decision: Decision | None = None


def configs_of_study(query: PlanQuery, catalogue: Catalogue) -> dict[str, Config]:
    """The candidates of a study's question by their text; padding and the like are the runs' own.

    That each window is possible was seen when the study began.
    """
    like = Config(
        backbone="", audio_seconds=1.0, reduction=Reduction(), adaptation=Adaptation.parse("none")
    )
    return {text: parsed(text, like, catalogue) for text in query.candidates}


def next_of_study(engine: Engine, study: StudyRow, expected_hours: Mapping[str, float]) -> Next:
    """The next runs of a study, or its end; nothing of it may be waiting or running.

    Args:
        engine: the database.
        study: as stored.
        expected_hours: of a run of each candidate, by its text, as foretold before any was made.

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
    return decided(study, prepared, ran)


def first_of_study(
    study: StudyRow,
    configs: Mapping[str, Config],
    expected_hours: Mapping[str, float],
    catalogue: Catalogue,
) -> tuple[Chosen, ...]:
    """The first runs (`planner.plan.first_runs`), the cheapest first."""
    texts = list(configs)
    x = axis_columns(Columns.of(list(configs.values())), COMPUTE_AXES, catalogue)
    hours = np.array([expected_hours[text] for text in texts])
    allowed = math.inf if study.spend.hours is None else study.spend.hours
    chosen = first_runs(x, hours, study.spend.n_workers, allowed)
    if len(chosen) < LEAST_RUNS:
        least = float(np.sort(hours)[:LEAST_RUNS].sum())
        raise InputError(
            f"{allowed:g} hours are too few for two runs of study {study.name!r}: the two cheapest are expected to "
            f"take {least:.2g} h; give --hours {_rounded_up(least):g} or more, or cheaper candidates"
        )
    seen: Counter[str] = Counter()
    out = []
    for j in chosen:
        text = texts[j]
        why = "first design" if not seen[text] else "first design: seeds of the cheapest run"
        out.append(_chosen(text, configs[text], seen[text], float(hours[j]), why))
        seen[text] += 1
    return tuple(out)


def _rounded_up(hours: float) -> float:
    """To two digits, never down.

    >>> _rounded_up(0.12301), _rounded_up(0.12)
    (0.13, 0.12)
    """
    step = 10.0 ** (math.floor(math.log10(hours)) - 1)
    return float(f"{math.ceil(hours / step - 1e-9) * step:.6g}")


def ran_so_far(engine: Engine, name: str, configs: Mapping[str, Config]) -> Ran:
    """What the sweep of a study's name holds."""
    text_of = {_key(config): text for text, config in configs.items()}
    n_trials: Counter[str] = Counter()
    run_ids, finished, failed = set(), set(), {}
    try:
        rows = read.sweep_status(engine, name).rows
    except UnknownNameError:
        rows = ()
    for row in rows:
        text = text_of.get(_key(config_of(row.trial)))
        if row.state == "finished" and row.run_id is not None:
            run_ids.add(row.run_id)
        if text is None:
            continue
        n_trials[text] += 1
        if row.state == "finished":
            finished.add(text)
        elif row.state in ("failed", "cancelled"):
            failed[text] = row.failure_class or row.state
    return Ran(
        run_ids=frozenset(run_ids), n_trials=n_trials, finished=frozenset(finished), failed=failed,
        hours=hours_spent(engine, name),
    )  # fmt: skip


def _key(config: Config) -> tuple[Any, ...]:
    """What tells candidates of one study apart; padding is the same for all of them."""
    return config.backbone, config.audio_seconds, config.reduction, config.adaptation


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


def decided(study: StudyRow, prepared: Prepared, ran: Ran) -> Next:
    """The next round or the end, once the runs carry a law; nothing is read or stored."""
    query, table, spend = prepared.query, prepared.table, study.spend
    decision = decide(table, query.limits, query.min_prob, query.level)
    belief = belief_json(prepared, decision, ran)
    known: dict[str, Any] = {"belief": belief, "prepared": prepared, "decision": decision}
    if decision.best is None:
        return Next(verdict="nothing meets the limits", **known)
    left = math.inf if spend.hours is None else spend.hours - ran.hours
    texts = texts_of(prepared)
    barred = [j for j, text in enumerate(texts) if text in ran.failed]
    most = ROUND_RUNS * spend.n_workers
    found = worthwhile(prepared, max(left, 0.0), spend.worth, barred, most)
    until = spend.until_regret
    enough = until is not None and decision.regret_bound <= until
    offered = [] if enough else _offered(found, prepared, texts, ran)
    if offered:
        together = one_round([run["hours"] for run in offered], spend.n_workers)
        return Next(runs=tuple(offered[:together]), **known)
    mine = float(found.hours[decision.best])
    if not table.run_ids[decision.best] and mine <= left:
        text = texts[decision.best]
        config = table.configs[decision.best].trained
        chosen = _chosen(text, config, ran.n_trials[text], mine, TRAINED_FIRST)
        return Next(runs=(chosen,), **known)
    return Next(verdict=_verdict(study, decision, found, left, ran, enough), **known)


def _offered(found: Worthwhile, prepared: Prepared, texts: list[str], ran: Ran) -> list[Chosen]:
    """The runs with their candidates' texts and with seeds that were not run; engines share one training."""
    seen = Counter(ran.n_trials)
    out = []
    indices = [one.index for one in found.first] + [one.index for one in found.chosen]
    for j, run in zip(indices, offered_json(prepared.table, found), strict=True):
        text, config = texts[j], prepared.table.configs[j].trained
        told = {name: run[name] for name in ("value", "value_per_hour", "p_change")}
        out.append(_chosen(text, config, seen[text], run["hours"], run["why"]) | told)
        seen[text] += 1
    return out


def texts_of(prepared: Prepared) -> list[str]:
    """The candidate's text of each configuration of the table; those of several engines share one."""
    catalogue = prepared.report.evidence.catalogue
    by_key = {_key(c): t for t, c in configs_of_study(prepared.query, catalogue).items()}
    return [by_key[_key(config)] for config in prepared.table.configs]


def _chosen(text: str, config: Config, seed: int, hours: float, why: str) -> Chosen:
    unknown = dict.fromkeys(("value", "value_per_hour", "p_change"))
    told = {"candidate": text, "label": config.label, "seed": seed, "hours": hours, "why": why}
    return told | unknown


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
    left = math.inf if study.spend.hours is None else study.spend.hours - ran.hours
    runs: list[Chosen] = []
    for text in sorted(
        (t for t in configs if not ran.n_trials[t]), key=lambda t: expected_hours[t]
    ):
        hours = expected_hours[text]
        if len(runs) < study.spend.n_workers and hours <= left:
            left -= hours
            runs.append(_chosen(text, configs[text], 0, hours, f"no law yet: {problem}"))
    if runs:
        return Next(runs=tuple(runs))
    return Next(
        verdict=f"no law from {len(ran.run_ids)} runs, and no further one can be made: {problem}"
    )


def belief_json(prepared: Prepared, decision: Decision, ran: Ran) -> dict[str, Any]:
    """What is believed at one moment of a study: the choice, its error, and how much better another could be."""
    table = prepared.table
    found: dict[str, Any] = {"hours": ran.hours, "n_runs": len(ran.run_ids)}
    found["n_feasible"] = int(decision.feasible.sum())
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
