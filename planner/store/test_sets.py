"""Further test sets: scores of finished runs on other speech than the one that their trial names.

Each is a row of `evaluations` whose `split` is the set's name, with its utterances below. What the name
stands for is in its details, under `test_set`: the digest of the clips, so that one name is one set.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Select, func, select

from planner.errors import InputError
from planner.store import to_rows
from planner.store.schema import evaluations, runs, trials
from planner.store.transactions import read, write
from planner.words.records import Evaluation, RunRecord
from planner.words.test_sets import RESERVED


def save_scored(engine: Engine, run_id: int, evaluation: Evaluation) -> bool:
    """Store a finished run's score on a further set; False where it is stored already.

    Raises:
        InputError: the run is not finished, the name is one of RESERVED, a number is not finite, or the
            run was scored on other clips under that name.
    """
    if evaluation.split in RESERVED:
        raise InputError(
            f"a further test set cannot be called {evaluation.split!r}; give it another name"
        )
    to_rows.check_record(RunRecord(status="finished", evaluations=(evaluation,)), "finished")

    def work(connection: Connection) -> bool:
        # The run's row is locked, so that of two drivers the second finds what the first stored.
        status = connection.execute(
            select(runs.c.status).where(runs.c.run_id == run_id).with_for_update()
        ).scalar()
        if status != "finished":
            raise InputError(
                f"run {run_id} is {status or 'not there'}; only finished runs are scored"
            )
        known = connection.execute(_stored(run_id, evaluation)).first()
        if known is not None:
            _require_same(run_id, evaluation, known.details_json)
            return False
        to_rows.insert_evaluation(connection, run_id, evaluation)
        return True

    return write(engine, work)


class ScoredAs(NamedTuple):
    """What a further set's name stood for: the digest of its clips, and how their texts were heard and scored."""

    digest: str
    normaliser: str | None
    language: str | None


def scored_sets(
    engine: Engine, run_ids: Sequence[int] | None = None
) -> dict[tuple[int, str], ScoredAs]:
    """What further sets those runs (None: all) were scored on, by run and name."""
    query = select(evaluations.c.run_id, evaluations.c.split, evaluations.c.details_json).where(
        evaluations.c.split.not_in(RESERVED)
    )
    wanted = None if run_ids is None else set(run_ids)
    rows = read(engine, lambda c: c.execute(query).all())
    return {
        (run_id, split): scored_as(json.loads(details or "{}"))
        for run_id, split, details in rows
        if wanted is None or run_id in wanted
    }


def scored_as(details: Mapping[str, Any]) -> ScoredAs:
    """What an evaluation's details say of its set."""
    about = details.get("test_set") or {}
    return ScoredAs(str(about.get("digest", "")), details.get("normaliser"), about.get("language"))


def set_names(engine: Engine, task: str) -> dict[str, int]:
    """Names of the further sets that finished runs of a task were scored on, and how many runs were."""
    further = evaluations.c.split.not_in(RESERVED)
    # Where there is none, as in most databases, one look at an index says so.
    query = (
        select(evaluations.c.split, func.count())
        .select_from(evaluations.join(runs).join(trials))
        .where(further, trials.c.task == task, runs.c.status == "finished")
        .where(evaluations.c.metric == trials.c.metric)
        .group_by(evaluations.c.split)
        .order_by(evaluations.c.split)
    )

    def work(connection: Connection) -> dict[str, int]:
        if (
            connection.execute(select(evaluations.c.evaluation_id).where(further).limit(1)).first()
            is None
        ):
            return {}
        return {name: int(n) for name, n in connection.execute(query)}

    return read(engine, work)


def _stored(run_id: int, evaluation: Evaluation) -> Select[Any]:
    return select(evaluations.c.details_json).where(
        evaluations.c.run_id == run_id,
        evaluations.c.split == evaluation.split,
        evaluations.c.metric == evaluation.metric,
    )


def _require_same(run_id: int, evaluation: Evaluation, details_json: str | None) -> None:
    there, here = scored_as(json.loads(details_json or "{}")), scored_as(evaluation.details or {})
    if there != here:
        raise InputError(
            f"run {run_id} was scored on a set called {evaluation.split!r} of other clips or by another scorer "
            f"({_in_words(there)}, now {_in_words(here)}); give the new set another name"
        )


def _in_words(one: ScoredAs) -> str:
    spoken = f", {one.language}" if one.language else ""
    return f"digest {one.digest[:12]}, {one.normaliser or 'no normaliser'}{spoken}"
