"""Reading how runs scored in engines, each beside its own texts on the same utterances."""

from __future__ import annotations

import json
from collections.abc import Collection

from sqlalchemy import Connection, Engine, select

from planner.store import schema
from planner.store.transactions import read
from planner.words.engine_records import BorderLoss, EngineScore


def engine_scores(
    engine: Engine, run_ids: Collection[int], split: str, metric: str, last: int | None = None
) -> list[EngineScore]:
    """The newest score of each of those runs in each engine and precision, by run, engine and precision.

    Args:
        engine: the database.
        run_ids: whose exports.
        split: that was scored.
        metric: by which.
        last: key of the last score that an earlier answer knew; None takes all.
    """
    wanted, table = set(run_ids), schema.engine_evaluations
    query = (
        select(table)
        .where(table.c.split == split, table.c.metric == metric)
        .order_by(table.c.engine_evaluation_id)
    )

    def work(connection: Connection) -> list[EngineScore]:
        newest = {
            (row["run_id"], row["engine"], row["precision"]): row
            for row in connection.execute(query).mappings()
            if row["run_id"] in wanted and (last is None or row["engine_evaluation_id"] <= last)
        }
        return [
            EngineScore(
                **{name: row[name] for name in _COLUMNS},
                pairs=_pairs(connection, row["engine_evaluation_id"], row["run_id"], split, metric),
            )
            for _, row in sorted(newest.items())
        ]

    return read(engine, work)


_COLUMNS = (
    "run_id", "engine", "engine_version", "precision", "engine_evaluation_id", "error", "n_units",
    "size_bytes", "peak_memory_bytes",
)  # fmt: skip


def _pairs(
    connection: Connection, engine_evaluation_id: int, run_id: int, split: str, metric: str
) -> tuple[tuple[int, int, int, str, str | None], ...]:
    """Errors of the run and of its export, units, reference and speaker of each utterance of both."""
    of, own, new = schema.evaluations, schema.utterances, schema.engine_utterances
    query = (
        select(own.c.n_errors, new.c.n_errors, own.c.n_units, own.c.reference, own.c.speaker)
        .join(of, of.c.evaluation_id == own.c.evaluation_id)
        .join(new, new.c.utterance_id == own.c.utterance_id)
        .where(of.c.run_id == run_id, of.c.split == split, of.c.metric == metric)
        .where(own.c.failure_text.is_(None), new.c.engine_evaluation_id == engine_evaluation_id)
        .order_by(own.c.utterance_id)
    )
    return tuple((r[0], r[1], r[2], r[3], r[4]) for r in connection.execute(query))


def border_losses(engine: Engine, run_ids: Collection[int]) -> list[BorderLoss]:
    """What window borders cost those of the runs for which it was measured, oldest first."""
    wanted, table = set(run_ids), schema.engine_evaluations
    names = ("run_id", "engine", "precision", "engine_evaluation_id")
    query = (
        select(*(table.c[name] for name in names), table.c.details_json)
        .where(table.c.details_json.contains('"borders"'))
        .order_by(table.c.engine_evaluation_id)
    )
    rows = read(engine, lambda c: list(c.execute(query).mappings()))
    return [
        BorderLoss(**{name: row[name] for name in names}, found=found)
        for row in rows
        if row["run_id"] in wanted and (found := json.loads(row["details_json"]).get("borders"))
    ]
