"""From the frozen words of `planner.words.records` to rows, and the statements that many writers share."""

from __future__ import annotations

import dataclasses
import json
import math
import operator
import uuid
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Table, insert, select
from sqlalchemy.dialects import sqlite

from planner.errors import InputError
from planner.store import schema
from planner.store.clock import NowUtc
from planner.words.catalogue import Catalogue
from planner.words.records import (
    TASKS,
    Device,
    Evaluation,
    Latency,
    Resources,
    RunRecord,
    Step,
    Trial,
    Utterance,
    canonical_json,
    to_json,
)

Row = dict[str, Any]

_EVALUATION_COLUMNS = (
    "split", "metric", "error", "std_error", "n_units", "n_errors", "n_substitutions",
    "n_insertions", "n_deletions", "n_utterances", "n_broken", "selection", "audio_coverage",
    "speaker_overlap", "mean_output_tokens",
)  # fmt: skip
_UTTERANCE_COLUMNS = tuple(f.name for f in dataclasses.fields(Utterance))
_UTTERANCE_VALUES = operator.attrgetter(*_UTTERANCE_COLUMNS)
_LATENCY_COLUMNS = (
    "backbone", "audio_seconds", "n_output_tokens", "batch_size", "dtype", "attention", "n_warmup",
    "n_samples", "n_processes", "p50_ms", "p90_ms", "p95_ms", "p99_ms", "noise_floor", "method",
    "request_p50_ms", "request_p95_ms", "n_requests", "jitter", "processor_ms", "contention",
    "share_above_p95",
)  # fmt: skip
_RUN_COLUMNS = (
    "failure_class", "failure_text", "n_trainable", "train_seconds", "score_seconds",
    "train_audio_seconds", "train_flops", "peak_memory_bytes", "micro_batch", "precision",
    "weights_source", "weights_digest", "data_source", "artifact", "host", "code_revision",
)  # fmt: skip

_CHUNK = 500
"""Most parameters of one IN list; SQLite's own limit was 999 for long."""

_PARAMETERS = 900
"""Most parameters of one INSERT of many rows, for the same reason."""


def trial_row(trial: Trial, catalogue: Catalogue, record: RunRecord | None = None) -> Row:
    """The columns of `trials` that follow from a trial.

    Args:
        trial: what is trained.
        catalogue: the database's.
        record: of a result from elsewhere, which may be of a backbone that the catalogue does not
            know, or report another metric than the task's.

    Raises:
        UnknownNameError: the backbone is not in the catalogue and the record does not count its parameters.
    """
    names = (
        "task", "dataset", "dataset_digest", "split_policy", "reference_policy", "backbone",
        "initialisation", "audio_seconds", "padding", "n_train", "n_test", "normaliser", "seed",
    )  # fmt: skip
    metric, n_params = TASKS[trial.task], None
    if record is not None:
        n_params = record.n_params
        reported = [evaluation.metric for evaluation in record.evaluations]
        metric = metric if metric in reported or not reported else reported[0]
    return {name: getattr(trial, name) for name in names} | {
        "fingerprint": trial.fingerprint,
        "trial_json": canonical_json(to_json(trial)),
        "metric": metric,
        "n_params": n_params or catalogue.backbone(trial.backbone).n_params,
        "reduction": str(trial.reduction),
        "reduction_place": trial.reduction.place,
        "reduction_factor": trial.reduction.factor,
        "tokens_per_second": trial.reduction.tokens_per_second,
        "adaptation": str(trial.adaptation),
        "lora_rank": trial.adaptation.lora_rank,
        "top_k_layers": trial.adaptation.top_k_layers,
    }


def resources_columns(resources: Resources) -> Row:
    """How a trial is executed, as the columns of `trials`."""
    return {
        "resources_json": canonical_json(to_json(resources)),
        "max_attempts": resources.max_attempts,
    }


def states(connection: Connection, fingerprints: Iterable[str]) -> dict[str, str]:
    """The states of those trials that the database knows, by fingerprint."""
    table, found = schema.trials, dict[str, str]()
    for part in chunks(list(fingerprints)):
        query = select(table.c.fingerprint, table.c.state).where(table.c.fingerprint.in_(part))
        found |= {row.fingerprint: row.state for row in connection.execute(query)}
    return found


def chunks(keys: Sequence[str]) -> Iterable[Sequence[str]]:
    """The keys in parts that fit into one IN list."""
    return (keys[start : start + _CHUNK] for start in range(0, len(keys), _CHUNK))


def check_record(record: RunRecord, status: str) -> None:
    """Refuse a record that the database could not keep as it is, before anything is written.

    Raises:
        InputError: the status is not `status`, or a number is not finite.
    """
    if record.status != status:
        raise InputError(f"a run to be stored as {status} says status {record.status!r}")
    for where, value in _numbers(record):
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{where} of a run must be finite or unknown (None), got {value!r}")


def _numbers(record: RunRecord) -> Iterable[tuple[str, Any]]:
    for field in dataclasses.fields(record):
        yield field.name, getattr(record, field.name)
    for evaluation in record.evaluations:
        for name in _EVALUATION_COLUMNS:
            yield f"{name} on {evaluation.split}", getattr(evaluation, name)
    for latency in record.latencies:
        for name in _LATENCY_COLUMNS:
            yield f"latency {name}", getattr(latency, name)


def optional_json(value: object) -> str | None:
    """JSON text, None where there is nothing."""
    return None if value is None else json.dumps(to_json(value), ensure_ascii=False, sort_keys=True)


