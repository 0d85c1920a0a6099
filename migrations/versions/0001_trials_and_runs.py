"""Trials, their attempts, and what each attempt measured.

Revision: 0001
Revises: nothing
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

FINITE_MAX = 9e300
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
DOUBLE = sa.Float(53).with_variant(sa.REAL(), "sqlite")


def _real(table: str, name: str, *, low: float = 0.0, nullable: bool = True) -> sa.Column[Any]:
    text = f"{name} >= {low} AND {name} <= {FINITE_MAX}"
    check = sa.CheckConstraint(text, name=op.f(f"ck_{table}_{name}"))
    return sa.Column(name, DOUBLE, check, nullable=nullable)


def _flag(table: str, name: str) -> sa.Column[Any]:
    check = sa.CheckConstraint(f"{name} IN (0, 1)", name=op.f(f"ck_{table}_{name}"))
    return sa.Column(name, sa.Integer, check, nullable=False)


def _trials() -> None:
    op.create_table(
        "devices",
        sa.Column("device_id", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("n_threads", sa.Integer, nullable=False),
        sa.Column("memory_bytes", BIG),
        sa.Column("driver", sa.Text),
        sa.Column("details_json", sa.Text),
        sa.PrimaryKeyConstraint("device_id", name=op.f("pk_devices")),
        sa.UniqueConstraint("name", name=op.f("uq_devices_name")),
        sqlite_strict=True,
    )
    op.create_table(
        "backbones",
        sa.Column("backbone_id", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("config_json", sa.Text, nullable=False),
        sa.Column("added_utc", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("backbone_id", name=op.f("pk_backbones")),
        sa.UniqueConstraint("name", name=op.f("uq_backbones_name")),
        sqlite_strict=True,
    )
    op.create_table(
        "trials",
        sa.Column("trial_id", sa.Integer, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("trial_json", sa.Text, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("metric", sa.Text, nullable=False),
        sa.Column("dataset", sa.Text, nullable=False),
        sa.Column("dataset_digest", sa.Text, nullable=False),
        sa.Column("split_policy", sa.Text, nullable=False),
        sa.Column("reference_policy", sa.Text, nullable=False),
        sa.Column("backbone", sa.Text, nullable=False),
        sa.Column("initialisation", sa.Text, nullable=False),
        sa.Column("n_params", BIG, nullable=False),
        _real("trials", "audio_seconds", nullable=False),
        sa.Column("reduction", sa.Text, nullable=False),
        sa.Column("reduction_place", sa.Text, nullable=False),
        sa.Column("reduction_factor", sa.Integer, nullable=False),
        _real("trials", "tokens_per_second", nullable=False),
        sa.Column("padding", sa.Text, nullable=False),
        sa.Column("adaptation", sa.Text, nullable=False),
        sa.Column("lora_rank", sa.Integer),
        sa.Column("top_k_layers", sa.Integer, nullable=False),
        sa.Column("n_train", sa.Integer, nullable=False),
        sa.Column("n_test", sa.Integer, nullable=False),
        sa.Column("normaliser", sa.Text, nullable=False),
        sa.Column("seed", BIG, nullable=False),
        sa.Column("state", sa.Text, server_default="queued", nullable=False),
        sa.Column("token", sa.Integer, server_default="0", nullable=False),
        _real("trials", "lease_until_seconds"),
        sa.Column("n_attempts", sa.Integer, server_default="0", nullable=False),
        sa.Column("max_attempts", sa.Integer, server_default="3", nullable=False),
        sa.Column("resources_json", sa.Text, server_default="{}", nullable=False),
        sa.Column("created_utc", sa.Text, nullable=False),
        sa.CheckConstraint(
            "(state = 'running') = (lease_until_seconds IS NOT NULL)", name=op.f("ck_trials_lease")
        ),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'finished', 'failed', 'cancelled')",
            name=op.f("ck_trials_state"),
        ),
        sa.PrimaryKeyConstraint("trial_id", name=op.f("pk_trials")),
        sa.UniqueConstraint("fingerprint", name=op.f("uq_trials_fingerprint")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_trials_state_trial_id"), "trials", ["state", "trial_id"])
    op.create_index(op.f("ix_trials_task_backbone"), "trials", ["task", "backbone"])


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("run_id", sa.Integer, nullable=False),
        sa.Column("trial_id", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("token", sa.Integer, nullable=False),
        sa.Column("claim_key", sa.Text),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("provenance", sa.Text, server_default="measured", nullable=False),
        sa.Column("source", sa.Text),
        sa.Column("source_kind", sa.Text),
        sa.Column("failure_class", sa.Text),
        sa.Column("failure_text", sa.Text),
        sa.Column("host", sa.Text),
        sa.Column("pid", sa.Integer),
        sa.Column("device_id", sa.Integer),
        sa.Column("worker_version", sa.Text),
        sa.Column("code_revision", sa.Text),
        sa.Column("versions_json", sa.Text),
        sa.Column("started_utc", sa.Text, nullable=False),
        sa.Column("heartbeat_utc", sa.Text),
        sa.Column("finished_utc", sa.Text),
        sa.Column("phase", sa.Text),
        sa.Column("step", sa.Integer),
        sa.Column("n_steps", sa.Integer),
        _real("runs", "loss", low=-FINITE_MAX),
        sa.Column("n_params_counted", BIG),
        sa.Column("n_trainable", BIG),
        _real("runs", "train_seconds"),
        _real("runs", "score_seconds"),
        _real("runs", "train_audio_seconds"),
        _real("runs", "train_flops"),
        sa.Column("peak_memory_bytes", BIG),
        sa.Column("micro_batch", sa.Integer),
        sa.Column("precision", sa.Text),
        sa.Column("weights_source", sa.Text),
        sa.Column("weights_digest", sa.Text),
        sa.Column("data_source", sa.Text),
        sa.Column("artifact", sa.Text),
        sa.Column("details_json", sa.Text),
        sa.CheckConstraint(
            "provenance IN ('measured', 'published', 'imported')", name=op.f("ck_runs_provenance")
        ),
        sa.CheckConstraint(
            "status IN ('running', 'finished', 'failed', 'lost', 'cancelled')",
            name=op.f("ck_runs_status"),
        ),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.device_id"], name=op.f("fk_runs_device_id_devices")
        ),
        sa.ForeignKeyConstraint(
            ["trial_id"], ["trials.trial_id"], name=op.f("fk_runs_trial_id_trials")
        ),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_runs")),
        sa.UniqueConstraint("claim_key", name=op.f("uq_runs_claim_key")),
        sa.UniqueConstraint("trial_id", "attempt", name=op.f("uq_runs_trial_id_attempt")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_runs_status_run_id"), "runs", ["status", "run_id"])
    op.create_index(
        "uq_runs_finished_trial",
        "runs",
        ["trial_id"],
        unique=True,
        sqlite_where=sa.text("status = 'finished'"),
        postgresql_where=sa.text("status = 'finished'"),
    )


def _results() -> None:
    op.create_table(
        "evaluations",
        sa.Column("evaluation_id", sa.Integer, nullable=False),
        sa.Column("run_id", sa.Integer, nullable=False),
        sa.Column("split", sa.Text, nullable=False),
        sa.Column("metric", sa.Text, nullable=False),
        _real("evaluations", "error", nullable=False),
        _real("evaluations", "std_error"),
        sa.Column("n_units", BIG),
        sa.Column("n_errors", BIG),
        sa.Column("n_substitutions", BIG),
        sa.Column("n_insertions", BIG),
        sa.Column("n_deletions", BIG),
        sa.Column("n_utterances", sa.Integer),
        sa.Column("n_broken", sa.Integer, server_default="0", nullable=False),
        sa.Column("selection", sa.Text, nullable=False),
        _real("evaluations", "audio_coverage"),
        sa.Column("speaker_overlap", sa.Integer),
        _real("evaluations", "mean_output_tokens"),
        sa.Column("output_tokens_json", sa.Text),
        sa.Column("details_json", sa.Text),
        sa.ForeignKeyConstraint(
            ["run_id"], ["runs.run_id"], name=op.f("fk_evaluations_run_id_runs")
        ),
        sa.PrimaryKeyConstraint("evaluation_id", name=op.f("pk_evaluations")),
        sa.UniqueConstraint(
            "run_id", "split", "metric", name=op.f("uq_evaluations_run_id_split_metric")
        ),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_evaluations_metric_error"), "evaluations", ["metric", "error"])
    op.create_table(
        "utterances",
        sa.Column("evaluation_id", sa.Integer, nullable=False),
        sa.Column("utterance_id", sa.Text, nullable=False),
        sa.Column("speaker", sa.Text),
        sa.Column("reference", sa.Text, nullable=False),
        sa.Column("hypothesis", sa.Text, nullable=False),
        sa.Column("n_units", sa.Integer, nullable=False),
        sa.Column("n_errors", sa.Integer, nullable=False),
        sa.Column("n_substitutions", sa.Integer),
        sa.Column("n_insertions", sa.Integer),
        sa.Column("n_deletions", sa.Integer),
        _real("utterances", "audio_seconds", nullable=False),
        _real("utterances", "audio_coverage", nullable=False),
        sa.Column("n_output_tokens", sa.Integer),
        sa.Column("failure_text", sa.Text),
        sa.ForeignKeyConstraint(
            ["evaluation_id"],
            ["evaluations.evaluation_id"],
            name=op.f("fk_utterances_evaluation_id_evaluations"),
        ),
        sa.PrimaryKeyConstraint("evaluation_id", "utterance_id", name=op.f("pk_utterances")),
        sqlite_strict=True,
    )
    op.create_table(
        "run_steps",
        sa.Column("run_id", sa.Integer, nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        _real("run_steps", "loss", low=-FINITE_MAX),
        _real("run_steps", "grad_norm"),
        _real("run_steps", "learning_rate", nullable=False),
        _real("run_steps", "seconds", nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name=op.f("fk_run_steps_run_id_runs")),
        sa.PrimaryKeyConstraint("run_id", "step", name=op.f("pk_run_steps")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "latencies",
        sa.Column("latency_id", sa.Integer, nullable=False),
        sa.Column("measurement_key", sa.Text, nullable=False),
        sa.Column("run_id", sa.Integer),
        sa.Column("device_id", sa.Integer, nullable=False),
        sa.Column("backbone", sa.Text, nullable=False),
        _real("latencies", "audio_seconds", nullable=False),
        sa.Column("reduction", sa.Text, nullable=False),
        sa.Column("n_output_tokens", sa.Integer, nullable=False),
        sa.Column("batch_size", sa.Integer, nullable=False),
        sa.Column("dtype", sa.Text, nullable=False),
        sa.Column("attention", sa.Text, nullable=False),
        _flag("latencies", "kv_cache"),
        _flag("latencies", "synchronised"),
        sa.Column("n_warmup", sa.Integer, nullable=False),
        sa.Column("n_samples", sa.Integer, nullable=False),
        sa.Column("n_processes", sa.Integer, nullable=False),
        _real("latencies", "p50_ms", nullable=False),
        _real("latencies", "p90_ms", nullable=False),
        _real("latencies", "p95_ms", nullable=False),
        _real("latencies", "p99_ms", nullable=False),
        _real("latencies", "noise_floor"),
        sa.Column("stages_json", sa.Text),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("measured_utc", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(
            ["device_id"], ["devices.device_id"], name=op.f("fk_latencies_device_id_devices")
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name=op.f("fk_latencies_run_id_runs")),
        sa.PrimaryKeyConstraint("latency_id", name=op.f("pk_latencies")),
        sa.UniqueConstraint("measurement_key", name=op.f("uq_latencies_measurement_key")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_latencies_device_id_backbone"), "latencies", ["device_id", "backbone"])
    op.create_index(op.f("ix_latencies_run_id"), "latencies", ["run_id"])


def upgrade() -> None:
    _trials()
    _runs()
    _results()


def downgrade() -> None:
    for table in (
        "latencies",
        "run_steps",
        "utterances",
        "evaluations",
        "runs",
        "trials",
        "backbones",
        "devices",
    ):
        op.drop_table(table)
