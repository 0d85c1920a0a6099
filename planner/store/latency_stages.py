"""Stages that measure the latency of a sweep's configurations, alone on a host.

    open --save_turn, again and again--> open --finish--> finished

Every write asks in its own transaction whether the host is still held by the writer's token, so that a
process that was paused for longer than its lease stores nothing any more. A stage that is open when
nobody holds the host was cut off: the next one goes on with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, select, update

from planner.store import engine_results, to_rows
from planner.store.clock import NowSeconds, NowUtc
from planner.store.schema import host_leases, latency_stages, latency_turns
from planner.store.transactions import read, write
from planner.words.engine_records import EngineLatency
from planner.words.records import Latency


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRow:
    """One stage: what it was allowed, what it took, how noisy it was; `details` say what it left out."""

    latency_stage_id: int
    sweep_id: int
    host: str
    state: str
    sweep_seconds: float
    allowed_seconds: float
    seconds: float
    n_rounds: int
    n_rounds_whole: int
    noise_floor: float | None
    noise_floor_largest: float | None
    share_above_p95: float | None
    began_utc: str
    ended_utc: str | None
    details: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRow:
    """What one contestant took in one round, as JSON values."""

    contestant: str
    round: int
    run_id: int
    timed: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who measures: the host it holds and the token that proves it."""

    host: str
    token: str


_COLUMNS = tuple(f.name for f in fields(StageRow) if f.name != "details")


def stages(engine: Engine, sweep_id: int) -> list[StageRow]:
    """All stages of a sweep, oldest first."""
    table = latency_stages
    query = select(table).where(table.c.sweep_id == sweep_id).order_by(table.c.latency_stage_id)
    return read(engine, lambda c: [_row(r) for r in c.execute(query).mappings()])


def _row(row: Any) -> StageRow:
    details = json.loads(row["details_json"] or "{}")
    return StageRow(details=details, **{name: row[name] for name in _COLUMNS})


def open_stage(
    engine: Engine,
    holder: Holder,
    sweep_id: int,
    *,
    sweep_seconds: float,
    allowed_seconds: float,
    details: Mapping[str, Any],
) -> StageRow | None:
    """The sweep's open stage on the held host, or a new one; None where the host is not held.

    An open one with other contestants is given up, as its rounds would not be comparable.
    """
    table, told = latency_stages, to_rows.optional_json(dict(details))
    here = (table.c.sweep_id == sweep_id) & (table.c.host == holder.host)

    def work(connection: Connection) -> StageRow | None:
        if not _holds(connection, holder):
            return None
        still = select(table).where(here, table.c.state == "open")
        for row in connection.execute(still).mappings().all():
            if row["details_json"] == told:
                return _row(row)
            stage = latency_turns.c.latency_stage_id == row["latency_stage_id"]
            connection.execute(latency_turns.delete().where(stage))
            key = table.c.latency_stage_id == row["latency_stage_id"]
            connection.execute(table.delete().where(key))
        values = {
            "sweep_id": sweep_id, "host": holder.host, "state": "open", "seconds": 0.0,
            "sweep_seconds": sweep_seconds, "allowed_seconds": allowed_seconds, "n_rounds": 0,
            "n_rounds_whole": 0, "details_json": told, "began_utc": NowUtc(),
        }  # fmt: skip
        made = connection.execute(insert(table).values(**values).returning(table)).mappings().one()
        return _row(made)

    return write(engine, work)


def _holds(connection: Connection, holder: Holder) -> bool:
    lease = host_leases
    mine = (lease.c.host == holder.host) & (lease.c.token == holder.token)
    query = select(lease.c.token).where(mine, lease.c.lease_until_seconds > NowSeconds())
    return connection.execute(query.with_for_update()).first() is not None


def turns(engine: Engine, stage_id: int) -> list[TurnRow]:
    """What was timed so far, round by round."""
    table = latency_turns
    query = (
        select(table)
        .where(table.c.latency_stage_id == stage_id)
        .order_by(table.c.round, table.c.contestant)
    )
    return read(
        engine,
        lambda c: [
            TurnRow(
                contestant=r["contestant"],
                round=r["round"],
                run_id=r["run_id"],
                timed=json.loads(r["timed_json"]),
            )
            for r in c.execute(query).mappings()
        ],
    )


def save_turn(engine: Engine, holder: Holder, stage_id: int, turn: TurnRow, seconds: float) -> bool:
    """Store a turn, and the seconds since the last one; False: the host is no longer held, stop.

    The same turn again stores nothing twice.
    """
    stage, row = latency_stages, {
        "latency_stage_id": stage_id, "contestant": turn.contestant, "round": turn.round,
        "run_id": turn.run_id, "timed_json": json.dumps(turn.timed),
    }  # fmt: skip
    one = latency_turns.c.latency_stage_id == stage_id
    mine = (latency_turns.c.contestant == turn.contestant) & (latency_turns.c.round == turn.round)

    def work(connection: Connection) -> bool:
        if not _holds(connection, holder):
            return False
        if connection.execute(select(latency_turns.c.round).where(one & mine)).first() is None:
            connection.execute(insert(latency_turns).values(**row))
            rounds = select(func.max(latency_turns.c.round) + 1).where(one).scalar_subquery()
            more = {"seconds": stage.c.seconds + seconds, "n_rounds": rounds}
            connection.execute(
                update(stage).where(stage.c.latency_stage_id == stage_id).values(**more)
            )
        return True

    return write(engine, work, durable=False)


def finish(
    engine: Engine,
    holder: Holder,
    stage_id: int,
    *,
    latencies: Sequence[tuple[int, Latency]],
    in_engines: Sequence[tuple[int, EngineLatency]],
    summary: Mapping[str, Any],
    details: Mapping[str, Any],
) -> bool:
    """Store what a stage measured of each run, and end it; False: the host is no longer held.

    Done twice it stores nothing twice.

    Args:
        engine: the database.
        holder: who measured.
        stage_id: the stage.
        latencies: by run, in torch.
        in_engines: by run, in other engines.
        summary: columns of the stage: rounds, noise floors, share above the stated p95, seconds.
        details: what it measured and left out.
    """
    table = latency_stages
    one = table.c.latency_stage_id == stage_id
    rows = [row for run_id, x in latencies for row in to_rows.latency_rows([x], run_id)]

    def work(connection: Connection) -> bool:
        state = connection.execute(select(table.c.state).where(one)).scalar()
        if state == "finished":
            return True
        if state is None or not _holds(connection, holder):
            return False
        to_rows.insert_latencies(connection, rows, [x for _, x in latencies])
        for run_id, measured in in_engines:
            engine_results.insert_latency(connection, run_id, measured)
        told: dict[str, Any] = {"state": "finished", "ended_utc": NowUtc()}
        told["details_json"] = to_rows.optional_json(dict(details))
        connection.execute(update(table).where(one).values(**told, **summary))
        return True

    return write(engine, work)
