"""What a study has run so far, its candidates and its references, read from what the database holds."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from planner.errors import UnknownNameError
from planner.plan.candidates import parsed
from planner.plan.choice import Decision
from planner.plan.configurations import Config, config_of
from planner.service.prepared import Prepared
from planner.store import read
from planner.store.studies import REFERENCE, StudyRow, hours_spent
from planner.words.catalogue import Catalogue
from planner.words.keep import rules_of
from planner.words.question import PlanQuery
from planner.words.records import Adaptation, Reduction

Chosen = dict[str, Any]
"""A run to make: `candidate`, `label`, `seed`, `hours`, `value`, `p_change` and `why`."""


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
    """Runs to make now, or why the study ends (`verdict`), with what was known when that was decided.

    Attributes:
        runs: to make now; none at the end.
        verdict: why it ends; None before.
        infeasible: whether it ends since no candidate meets the limits and rules.
        belief: what is believed of the choice.
        everything: the question with all candidates; None before there is a law.
        prepared: with those alone that keep the rules on further test sets; None where none does.
        decision: among those.
    """

    runs: tuple[Chosen, ...] = ()
    verdict: str | None = None
    infeasible: bool = False
    belief: dict[str, Any] | None = None
    everything: Prepared | None = None
    prepared: Prepared | None = None
    decision: Decision | None = None


def configs_of_study(query: PlanQuery, catalogue: Catalogue) -> dict[str, Config]:
    """The candidates of a study's question by their text."""
    return {text: config_named(text, catalogue) for text in query.candidates}


def config_named(text: str, catalogue: Catalogue) -> Config:
    """A candidate or a reference by its text; padding and the like are the runs' own.

    That each window is possible was seen when the study began.
    """
    like = Config(
        backbone="", audio_seconds=1.0, reduction=Reduction(), adaptation=Adaptation.parse("none")
    )
    return parsed(text, like, catalogue)


def key_of(config: Config) -> tuple[Any, ...]:
    """What tells candidates of one study apart; padding is the same for all of them."""
    trained = config.trained
    return trained.backbone, trained.audio_seconds, trained.reduction, trained.adaptation, trained.extra  # fmt: skip


def references_of(study: StudyRow, configs: Mapping[str, Config]) -> dict[str, str]:
    """The untrained checkpoints that are run first, by their text, with why; none unless something asks for them."""
    if not json.loads(study.spec_json).get("reference"):
        return {}
    rules = rules_of(json.loads(study.question_json).get("keep"))
    changes = [str(rule) for rule in rules if rule.over_untrained]
    why = "reference: the untrained checkpoint"
    why += f", which {' and '.join(changes)} is counted from" if changes else ""
    names = dict.fromkeys(config.backbone for config in configs.values())
    return {f"{name},{REFERENCE}": why for name in names}


def ran_so_far(engine: Engine, name: str, configs: Mapping[str, Config]) -> Ran:
    """What the sweep of a study's name holds."""
    text_of = {key_of(config): text for text, config in configs.items()}
    n_trials: Counter[str] = Counter()
    run_ids, finished, failed = set(), set(), {}
    try:
        rows = read.sweep_status(engine, name).rows
    except UnknownNameError:
        rows = ()
    for row in rows:
        text = text_of.get(key_of(config_of(row.trial)))
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


def texts_of(prepared: Prepared) -> list[str]:
    """The candidate's text of each configuration of the table; those of several engines share one."""
    catalogue = prepared.report.evidence.catalogue
    by_key = {key_of(c): t for t, c in configs_of_study(prepared.query, catalogue).items()}
    return [by_key[key_of(config)] for config in prepared.table.configs]


def chosen(text: str, config: Config, seed: int, hours: float, why: str) -> Chosen:
    """A run whose value is not told."""
    unknown = dict.fromkeys(("value", "value_per_hour", "p_change"))
    told = {"candidate": text, "label": config.label, "seed": seed, "hours": hours, "why": why}
    return told | unknown


def hours_left(study: StudyRow, ran: Ran) -> float:
    """Hours of runs that may still be spent; infinite where there is no end."""
    allowed = study.spend.hours
    return math.inf if allowed is None else max(allowed - ran.hours, 0.0)
