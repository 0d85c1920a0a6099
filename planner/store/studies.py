"""Studies: begun, gone on with, and ended; each function is one transaction, and repeating it adds nothing.

A round is stored before any of its runs begins, so that a driver which dies finds what it had chosen.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, func, select, update

from planner.errors import InputError, UnknownNameError
from planner.store import to_rows
from planner.store.schema import runs, studies, study_rounds, sweep_trials, sweeps, trials
from planner.store.transactions import read, write
from planner.words.records import canonical_json

REFERENCE = "30.0,none,none"
"""Window, reduction and adaptation of an untrained checkpoint as it is published: behind its backbone they name its
run among those of a round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """What may be spent on a study, and when it is enough.

    Attributes:
        hours: of runs, all workers together; None: no end.
        until_regret: the study ends once the 95 % bound of the choice's regret is this small (error); None: never.
        worth: least value of a run, in error.
        n_workers: runs at once.
    """

    hours: float | None
    until_regret: float | None
    worth: float
    n_workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRow:
    """A study as stored: its file and question (JSON), what it may spend, and how it ended."""

    study_id: int
    name: str
    spec_json: str
    question_json: str
    spend: Spend
    state: str
    verdict: str | None
    answer_id: str | None
    report_json: str | None
    created_utc: str
    ended_utc: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundRow:
    """Runs that were chosen together, and what was believed then (None: nothing was run before)."""

    number: int
    runs: list[dict[str, Any]]
    belief: dict[str, Any] | None
    created_utc: str


_SPEND = ("hours", "until_regret", "worth", "n_workers")


def begin_study(
    engine: Engine, name: str, spec_json: str, question_json: str, spend: Spend
) -> StudyRow:
    """The study of that name, begun or gone on with under what may be spent now.

    An ended study whose spending is the same stays ended; with more to spend it is open again. Until the first round
    is stored, the file may be changed: nothing was made by it.

    Raises:
        InputError: another file is stored under the name, and runs were chosen by it.
    """

    def work(connection: Connection) -> StudyRow:
        values = {n: getattr(spend, n) for n in _SPEND}
        new = {
            "name": name, "spec_json": spec_json, "question_json": question_json,
            "created_utc": to_rows.now(connection), **values,
        }  # fmt: skip
        to_rows.insert_new(connection, studies, [new])
        stored = _study(connection, name)
        if (stored.spec_json, stored.question_json) != (spec_json, question_json):
            mine = study_rounds.c.study_id == stored.study_id
            if not connection.execute(select(func.count()).where(mine)).scalar():
                file = {"spec_json": spec_json, "question_json": question_json}
                change = update(studies).where(studies.c.name == name).values(**file)
                connection.execute(change)
                stored = _study(connection, name)
            else:
                raise InputError(
                    f"study {name!r} is stored with another file; give this one another name, or go on with the first"
                )
        same = dataclasses.replace(spend, n_workers=stored.spend.n_workers) == stored.spend
        if stored.spend != spend and not (same and stored.state == "ended"):
            again = {"state": "open", "verdict": None, "ended_utc": None}
            change = update(studies).where(studies.c.name == name).values(**values, **again)
            connection.execute(change)
            return _study(connection, name)
        return stored

    return write(engine, work)


def add_round(
    engine: Engine, study_id: int, number: int, runs_: list[dict[str, Any]], belief: Any
) -> None:
    """Store a round; where another driver stored one of that number first, that one stands."""

    def work(connection: Connection) -> None:
        new = {
            "study_id": study_id, "number": number, "runs_json": canonical_json(runs_),
            "belief_json": to_rows.optional_json(belief), "created_utc": to_rows.now(connection),
        }  # fmt: skip
        to_rows.insert_new(connection, study_rounds, [new])

    write(engine, work)


def end_study(
    engine: Engine, study_id: int, verdict: str, answer_id: str | None, report: dict[str, Any]
) -> None:
    """Say how a study ended; one that has ended stays as it is."""

    def work(connection: Connection) -> None:
        values = {
            "state": "ended", "verdict": verdict, "answer_id": answer_id,
            "report_json": canonical_json(report), "ended_utc": to_rows.now(connection),
        }  # fmt: skip
        mine = studies.c.study_id == study_id, studies.c.state == "open"
        connection.execute(update(studies).where(*mine).values(**values))

    write(engine, work)


def study_named(engine: Engine, name: str) -> StudyRow:
    """The study of that name.

    Raises:
        UnknownNameError: there is none.
    """

    def work(connection: Connection) -> StudyRow:
        known = connection.execute(select(studies.c.name)).scalars().all()
        if name not in known:
            raise UnknownNameError("study", name, known)
        return _study(connection, name)

    return read(engine, work)


def find_study(engine: Engine, name: str) -> StudyRow | None:
    """The study of that name; None where there is none."""
    return next((one for one in all_studies(engine) if one.name == name), None)


def all_studies(engine: Engine) -> list[StudyRow]:
    """All studies, oldest first."""
    query = select(studies).order_by(studies.c.study_id)
    return read(engine, lambda c: [_row(r) for r in c.execute(query).mappings()])


def rounds_of(engine: Engine, study_id: int) -> list[RoundRow]:
    """The rounds of a study, in order."""
    query = (
        select(study_rounds)
        .where(study_rounds.c.study_id == study_id)
        .order_by(study_rounds.c.number)
    )
    rows = read(engine, lambda c: list(c.execute(query).mappings().all()))
    return [
        RoundRow(
            number=row["number"],
            runs=json.loads(row["runs_json"]),
            belief=None if row["belief_json"] is None else json.loads(row["belief_json"]),
            created_utc=row["created_utc"],
        )
        for row in rows
    ]


def hours_spent(engine: Engine, name: str) -> float:
    """Hours that the finished runs of a study trained and scored for; attempts that ended otherwise are not charged.

    A trial that another sweep had finished before is charged too: the study would have paid for it.
    """
    seconds = func.coalesce(runs.c.train_seconds, 0.0) + func.coalesce(runs.c.score_seconds, 0.0)
    query = (
        select(func.sum(seconds))
        .join(trials, trials.c.trial_id == runs.c.trial_id)
        .join(sweep_trials, sweep_trials.c.trial_id == trials.c.trial_id)
        .join(sweeps, sweeps.c.sweep_id == sweep_trials.c.sweep_id)
        .where(sweeps.c.name == name, runs.c.status == "finished")
    )
    return float(read(engine, lambda c: c.execute(query).scalar()) or 0.0) / 3600.0


def _study(connection: Connection, name: str) -> StudyRow:
    found = connection.execute(select(studies).where(studies.c.name == name)).mappings().one()
    return _row(found)


def _row(row: RowMapping) -> StudyRow:
    other = {k: v for k, v in row.items() if k not in _SPEND}
    return StudyRow(spend=Spend(**{n: row[n] for n in _SPEND}), **other)
