"""Texts that were scored again by other named scorers: written, and read beside a run's own error.

A later scoring by the same scorer takes the place of an earlier one: texts do not change, so the number is the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, delete, insert, select

from planner.store import schema
from planner.store.clock import NowUtc
from planner.store.transactions import read, write


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoring:
    """One run's error on one split by one scorer; `scorer` carries its version (`english-digits/1`)."""

    run_id: int
    split: str
    scorer: str
    metric: str
    error: float
    std_error: float | None
    n_units: int
    n_errors: int
    n_substitutions: int
    n_insertions: int
    n_deletions: int
    n_utterances: int
    cer: float | None


_NAMES = [f.name for f in dataclasses.fields(Scoring)]


def save_scorings(engine: Engine, found: Sequence[Scoring]) -> None:
    """Store scorings in one transaction."""
    table = schema.scorings

    def work(connection: Connection) -> None:
        for one in found:
            same = (
                table.c.run_id == one.run_id,
                table.c.split == one.split,
                table.c.scorer == one.scorer,
            )
            connection.execute(delete(table).where(*same))
            values = {name: getattr(one, name) for name in _NAMES}
            connection.execute(insert(table).values(**values, scored_utc=NowUtc()))

    write(engine, work)


def scorings(engine: Engine, run_id: int) -> list[Scoring]:
    """The scorings of a run, by split and scorer."""
    table = schema.scorings
    query = (
        select(*(table.c[name] for name in _NAMES))
        .where(table.c.run_id == run_id)
        .order_by(table.c.split, table.c.scorer)
    )
    rows = read(engine, lambda c: list(c.execute(query).mappings().all()))
    return [Scoring(**row) for row in rows]
