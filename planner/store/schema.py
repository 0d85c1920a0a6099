"""The only description of the database. Alembic (migrations/) alone creates tables from it.

`trials` <- `runs` (attempts) <- `evaluations` <- `utterances`; `runs` <- `latencies`, `run_steps`;
`devices`; `sweeps` <- `sweep_trials`; `law_fits` <- `law_fit_runs`; `plans`; `backbones`.

Names: plural snake case, `trial_id` keys, unit suffixes, `n_` for counts, named constraints.
`_utc` is ISO 8601 text in UTC (`2026-11-24T09:39:54Z`), which sorts as time on both databases;
leases are seconds since the epoch by the database's own clock. A missing number is NULL, never 0.
"""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = MetaData(naming_convention=NAMING)

FINITE_MAX = 9e300
"""Bound of the CHECKs that refuse infinities on both databases (NaN fails every comparison on
SQLite as NULL, and sorts above the bound on PostgreSQL)."""


def _real(name: str, *, nullable: bool = True) -> Column[float]:
    return Column(name, Float(53), nullable=nullable)


def _finite(name: str, low: float = 0.0) -> CheckConstraint:
    """A CHECK that a column is NULL or lies in [low, FINITE_MAX]; NaN is refused on both databases."""
    return CheckConstraint(
        f"{name} IS NULL OR ({name} >= {low} AND {name} <= {FINITE_MAX})", name=name
    )


def _words(name: str, *words: str) -> CheckConstraint:
    listed = ", ".join(f"'{w}'" for w in words)
    return CheckConstraint(f"{name} IN ({listed})", name=name)


TRIAL_STATES = ("queued", "running", "finished", "failed", "cancelled")
RUN_STATUSES = ("running", "finished", "failed", "lost", "cancelled")