def record_columns(record: RunRecord, device_id: int | None) -> Row:
    """The columns of `runs` that the outcome fills in; what it does not know stays as it is."""
    values = {name: getattr(record, name) for name in _RUN_COLUMNS} | {
        "n_params_counted": record.n_params,
        "device_id": device_id,
        "versions_json": optional_json(record.versions),
        "details_json": optional_json(record.details),
    }
    return {name: value for name, value in values.items() if value is not None}


def store_details(connection: Connection, run_id: int, record: RunRecord) -> None:
    """Insert what hangs below a run: evaluations with their utterances, steps, latencies."""
    for evaluation in record.evaluations:
        insert_evaluation(connection, run_id, evaluation)
    _insert_steps(connection, run_id, record.steps)
    insert_latencies(connection, latency_rows(record.latencies, run_id), record.latencies)


def insert_evaluation(connection: Connection, run_id: int, evaluation: Evaluation) -> None:
    """Insert one evaluation of a run with its utterances."""
    row = {name: getattr(evaluation, name) for name in _EVALUATION_COLUMNS} | {
        "run_id": run_id,
        "output_tokens_json": optional_json(evaluation.output_tokens),
        "details_json": optional_json(evaluation.details),
    }
    statement = insert(schema.evaluations).returning(schema.evaluations.c.evaluation_id)
    evaluation_id = connection.execute(statement, row).scalar_one()
    bulk_insert(
        connection,
        schema.utterances,
        ("evaluation_id", *_UTTERANCE_COLUMNS),
        [(evaluation_id, *_UTTERANCE_VALUES(u)) for u in evaluation.utterances],
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _insert_steps(connection: Connection, run_id: int, steps: Sequence[Step]) -> None:
    rows = [
        (run_id, s.step, _finite(s.loss), _finite(s.grad_norm), s.learning_rate, s.seconds)
        for s in steps
    ]
    columns = ("run_id", "step", "loss", "grad_norm", "learning_rate", "seconds")
    bulk_insert(connection, schema.run_steps, columns, rows)


def latency_rows(latencies: Sequence[Latency], run_id: int | None) -> list[Row]:
    """The columns of `latencies` without the device, each with a new name of the measurement."""
    return [
        {name: getattr(latency, name) for name in _LATENCY_COLUMNS}
        | {
            "measurement_key": uuid.uuid4().hex,
            "run_id": run_id,
            "reduction": str(latency.reduction),
            "kv_cache": int(latency.kv_cache),
            "synchronised": int(latency.synchronised),
            "quiet": None if latency.quiet is None else int(latency.quiet),
            "stages_json": optional_json(latency.stages_ms),
        }
        for latency in latencies
    ]


def insert_latencies(
    connection: Connection, rows: Sequence[Row], latencies: Sequence[Latency]
) -> None:
    """Insert measurements with their devices; those that are known by their key stay as they are."""
    ids: dict[str, int] = {}
    for latency in latencies:
        if latency.device.name not in ids:
            ids[latency.device.name] = device_id_of(connection, latency.device)
    now = connection.execute(select(NowUtc())).scalar_one() if rows else None
    insert_new(
        connection,
        schema.latencies,
        [
            row | {"device_id": ids[latency.device.name], "measured_utc": now}
            for row, latency in zip(rows, latencies, strict=True)
        ],
    )


def device_id_of(connection: Connection, device: Device) -> int:
    """The key of a device, which is inserted where its name is new."""
    table = schema.devices
    find = select(table.c.device_id).where(table.c.name == device.name)
    known = connection.execute(find).scalar()
    if known is None:
        values = {
            "name": device.name,
            "kind": device.kind,
            "model": device.model,
            "n_threads": device.n_threads,
            "memory_bytes": device.memory_bytes,
            "driver": device.driver,
            "details_json": optional_json(device.details),
        }
        insert_new(connection, table, [values])
        known = connection.execute(find).scalar_one()
    return int(known)


def insert_new(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert the rows whose unique keys are new, and leave the others alone."""
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        connection.execute(sqlite.insert(table).on_conflict_do_nothing(), list(rows))
    else:
        from sqlalchemy.dialects import postgresql

        connection.execute(postgresql.insert(table).on_conflict_do_nothing(), list(rows))


def bulk_insert(
    connection: Connection, table: Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Insert many rows by the driver's own executemany, without a dictionary for each.

    SQLite takes as many rows in one statement as its parameters allow, which is a fifth faster.
    """
    if not rows:
        return
    head = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES "
    if connection.dialect.name != "sqlite":
        marks = ", ".join(["%s"] * len(columns))
        connection.exec_driver_sql(f"{head}({marks})", list(rows))
        return
    marks = f"({', '.join('?' * len(columns))})"
    n = _PARAMETERS // len(columns)
    whole = len(rows) - len(rows) % n
    if whole:
        parts = (rows[start : start + n] for start in range(0, whole, n))
        flat = [tuple(chain.from_iterable(part)) for part in parts]
        connection.exec_driver_sql(head + ", ".join([marks] * n), flat)
    if rest := list(rows[whole:]):
        connection.exec_driver_sql(head + marks, rest)


def now(connection: Connection) -> str:
    """The database's time, as its columns keep it."""
    return str(connection.execute(select(NowUtc())).scalar_one())


def insert_trials(connection: Connection, new: Sequence[Row]) -> None:
    """Store trials that the database does not know yet."""
    created = now(connection)
    insert_new(connection, schema.trials, [row | {"created_utc": created} for row in new])
