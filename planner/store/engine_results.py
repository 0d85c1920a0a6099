"""Writing and reading what exported models came to in their engines.

A measurement in the same engine, version and precision on the same device takes the place of an earlier one:
the model is the same, and the newer number is of the newer export.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, Select, delete, insert, select

from planner.store import schema, to_rows
from planner.store.clock import NowUtc
from planner.store.transactions import read, write
from planner.words.engine_records import EngineEvaluation, EngineLatency, Export
from planner.words.records import Device, Latency, Reduction

_SCORE = (
    "error", "std_error", "n_units", "n_errors", "n_utterances", "n_broken", "mean_output_tokens",
    "split", "metric",
)  # fmt: skip
_BESIDE = (
    "engine", "engine_version", "precision", "n_threads", "n_equal_texts", "error_difference",
    "error_difference_std_error", "size_bytes", "peak_memory_bytes", "window_ms", "window_cpu_ms",
)  # fmt: skip
_LATENCY = (
    "backbone", "audio_seconds", "n_output_tokens", "batch_size", "n_warmup", "n_samples",
    "n_processes", "p50_ms", "p90_ms", "p95_ms", "p99_ms", "noise_floor", "method", "request_p50_ms",
    "request_p95_ms", "n_requests", "jitter", "processor_ms", "contention", "share_above_p95",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineResult:
    """One row of `v_engines`: a run in an engine at a precision, beside the run's own error."""

    run_id: int
    engine: str
    engine_version: str
    precision: str
    n_threads: int
    device: str
    split: str
    metric: str
    error: float
    std_error: float | None
    run_error: float | None
    error_difference: float | None
    error_difference_std_error: float | None
    n_utterances: int
    n_equal_texts: int | None
    size_bytes: int | None
    peak_memory_bytes: int | None
    window_ms: float | None
    window_cpu_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    measured_utc: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEngineLatency:
    """A latency in an engine, and the run that it is of (None: random weights)."""

    measured: EngineLatency
    run_id: int | None
    measured_utc: str
    engine_latency_id: int


_VIEW = sa.table("v_engines", *(sa.column(f.name) for f in dataclasses.fields(EngineResult)))


def save_export(engine: Engine, export: Export) -> None:
    """Store where a model was written to; a folder that is written to again is the newer one's."""
    table = schema.exports
    names = ("run_id", "format", "engine", "precision", "folder", "size_bytes", "sha256")
    values = {name: getattr(export, name) for name in names}

    def work(connection: Connection) -> None:
        connection.execute(delete(table).where(table.c.folder == export.folder))
        versions = to_rows.optional_json(export.versions)
        connection.execute(
            insert(table).values(**values, versions_json=versions, created_utc=NowUtc())
        )

    write(engine, work)


def save_engine_results(
    engine: Engine,
    run_id: int | None,
    evaluations: Sequence[EngineEvaluation] = (),
    latencies: Sequence[EngineLatency] = (),
) -> None:
    """Store how a run scored in engines and how long a window took, in one transaction.

    Latencies of random weights have no run (None).
    """

    def work(connection: Connection) -> None:
        for one in evaluations:
            _insert_evaluation(connection, run_id, one)
        for measured in latencies:
            insert_latency(connection, run_id, measured)

    write(engine, work)


def _insert_evaluation(connection: Connection, run_id: int | None, one: EngineEvaluation) -> None:
    table, below = schema.engine_evaluations, schema.engine_utterances
    scored = one.evaluation
    key = {
        "run_id": run_id,
        "device_id": to_rows.device_id_of(connection, one.device),
        "engine": one.engine,
        "engine_version": one.engine_version,
        "precision": one.precision,
        "split": scored.split,
        "metric": scored.metric,
    }
    same = [table.c[name] == value for name, value in key.items()]
    old = select(table.c.engine_evaluation_id).where(*same).scalar_subquery()
    connection.execute(delete(below).where(below.c.engine_evaluation_id == old))
    connection.execute(delete(table).where(*same))
    values = {name: getattr(scored, name) for name in _SCORE}
    values |= {name: getattr(one, name) for name in _BESIDE} | key
    values |= {"details_json": to_rows.optional_json(scored.details), "measured_utc": NowUtc()}
    statement = insert(table).values(**values).returning(table.c.engine_evaluation_id)
    evaluation_id = connection.execute(statement).scalar_one()
    names = ("utterance_id", "hypothesis", "n_units", "n_errors", "n_output_tokens")
    rows = [
        (evaluation_id, *(getattr(utterance, name) for name in names))
        for utterance in scored.utterances
    ]
    to_rows.bulk_insert(connection, below, ("engine_evaluation_id", *names), rows)


