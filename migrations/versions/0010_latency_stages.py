"""Leases of hosts, stages that measure latency there, what each turn took, and shares above a stated p95.

Latencies in other engines are of requests too. v_results and v_engines show the newest quiet measurement
before one that was taken under load.

Revision: 0010
Revises: 0009
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

FINITE_MAX = 9e300
DOUBLE = sa.Float(53).with_variant(sa.REAL(), "sqlite")
ENGINE_COLUMNS = (
    "request_p50_ms", "request_p95_ms", "n_requests", "jitter", "processor_ms", "contention", "quiet",
    "share_above_p95",
)  # fmt: skip

V_RESULTS = """\
SELECT
    r.run_id, r.trial_id, t.fingerprint, t.state, r.attempt, r.status, r.provenance, r.source,
    r.source_kind,
    t.task, t.metric, t.dataset, t.dataset_digest, t.split_policy, t.reference_policy, t.backbone,
    t.initialisation, t.n_params, t.audio_seconds, t.reduction, t.tokens_per_second, t.padding,
    t.adaptation, t.lora_rank, t.top_k_layers, t.n_train, t.n_test, t.normaliser, t.seed,
    e.split, e.error, e.std_error, e.n_units, e.n_errors, e.n_substitutions, e.n_insertions,
    e.n_deletions, e.n_utterances, e.n_broken, e.selection, e.audio_coverage, e.speaker_overlap,
    e.mean_output_tokens, e.details_json AS evaluation_details_json,
    m.name AS latency_device, l.p50_ms AS latency_p50_ms, l.p95_ms AS latency_p95_ms,
    d.name AS device, r.n_params_counted, r.n_trainable, r.train_seconds, r.score_seconds,
    r.train_audio_seconds, r.train_flops, r.peak_memory_bytes, r.micro_batch, r.precision,
    r.weights_source, r.weights_digest, r.data_source, r.artifact, r.host, r.worker_version,
    r.code_revision, r.started_utc, r.finished_utc, r.failure_class, r.failure_text
FROM runs r
JOIN trials t ON t.trial_id = r.trial_id
LEFT JOIN evaluations e ON e.evaluation_id = (
    SELECT x.evaluation_id FROM evaluations x
    WHERE x.run_id = r.run_id AND x.metric = t.metric
    ORDER BY CASE x.split WHEN 'test' THEN 0 ELSE 1 END, x.evaluation_id LIMIT 1)
LEFT JOIN latencies l ON l.latency_id = (
    SELECT y.latency_id FROM latencies y
    WHERE y.run_id = r.run_id AND y.backbone = t.backbone
        AND y.audio_seconds = t.audio_seconds AND y.reduction = t.reduction
    ORDER BY {order} LIMIT 1)
