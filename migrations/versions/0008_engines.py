"""Exported models: where they lie, how they score and how fast they are in other engines.

Revision: 0008
Revises: 0007
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

FINITE_MAX = 9e300
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
DOUBLE = sa.Float(53).with_variant(sa.REAL(), "sqlite")

V_ENGINES = """\
CREATE VIEW v_engines AS
SELECT
    r.run_id, r.task, r.backbone, r.n_params, r.audio_seconds, r.reduction, r.tokens_per_second,
    r.adaptation, e.engine, e.engine_version, e.precision, e.n_threads, d.name AS device, e.split,
    e.metric, e.error, e.std_error, r.error AS run_error, e.error_difference,
    e.error_difference_std_error, e.n_units, e.n_errors, e.n_utterances, e.n_equal_texts,
    e.size_bytes, e.peak_memory_bytes, e.window_ms, e.window_cpu_ms, l.p50_ms, l.p95_ms,
    e.measured_utc
FROM engine_evaluations e
JOIN v_results r ON r.run_id = e.run_id
JOIN devices d ON d.device_id = e.device_id
LEFT JOIN engine_latencies l ON l.engine_latency_id = (
    SELECT MAX(y.engine_latency_id) FROM engine_latencies y
    WHERE y.run_id = e.run_id AND y.engine = e.engine AND y.engine_version = e.engine_version
        AND y.precision = e.precision AND y.device_id = e.device_id)"""


def _real(table: str, name: str, low: float = 0.0, nullable: bool = True) -> sa.Column[Any]:
    check = sa.CheckConstraint(
        f"{name} >= {low} AND {name} <= {FINITE_MAX}", name=op.f(f"ck_{table}_{name}")
    )
    return sa.Column(name, DOUBLE, check, nullable=nullable)


def _text(name: str, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _whole(name: str, nullable: bool = False, kind: Any = sa.Integer) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=nullable)


def _key(table: str, name: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [name], [f"{other}.{name}"], name=op.f(f"fk_{table}_{name}_{other}")
    )


def _primary(table: str, *names: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*names, name=op.f(f"pk_{table}"))


def _index(table: str, *names: str) -> None:
    op.create_index(op.f(f"ix_{table}_{'_'.join(names)}"), table, list(names))


def _exports() -> None:
    name = "exports"
    op.create_table(
        name,
        _whole("export_id"),
        _whole("run_id"),
        *(_text(column) for column in ("format", "engine", "precision", "folder")),
        _whole("size_bytes", kind=BIG),
        _text("sha256"),
        _text("versions_json", nullable=True),
        _text("created_utc"),
        _primary(name, "export_id"),
        _key(name, "run_id", "runs"),
        sa.UniqueConstraint("folder", name=op.f("uq_exports_folder")),
        sqlite_strict=True,
    )
    _index(name, "run_id", "engine", "precision")


def _evaluations() -> None:
    name = "engine_evaluations"
    op.create_table(
        name,
        _whole("engine_evaluation_id"),
        _whole("run_id"),
        *(_text(column) for column in ("engine", "engine_version", "precision")),
        _whole("device_id"),
        _whole("n_threads"),
        _text("split"),
        _text("metric"),
        _real(name, "error", nullable=False),
        _real(name, "std_error"),
        _whole("n_units", nullable=True, kind=BIG),
        _whole("n_errors", nullable=True, kind=BIG),
        _whole("n_utterances"),
        _whole("n_broken"),
        _whole("n_equal_texts", nullable=True),
        _real(name, "error_difference", -1e6),
        _real(name, "error_difference_std_error"),
        _real(name, "mean_output_tokens"),
        _whole("size_bytes", nullable=True, kind=BIG),
        _whole("peak_memory_bytes", nullable=True, kind=BIG),
        _real(name, "window_ms"),
        _real(name, "window_cpu_ms"),
        _text("details_json", nullable=True),
        _text("measured_utc"),
        _primary(name, "engine_evaluation_id"),
        _key(name, "run_id", "runs"),
        _key(name, "device_id", "devices"),
        sa.UniqueConstraint(
            "run_id",
            "engine",
            "engine_version",
            "precision",
            "device_id",
            "split",
            "metric",
            name=op.f("uq_engine_evaluations_measured"),
        ),
        sqlite_strict=True,
    )


def _utterances() -> None:
    name = "engine_utterances"
    op.create_table(
        name,
        _whole("engine_evaluation_id"),
        _text("utterance_id"),
        _text("hypothesis"),
        _whole("n_units"),
        _whole("n_errors"),
        _whole("n_output_tokens", nullable=True),
        _primary(name, "engine_evaluation_id", "utterance_id"),
        _key(name, "engine_evaluation_id", "engine_evaluations"),
        sqlite_strict=True,
    )


def _latencies() -> None:
    name = "engine_latencies"
    op.create_table(
        name,
        _whole("engine_latency_id"),
        _whole("run_id", nullable=True),
        *(_text(column) for column in ("engine", "engine_version", "precision")),
        _whole("device_id"),
        _whole("n_threads"),
        _text("backbone"),
        _real(name, "audio_seconds", nullable=False),
        _text("reduction"),
        _whole("n_output_tokens"),
        _whole("batch_size"),
        sa.Column(
            "kv_cache",
            sa.Integer,
            sa.CheckConstraint("kv_cache IN (0, 1)", name=op.f(f"ck_{name}_kv_cache")),
            nullable=False,
        ),
        *(_whole(column) for column in ("n_warmup", "n_samples", "n_processes")),
        *(
            _real(name, column, nullable=False)
            for column in ("p50_ms", "p90_ms", "p95_ms", "p99_ms")
        ),
        _real(name, "noise_floor"),
        _text("stages_json", nullable=True),
        _text("method"),
        _text("measured_utc"),
        _primary(name, "engine_latency_id"),
        _key(name, "run_id", "runs"),
        _key(name, "device_id", "devices"),
        sqlite_strict=True,
    )
    _index(name, "device_id", "engine", "precision")
    _index(name, "run_id", "engine", "precision")


def upgrade() -> None:
    for create in (_exports, _evaluations, _utterances, _latencies):
        create()
    op.execute(V_ENGINES)


def downgrade() -> None:
    op.execute("DROP VIEW v_engines")
    for name in ("engine_latencies", "engine_utterances", "engine_evaluations", "exports"):
        op.drop_table(name)
