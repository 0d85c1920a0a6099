"""Reading devices, latencies, fits and answers."""

from __future__ import annotations

import dataclasses
import json

from sqlalchemy import Connection, Engine, RowMapping, select

from planner.errors import UnknownNameError
from planner.store import schema
from planner.store.row_types import FitRow, FitRun, PlanRow, StoredLatency
from planner.store.transactions import read
from planner.words.records import IN_TURNS, Device, Latency, Reduction

_DEVICE_FIELDS = ("name", "kind", "model", "n_threads", "memory_bytes", "driver")
_LATENCY_FIELDS = tuple(
    f.name
    for f in dataclasses.fields(Latency)
    if f.name not in ("device", "reduction", "kv_cache", "synchronised", "stages_ms", "quiet")
)


def devices(engine: Engine) -> list[Device]:
    """All devices, in the order they were met."""
    table = schema.devices
    query = select(table).order_by(table.c.device_id)
    return read(engine, lambda c: [_device(row) for row in c.execute(query).mappings()])


def latencies(
    engine: Engine, device: str | None = None, run_id: int | None = None
) -> list[StoredLatency]:
    """Latency measurements, oldest first, of one device (by its name) or one run, or of all."""
    table, by = schema.latencies, schema.devices
    query = (
        select(table, *(by.c[name] for name in _DEVICE_FIELDS), by.c.details_json)
        .join(by, by.c.device_id == table.c.device_id)
        .order_by(table.c.latency_id)
    )
    if device is not None:
        query = query.where(by.c.name == device)
    if run_id is not None:
        query = query.where(table.c.run_id == run_id)
    return read(engine, lambda c: [_latency(row) for row in c.execute(query).mappings()])


def best_latencies(engine: Engine) -> dict[int, StoredLatency]:
    """The measurement that counts for each run: the newest that was quiet, else the newest in turns, else any."""
    best: dict[int, StoredLatency] = {}
    for stored in latencies(engine):
        before = None if stored.run_id is None else best.get(stored.run_id)
        if stored.run_id is not None and (before is None or _rank(stored) >= _rank(before)):
            best[stored.run_id] = stored
    return best


def _rank(stored: StoredLatency) -> int:
    latency = stored.latency
    return 2 if latency.quiet else int(latency.method.endswith(IN_TURNS))


def fits(engine: Engine, task: str | None = None) -> list[FitRow]:
    """Stored fits without their runs, oldest first."""
    table = schema.law_fits
    query = select(table).order_by(table.c.created_utc, table.c.fit_id)
    if task is not None:
        query = query.where(table.c.task == task)
    return read(engine, lambda c: [FitRow(**row) for row in c.execute(query).mappings()])


def find_fit(engine: Engine, fit_id: str) -> FitRow | None:
    """A stored fit with the runs that it looked at, or None."""
    table, looked = schema.law_fits, schema.law_fit_runs

    def work(connection: Connection) -> FitRow | None:
        row = connection.execute(select(table).where(table.c.fit_id == fit_id)).mappings().first()
        if row is None:
            return None
        query = select(looked).where(looked.c.fit_id == fit_id).order_by(looked.c.run_id)
        found: list[FitRun] = [
            (r.run_id, bool(r.included), r.reason) for r in connection.execute(query)
        ]
        return FitRow(**row, runs=tuple(found))

    return read(engine, work)


def fit(engine: Engine, fit_id: str) -> FitRow:
    """A stored fit with the runs that it looked at.

    Raises:
        UnknownNameError: there is none with that id.
    """
    found = find_fit(engine, fit_id)
    if found is None:
        raise UnknownNameError("fit", fit_id, [row.fit_id for row in fits(engine)])
    return found


def plans(engine: Engine) -> list[PlanRow]:
    """Stored answers, oldest first."""
    table = schema.plans
    query = select(table).order_by(table.c.created_utc, table.c.answer_id)
    return read(engine, lambda c: [PlanRow(**row) for row in c.execute(query).mappings()])


def plan(engine: Engine, answer_id: str) -> PlanRow:
    """A stored answer.

    Raises:
        UnknownNameError: there is none with that id.
    """
    query = select(schema.plans).where(schema.plans.c.answer_id == answer_id)
    row = read(engine, lambda c: c.execute(query).mappings().first())
    if row is None:
        raise UnknownNameError("answer", answer_id, [p.answer_id for p in plans(engine)])
    return PlanRow(**row)


def _device(row: RowMapping) -> Device:
    details = row["details_json"]
    return Device(
        details=None if details is None else json.loads(details),
        **{name: row[name] for name in _DEVICE_FIELDS},
    )


def _latency(row: RowMapping) -> StoredLatency:
    stages = row["stages_json"]
    return StoredLatency(
        run_id=row["run_id"],
        latency_id=row["latency_id"],
        measured_utc=row["measured_utc"],
        latency=Latency(
            device=_device(row),
            reduction=Reduction.parse(row["reduction"]),
            kv_cache=bool(row["kv_cache"]),
            synchronised=bool(row["synchronised"]),
            quiet=None if row["quiet"] is None else bool(row["quiet"]),
            stages_ms=None if stages is None else json.loads(stages),
            **{name: row[name] for name in _LATENCY_FIELDS},
        ),
    )