LEFT JOIN devices m ON m.device_id = l.device_id
LEFT JOIN devices d ON d.device_id = r.device_id"""

V_ENGINES = """\
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
    SELECT {latest} FROM engine_latencies y
    WHERE y.run_id = e.run_id AND y.engine = e.engine AND y.engine_version = e.engine_version
        AND y.precision = e.precision AND y.device_id = e.device_id{order})"""

BEFORE = {
    "v_results": "y.batch_size, COALESCE(y.quiet, 0) DESC, y.latency_id",
    "latest": "MAX(y.engine_latency_id)",
    "v_engines": "",
}
AFTER = {
    "v_results": (
        "y.batch_size, COALESCE(y.quiet, 0) DESC,\n"
        "        CASE WHEN y.quiet = 1 OR y.method IN (\n"
        "            'requests/2 in turns', 'requests/2 by processor time in turns')\n"
        "            THEN -y.latency_id ELSE y.latency_id END"
    ),
    "latest": "y.engine_latency_id",
    "v_engines": "\n    ORDER BY COALESCE(y.quiet, 0) DESC, y.engine_latency_id DESC LIMIT 1",
}


def _real(table: str, name: str, nullable: bool = True) -> sa.Column[Any]:
    check = sa.CheckConstraint(
        f"{name} >= 0.0 AND {name} <= {FINITE_MAX}", name=op.f(f"ck_{table}_{name}")
    )
    return sa.Column(name, DOUBLE, check, nullable=nullable)


def _text(name: str, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text, nullable=nullable)


def _whole(name: str, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer, nullable=nullable)


def _key(table: str, name: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [name], [f"{other}.{name}"], name=op.f(f"fk_{table}_{name}_{other}")
    )


def _host_leases() -> None:
    op.create_table(
        "host_leases",
        _text("host"),
        _text("token"),
        _real("host_leases", "lease_until_seconds", nullable=False),
        _text("taken_utc"),
        sa.PrimaryKeyConstraint("host", name=op.f("pk_host_leases")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _stages() -> None:
    name = "latency_stages"
    op.create_table(
        name,
        _whole("latency_stage_id"),
        _whole("sweep_id"),
        _text("host"),
        _text("state"),
        _real(name, "sweep_seconds", nullable=False),
        _real(name, "allowed_seconds", nullable=False),
        _real(name, "seconds", nullable=False),
        _whole("n_rounds"),
        _whole("n_rounds_whole"),
        _real(name, "noise_floor"),
        _real(name, "noise_floor_largest"),
        _real(name, "share_above_p95"),
        _text("details_json", nullable=True),
        _text("began_utc"),
        _text("ended_utc", nullable=True),
        sa.PrimaryKeyConstraint("latency_stage_id", name=op.f(f"pk_{name}")),
        _key(name, "sweep_id", "sweeps"),
        sa.CheckConstraint("state IN ('open', 'finished')", name=op.f(f"ck_{name}_state")),
        sa.CheckConstraint(
            "(state = 'finished') = (ended_utc IS NOT NULL)", name=op.f(f"ck_{name}_ended")
        ),
        sqlite_strict=True,
    )
    op.create_index(op.f(f"ix_{name}_sweep_id_host"), name, ["sweep_id", "host"])


def _turns() -> None:
    name = "latency_turns"
    op.create_table(
        name,
        _whole("latency_stage_id"),
        _text("contestant"),
        _whole("round"),
        _whole("run_id"),
        _text("timed_json"),
        sa.PrimaryKeyConstraint("latency_stage_id", "contestant", "round", name=op.f(f"pk_{name}")),
        _key(name, "latency_stage_id", "latency_stages"),
        _key(name, "run_id", "runs"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _added(table: str, name: str) -> sa.Column[Any]:
    if name == "n_requests":
        return _whole(name, nullable=True)
    if name == "quiet":
        check = sa.CheckConstraint("quiet IN (0, 1)", name=op.f(f"ck_{table}_quiet"))
        return sa.Column(name, sa.Integer, check)
    return _real(table, name)


def _show(how: dict[str, str]) -> None:
    """The views with another order; their columns stay, so that what is built on them stays too."""
    texts = {
        "v_results": V_RESULTS.format(order=how["v_results"]),
        "v_engines": V_ENGINES.format(latest=how["latest"], order=how["v_engines"]),
    }
    if op.get_bind().dialect.name == "sqlite":
        for name in reversed(texts):
            op.execute(f"DROP VIEW {name}")
        for name, text in texts.items():
            op.execute(f"CREATE VIEW {name} AS\n{text}")
        return
    for name, text in texts.items():
        op.execute(f"CREATE OR REPLACE VIEW {name} AS\n{text}")


def upgrade() -> None:
    _host_leases()
    _stages()
    _turns()
    op.add_column("latencies", _added("latencies", "share_above_p95"))
    for name in ENGINE_COLUMNS:
        op.add_column("engine_latencies", _added("engine_latencies", name))
    _show(AFTER)


def downgrade() -> None:
    _show(BEFORE)
    for name in reversed(ENGINE_COLUMNS):
        op.drop_column("engine_latencies", name)
    op.drop_column("latencies", "share_above_p95")
    for name in ("latency_turns", "latency_stages", "host_leases"):
        op.drop_table(name)
