"""A database with a study that has ended and one whose driver died between two rounds."""

from __future__ import annotations

from pathlib import Path

from tests.studies.made import Simulated

ROUNDS = 4
"""After which the second one's driver dies."""


class DriverDiedError(Exception):
    """Thrown in the place of a kill."""


def two_studies(folder: Path) -> str:
    """Named `simulated` and `goes-on`; the second has runs that wait."""
    db = f"sqlite:///{folder}/studies.db"
    Simulated.of(folder, db).run()
    done: list[str] = []

    def dies(_: str) -> None:
        done.append("round")
        if len(done) == ROUNDS:
            raise DriverDiedError

    other = ("simulated", "goes-on"), ("[5, 10, 20]", "[6, 12, 24]")
    going = Simulated.of(folder, db, *other, after_round=dies)
    try:
        going.run()
    except DriverDiedError:
        wait_for_next(going, db)
        return db
    raise AssertionError("the second study ended")


def wait_for_next(going: Simulated, db: str) -> None:
    """Choose the next round, and no more."""
    from planner.service.study_rounds import next_of_study
    from planner.store import studies
    from planner.store.engine import opened
    from planner.words.catalogue import BUILT_IN
    from runner.sweep import prepare

    prepared = prepare.prepare_spec(going.file.spec, BUILT_IN, lambda line: None)
    with opened(db) as engine:
        row = studies.study_named(engine, "goes-on")
        found = next_of_study(engine, row, going.expected(prepared))
        number = len(studies.rounds_of(engine, row.study_id))
        studies.add_round(engine, row.study_id, number, list(found.runs), found.belief)