devices = Table(
    "devices",
    metadata,
    Column("device_id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("n_threads", Integer, nullable=False),
    _real("memory_bytes"),
    Column("driver", Text),
    Column("details_json", Text),
)

backbones = Table(
    "backbones",
    metadata,
    Column("backbone_id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("config_json", Text, nullable=False),
    Column("added_utc", Text, nullable=False),
)

trials = Table(
    "trials",
    metadata,
    Column("trial_id", Integer, primary_key=True),
    Column("fingerprint", Text, nullable=False, unique=True),
    Column("trial_json", Text, nullable=False),
    # The fields that people filter and group by, as columns; trial_json holds all of them.
    Column("task", Text, nullable=False),
    Column("dataset", Text, nullable=False),
    Column("dataset_digest", Text, nullable=False),
    Column("split_policy", Text, nullable=False),
    Column("reference_policy", Text, nullable=False),
    Column("backbone", Text, nullable=False),
    Column("initialisation", Text, nullable=False),
    Column("n_params", Integer, nullable=False),
    _real("audio_seconds", nullable=False),
    Column("reduction", Text, nullable=False),
    Column("reduction_place", Text, nullable=False),
    Column("reduction_factor", Integer, nullable=False),
    _real("tokens_per_second", nullable=False),
    Column("padding", Text, nullable=False),
    Column("adaptation", Text, nullable=False),
    Column("lora_rank", Integer),
    Column("top_k_layers", Integer, nullable=False),
    Column("n_train", Integer, nullable=False),
    Column("n_test", Integer, nullable=False),
    Column("normaliser", Text, nullable=False),
    Column("seed", Integer, nullable=False),
    # The claim: a state, a fencing token and a lease by the database's clock.
    Column("state", Text, nullable=False, server_default="queued"),
    Column("token", Integer, nullable=False, server_default="0"),
    _real("lease_until_seconds"),
    Column("n_attempts", Integer, nullable=False, server_default="0"),
    Column("max_attempts", Integer, nullable=False, server_default="3"),
    Column("resources_json", Text),
    Column("created_utc", Text, nullable=False),
    _words("state", *TRIAL_STATES),
    _finite("audio_seconds"),
    _finite("tokens_per_second"),
    Index(None, "state", "trial_id"),
    Index(None, "task", "backbone"),
)

runs = Table(
    "runs",
    metadata,
    Column("run_id", Integer, primary_key=True),
    Column("trial_id", ForeignKey("trials.trial_id"), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("token", Integer, nullable=False),
    Column("status", Text, nullable=False),
    # measured here, published in a paper, or imported from the user's own table
    Column("provenance", Text, nullable=False, server_default="measured"),
    Column("source", Text),
    Column("source_kind", Text),
    Column("failure_class", Text),
    Column("failure_text", Text),
    Column("host", Text),
    Column("pid", Integer),
    Column("device_id", ForeignKey("devices.device_id")),
    Column("worker_version", Text),
    Column("code_revision", Text),
    Column("versions_json", Text),
    Column("started_utc", Text, nullable=False),
    Column("heartbeat_utc", Text),
    Column("finished_utc", Text),
    # live progress, written by the heartbeat
    Column("phase", Text),
    Column("step", Integer),
    Column("n_steps", Integer),
    _real("loss"),
    Column("n_trainable", Integer),
    _real("train_seconds"),
    _real("score_seconds"),
    _real("train_audio_seconds"),
    _real("train_flops"),
    _real("peak_memory_bytes"),
    Column("micro_batch", Integer),
    Column("precision", Text),
    Column("weights_source", Text),
    Column("weights_digest", Text),
    Column("data_source", Text),
    Column("artifact", Text),
    Column("details_json", Text),
    UniqueConstraint("trial_id", "attempt"),
    _words("status", *RUN_STATUSES),
    _words("provenance", "measured", "published", "imported"),
    _finite("train_seconds"),
    _finite("score_seconds"),
    _finite("train_flops"),
    _finite("peak_memory_bytes"),
    _finite("loss", -FINITE_MAX),
    Index(None, "status", "run_id"),
)
# At most one stored result for each trial, whatever dies.
Index(
    "uq_runs_finished_trial",
    runs.c.trial_id,
    unique=True,
    sqlite_where=runs.c.status == "finished",
    postgresql_where=runs.c.status == "finished",
)

evaluations = Table(
    "evaluations",
    metadata,
    Column("evaluation_id", Integer, primary_key=True),
    Column("run_id", ForeignKey("runs.run_id"), nullable=False),
    Column("split", Text, nullable=False),
    Column("metric", Text, nullable=False),
    _real("error", nullable=False),
    _real("std_error"),
    Column("n_units", Integer),
    Column("n_errors", Integer),
    Column("n_substitutions", Integer),
    Column("n_insertions", Integer),
    Column("n_deletions", Integer),
    Column("n_utterances", Integer),
    Column("n_broken", Integer, nullable=False, server_default="0"),
    Column("selection", Text, nullable=False),
    _real("audio_coverage"),
    Column("speaker_overlap", Integer),
    _real("mean_output_tokens"),
    Column("output_tokens_json", Text),
    Column("details_json", Text),
    UniqueConstraint("run_id", "split", "metric"),
    _finite("error"),
    _finite("std_error"),
)

utterances = Table(
    "utterances",
    metadata,
    Column("evaluation_id", ForeignKey("evaluations.evaluation_id"), primary_key=True),
    Column("utterance_id", Text, primary_key=True),
    Column("speaker", Text),
    Column("reference", Text, nullable=False),
    Column("hypothesis", Text, nullable=False),
    Column("n_units", Integer, nullable=False),
    Column("n_errors", Integer, nullable=False),
    Column("n_substitutions", Integer),
    Column("n_insertions", Integer),
    Column("n_deletions", Integer),
    _real("audio_seconds", nullable=False),
    _real("audio_coverage", nullable=False),
    Column("n_output_tokens", Integer),
    Column("failure_text", Text),
)

run_steps = Table(
    "run_steps",
    metadata,
    Column("run_id", ForeignKey("runs.run_id"), primary_key=True),
    Column("step", Integer, primary_key=True),
    _real("loss", nullable=False),
    _real("grad_norm", nullable=False),
    _real("learning_rate", nullable=False),
    _real("seconds", nullable=False),
    _finite("loss", -FINITE_MAX),
    _finite("grad_norm"),
)

latencies = Table(
    "latencies",
    metadata,
    Column("latency_id", Integer, primary_key=True),
    Column("run_id", ForeignKey("runs.run_id")),
    Column("device_id", ForeignKey("devices.device_id"), nullable=False),
    Column("backbone", Text, nullable=False),
    _real("audio_seconds", nullable=False),
    Column("reduction", Text, nullable=False),
    Column("n_output_tokens", Integer, nullable=False),
    Column("batch_size", Integer, nullable=False),
    Column("dtype", Text, nullable=False),
    Column("attention", Text, nullable=False),
    Column("kv_cache", Boolean, nullable=False),
    Column("synchronised", Boolean, nullable=False),
    Column("n_warmup", Integer, nullable=False),
    Column("n_samples", Integer, nullable=False),
    Column("n_processes", Integer, nullable=False),
    _real("p50_ms", nullable=False),
    _real("p90_ms", nullable=False),
    _real("p95_ms", nullable=False),
    _real("p99_ms", nullable=False),
    _real("noise_floor"),
    Column("stages_json", Text),
    Column("method", Text, nullable=False),
    Column("measured_utc", Text, nullable=False),
    _finite("p50_ms"),
    _finite("p90_ms"),
    _finite("p95_ms"),
    _finite("p99_ms"),
    Index(None, "device_id", "backbone"),
)

sweeps = Table(
    "sweeps",
    metadata,
    Column("sweep_id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("spec_json", Text, nullable=False),
    Column("created_utc", Text, nullable=False),
)

sweep_trials = Table(
    "sweep_trials",
    metadata,
    Column("sweep_id", ForeignKey("sweeps.sweep_id"), primary_key=True),
    Column("trial_id", ForeignKey("trials.trial_id"), primary_key=True),
    Column("position", Integer, nullable=False),
)

law_fits = Table(
    "law_fits",
    metadata,
    Column("fit_id", Text, primary_key=True),
    Column("task", Text, nullable=False),
    Column("metric", Text, nullable=False),
    Column("law", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("n_runs", Integer, nullable=False),
    _real("objective", nullable=False),
    Column("selection_json", Text, nullable=False),
    Column("fit_json", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("created_utc", Text, nullable=False),
)

law_fit_runs = Table(
    "law_fit_runs",
    metadata,
    Column("fit_id", ForeignKey("law_fits.fit_id"), primary_key=True),
    Column("run_id", ForeignKey("runs.run_id"), primary_key=True),
    Column("included", Boolean, nullable=False),
    Column("reason", Text),
)

plans = Table(
    "plans",
    metadata,
    Column("answer_id", Text, primary_key=True),
    Column("fit_id", ForeignKey("law_fits.fit_id")),
    Column("task", Text, nullable=False),
    Column("query_json", Text, nullable=False),
    Column("answer_json", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("created_utc", Text, nullable=False),
)