def insert_latency(connection: Connection, run_id: int | None, measured: EngineLatency) -> None:
    """Insert one latency in an engine, in a transaction of the caller."""
    latency = measured.latency
    values: dict[str, Any] = {name: getattr(latency, name) for name in _LATENCY}
    values |= {
        "run_id": run_id,
        "device_id": to_rows.device_id_of(connection, latency.device),
        "engine": measured.engine,
        "engine_version": measured.engine_version,
        "precision": latency.dtype,
        "n_threads": measured.n_threads,
        "reduction": str(latency.reduction),
        "kv_cache": int(latency.kv_cache),
        "quiet": None if latency.quiet is None else int(latency.quiet),
        "stages_json": to_rows.optional_json(latency.stages_ms),
        "measured_utc": NowUtc(),
    }
    connection.execute(insert(schema.engine_latencies).values(**values))


def exports(engine: Engine, run_id: int) -> list[Export]:
    """Where a run's model was written to, newest first."""
    table = schema.exports
    names = ("run_id", "format", "engine", "precision", "folder", "size_bytes", "sha256")
    query = select(table).where(table.c.run_id == run_id).order_by(table.c.export_id.desc())
    return [
        Export(
            versions=json.loads(row["versions_json"] or "null"),
            **{name: row[name] for name in names},
        )
        for row in _rows(engine, query)
    ]


def engine_results(engine: Engine, run_id: int | None = None) -> list[EngineResult]:
    """Runs in engines and precisions, of one run or of all."""
    view = _VIEW
    query = select(view).order_by(view.c.run_id, view.c.engine, view.c.precision)
    if run_id is not None:
        query = query.where(view.c.run_id == run_id)
    return [EngineResult(**row) for row in _rows(engine, query)]


def engine_latencies(engine: Engine, device: str | None = None) -> list[StoredEngineLatency]:
    """Latencies in engines, oldest first, of one device (by its name) or of all."""
    from planner.store.read_fits import devices

    table, known = schema.engine_latencies, schema.devices
    by_name = {one.name: one for one in devices(engine)}
    query = (
        select(table, known.c.name.label("device_name"))
        .join(known, known.c.device_id == table.c.device_id)
        .order_by(table.c.engine_latency_id)
    )
    if device is not None:
        query = query.where(known.c.name == device)
    return [_latency(row, by_name[row["device_name"]]) for row in _rows(engine, query)]


def _latency(row: Any, device: Device) -> StoredEngineLatency:
    latency = Latency(
        device=device,
        reduction=Reduction.parse(row["reduction"]),
        dtype=row["precision"],
        attention=row["engine"],
        kv_cache=bool(row["kv_cache"]),
        quiet=None if row["quiet"] is None else bool(row["quiet"]),
        stages_ms=json.loads(row["stages_json"] or "null"),
        **{name: row[name] for name in _LATENCY},
    )
    measured = EngineLatency(
        engine=row["engine"],
        engine_version=row["engine_version"],
        n_threads=row["n_threads"],
        latency=latency,
    )
    return StoredEngineLatency(
        measured=measured, run_id=row["run_id"], measured_utc=row["measured_utc"],
        engine_latency_id=row["engine_latency_id"],
    )  # fmt: skip


def _rows(engine: Engine, query: Select[Any]) -> list[Any]:
    return read(engine, lambda c: list(c.execute(query).mappings().all()))
