"""Studies as their users ask for them: how one ends, the list of all, one whole, and why its runs were chosen."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import Any

from sqlalchemy import Engine

from planner.errors import InputError, UnknownNameError
from planner.plan.configurations import config_of
from planner.plan.suggest import suggest
from planner.service import asking
from planner.service.fitting import kept_or_why_not
from planner.service.next_runs import run_noise, worthwhile
from planner.service.study_rounds import belief_json
from planner.service.study_ruled import ruled_out
from planner.service.study_state import (
    Next,
    config_named,
    configs_of_study,
    key_of,
    ran_so_far,
)
from planner.store import read, studies
from planner.store.engine import opened
from planner.store.studies import RoundRow, StudyRow
from planner.words.engine_records import OWN_ENGINE
from planner.words.question import PlanQuery
from planner.words.records import canonical_json

FORMAT = "study/1"
"""Of a study's report as JSON."""
MORE_HOURS = 1.0
"""What another hour would buy is told of one hour of one worker."""


def end(engine: Engine, study: StudyRow, last: Next) -> dict[str, Any]:
    """Answer, keep answer and report, and end the study; its report.

    Args:
        engine: the database.
        study: as stored.
        last: with a verdict.
    """
    if last.verdict is None:
        raise InputError(f"study {study.name!r} has runs to make; it is not at its end")
    answer = None
    if last.everything is not None and last.decision is not None:
        # As it was asked: what the rules rule out is counted in the answer.
        made = asking.answer_from(last.everything).json
        notes = kept_or_why_not(lambda: asking.keep(engine, made))
        told = {note["code"] for note in made["warnings"]}
        made["warnings"] += [note for note in notes if note["code"] not in told]
        answer = made
    report = {
        "format": FORMAT,
        "name": study.name,
        "verdict": last.verdict,
        "outcome": _outcome(answer, last),
        "answer": answer,
        **_report(engine, study, last, answer),
    }
    # As it will be read back: the same text whoever ended it.
    stored: dict[str, Any] = json.loads(canonical_json(report))
    answer_id = None if answer is None else answer["answer_id"]
    studies.end_study(engine, study.study_id, last.verdict, answer_id, stored)
    return stored


def _outcome(answer: dict[str, Any] | None, last: Next) -> str:
    if answer is not None:
        return "answer"
    return "infeasible" if last.infeasible else "no-law"


def _report(
    engine: Engine, study: StudyRow, last: Next, answer: dict[str, Any] | None
) -> dict[str, Any]:
    query = PlanQuery(**json.loads(study.question_json))
    configs = configs_of_study(query, read.catalogue(engine))
    ran = ran_so_far(engine, study.name, configs)
    rounds = studies.rounds_of(engine, study.study_id)
    runs = runs_of(engine, study, rounds)
    now = None
    if last.prepared is not None and last.decision is not None:
        now = belief_json(last.prepared, last.decision, ran)
    return {
        "hours": ran.hours,
        "allowed_hours": study.spend.hours,
        "until_regret": study.spend.until_regret,
        "n_workers": study.spend.n_workers,
        "n_candidates": len(configs),
        "n_runs": len(ran.run_ids),
        "runs": runs,
        "spent": spent_on(runs),
        "regret": regret_fall([r.belief for r in rounds] + [now]),
        "ruled_out": ruled_out(last, ran, {t: c.label for t, c in configs.items()}),
        "another_hour": _another_hour(last),
        "use": _use(answer),
    }


def runs_of(engine: Engine, study: StudyRow, rounds: list[RoundRow]) -> list[dict[str, Any]]:
    """Every run with its round, why it was made, and what it came to."""
    rows = {r.run_id: r for r in read.runs(engine, sweep=study.name, status="finished")}
    try:
        stored = read.sweep_status(engine, study.name).rows
    except UnknownNameError:  # a driver that died before its first campaign
        stored = ()
    status = {(key_of(config_of(r.trial)), r.trial.seed): r for r in stored}
    catalogue = read.catalogue(engine)
    out = []
    for one in rounds:
        for run in one.runs:
            config = config_named(run["candidate"], catalogue)
            at = status.get((key_of(config), run["seed"]))
            row = None if at is None or at.run_id is None else rows.get(at.run_id)
            seconds = None
            if row is not None:
                seconds = (row.train_seconds or 0.0) + (row.score_seconds or 0.0)
            out.append(
                {
                    "round": one.number,
                    **{k: run[k] for k in ("label", "candidate", "seed", "why", "value")},
                    "backbone": config.backbone,
                    "expected_hours": run["hours"],
                    "hours": None if seconds is None else seconds / 3600.0,
                    "state": "waiting" if at is None else at.state,
                    "run_id": None if row is None else row.run_id,
                    "error": None if at is None else at.error,
                    "failure_class": None if at is None else at.failure_class,
                }
            )
    return out


def spent_on(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Hours by what they were spent on: the first design, runs by value, repeats, the choice itself."""
    hours: dict[tuple[str, str], float] = defaultdict(float)
    n: Counter[tuple[str, str]] = Counter()
    for run in runs:
        key = _purpose(run), run["backbone"]
        hours[key] += run["hours"] or 0.0
        n[key] += 1
    return [
        {"purpose": purpose, "backbone": backbone, "n_runs": n[purpose, backbone], "hours": spent}
        for (purpose, backbone), spent in hours.items()
    ]


def _purpose(run: dict[str, Any]) -> str:
    for purpose in ("first design", "reference"):
        if run["why"].startswith(purpose):
            return purpose
    return "value for the decision" if run["value"] is not None else "needed first"


def regret_fall(beliefs: list[dict[str, Any] | None]) -> list[dict[str, Any]]:
    """How the regret fell: what was believed after so many hours, once there was a choice."""
    made = [b for b in beliefs if b is not None and b.get("label") is not None]
    return [{key: value for key, value in b.items() if key != "ruled_out"} for b in made]


def _another_hour(last: Next) -> dict[str, Any] | None:
    """The runs that another hour of one worker would go to, and how much lower the expected error would be."""
    if last.prepared is None or last.decision is None or last.decision.best is None:
        return None
    table, report = last.prepared.table, last.prepared.report
    found = worthwhile(last.prepared, MORE_HOURS, 1.0)
    noise = run_noise(report.evidence, report.fit, table)
    runs = suggest(table.draws, noise, found.hours, found.feasible, MORE_HOURS, 1e-9, max_runs=8)
    used = sum(r.hours for r in runs)
    return {
        "hours": used,
        "runs": [table.configs[r.index].trained.label for r in runs],
        "gain": float(sum(r.value for r in runs)),
        "largest": float(max((r.value for r in runs), default=0.0)),
        "shortest_hours": float(found.hours.min()),
    }


def _use(answer: dict[str, Any] | None) -> list[str]:
    """The commands that go on from the answer."""
    if answer is None:
        return []
    answer_id, best = answer["answer_id"], answer["best"]
    if not best["prediction"]["run_ids"]:
        return [f"soundscale answers show {answer_id}"]
    verb = "transcribe" if answer["query"]["task"] == "asr" else "classify"
    # Torch is what it was trained in, and no format of an export.
    to = "--to onnx " if best["config"].get("engine") in (None, OWN_ENGINE) else ""
    return [
        f"soundscale {verb} FILE.wav --answer {answer_id}",
        f"soundscale export {answer_id} {to}OUT",
        f"soundscale answers show {answer_id}",
    ]


def listed(db: str | None) -> list[dict[str, Any]]:
    """One row a study: how far it is and how it ended."""
    with opened(db, must_exist=True) as engine:
        return [line_of(engine, one) for one in studies.all_studies(engine)]


def line_of(engine: Engine, one: StudyRow) -> dict[str, Any]:
    """A study in a row of a list."""
    return {
        "name": one.name,
        "state": one.state,
        "hours": studies.hours_spent(engine, one.name),
        "allowed_hours": one.spend.hours,
        "n_rounds": len(studies.rounds_of(engine, one.study_id)),
        "answer_id": one.answer_id,
        "verdict": one.verdict,
        "created_utc": one.created_utc,
    }


def shown(db: str | None, name: str) -> dict[str, Any]:
    """The report of a study that has ended.

    Raises:
        UnknownNameError: there is no such study.
        InputError: it has not ended.
    """
    with opened(db, must_exist=True) as engine:
        study = studies.study_named(engine, name)
        if study.report_json is None or study.state != "ended":
            raise InputError(
                f"study {name!r} has not ended: its report comes with its end; go on with soundscale study FILE, or "
                f"see soundscale study explain {name}"
            )
        report: dict[str, Any] = json.loads(study.report_json)
        return report


def explained(db: str | None, name: str) -> dict[str, Any]:
    """Why each run of a study was made, with what was believed before its round.

    Raises:
        UnknownNameError: there is no such study.
    """
    with opened(db, must_exist=True) as engine:
        study = studies.study_named(engine, name)
        rounds = studies.rounds_of(engine, study.study_id)
        runs = runs_of(engine, study, rounds)
        return {
            "name": name,
            "state": study.state,
            "verdict": study.verdict,
            "beliefs": [{"round": r.number, **(r.belief or {})} for r in rounds],
            "runs": runs,
        }
