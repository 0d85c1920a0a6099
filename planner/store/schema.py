"""The only description of the database. Alembic (migrations/) alone creates tables from it.

`trials` <- `runs` (attempts) <- `evaluations` <- `utterances`; `runs` <- `scorings`, `latencies`, `run_steps`;
`devices`; `sweeps` <- `sweep_trials`, `forecasts`; `law_fits` <- `law_fit_runs`; `plans`; `backbones`; the service's
`api_tokens` and `jobs`; of exported models `exports`, `engine_evaluations` <- `engine_utterances`, `engine_latencies`;
of latency that is measured by itself `latency_stages` <- `latency_turns`, `host_leases`; `studies` <- `study_rounds`.

Names: plural snake case, `trial_id` keys, unit suffixes, `n_` for counts, named constraints.
`_utc` is ISO 8601 text in UTC with milliseconds (`2026-11-24T09:39:54.120Z`), which sorts as time on
both databases; leases are seconds since the epoch by the database's own clock. A missing number is
NULL, never 0. Truth values are 0 or 1, so that the same SQL reads them on both databases. SQLite's
tables are STRICT: text in a column of numbers is refused there too.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    event,
)

from planner.store.answer_schema import law_fit_runs as law_fit_runs
from planner.store.answer_schema import law_fits as law_fits
from planner.store.answer_schema import plans as plans
from planner.store.columns import BIG, FINITE_MAX, flag, one_of, real, table
from planner.store.columns import metadata as metadata
from planner.store.engine_schema import engine_evaluations as engine_evaluations
from planner.store.engine_schema import engine_latencies as engine_latencies
from planner.store.engine_schema import engine_utterances as engine_utterances
from planner.store.engine_schema import exports as exports
from planner.store.latency_schema import STAGE_STATES as STAGE_STATES
from planner.store.latency_schema import host_leases as host_leases
from planner.store.latency_schema import latency_stages as latency_stages
from planner.store.latency_schema import latency_turns as latency_turns
from planner.store.scoring_schema import scorings as scorings
from planner.store.service_schema import JOB_STATES as JOB_STATES
from planner.store.service_schema import api_tokens as api_tokens
from planner.store.service_schema import jobs as jobs
from planner.store.study_schema import STUDY_STATES as STUDY_STATES
from planner.store.study_schema import studies as studies
from planner.store.study_schema import study_rounds as study_rounds

SCHEMA_REVISION = "0013"
"""The Alembic revision of the tables below; a test compares it with the newest migration."""

TRIAL_STATES = ("queued", "running", "finished", "failed", "cancelled")
RUN_STATUSES = ("running", "finished", "failed", "lost", "cancelled")
PROVENANCES = ("measured", "published", "imported")

devices = table(
    "devices",
    Column("device_id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("n_threads", Integer, nullable=False),
    Column("memory_bytes", BIG),
    Column("driver", Text),
    Column("details_json", Text),
)

backbones = table(
    "backbones",
    Column("backbone_id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("config_json", Text, nullable=False),
    Column("added_utc", Text, nullable=False),
)

trials = table(
    "trials",
    Column("trial_id", Integer, primary_key=True),
    Column("fingerprint", Text, nullable=False, unique=True),
    Column("trial_json", Text, nullable=False),
    # The fields that people filter and group by, as columns; trial_json holds all of them.
    Column("task", Text, nullable=False),
    # the error that a law is fitted to: the task's, or what a result from elsewhere reports
    Column("metric", Text, nullable=False),
    Column("dataset", Text, nullable=False),
    Column("dataset_digest", Text, nullable=False),
    Column("split_policy", Text, nullable=False),
    Column("reference_policy", Text, nullable=False),
    Column("backbone", Text, nullable=False),
    Column("initialisation", Text, nullable=False),
    Column("n_params", BIG, nullable=False),
    real("audio_seconds", nullable=False),
    Column("reduction", Text, nullable=False),
    Column("reduction_place", Text, nullable=False),
    Column("reduction_factor", Integer, nullable=False),
    real("tokens_per_second", nullable=False),
    Column("padding", Text, nullable=False),
    Column("adaptation", Text, nullable=False),
    Column("lora_rank", Integer),
    Column("top_k_layers", Integer, nullable=False),
    Column("n_train", Integer, nullable=False),
    Column("n_test", Integer, nullable=False),
    Column("normaliser", Text, nullable=False),
    Column("seed", BIG, nullable=False),
    # The claim: a state, a fencing token and a lease by the database's clock.
    Column("state", Text, nullable=False, server_default="queued"),
    Column("token", Integer, nullable=False, server_default="0"),
    real("lease_until_seconds"),
    Column("n_attempts", Integer, nullable=False, server_default="0"),
    Column("max_attempts", Integer, nullable=False, server_default="3"),
    Column("resources_json", Text, nullable=False, server_default="{}"),
    Column("created_utc", Text, nullable=False),
    one_of("state", *TRIAL_STATES),
    # Running is what holds a lease, and nothing else does.
    CheckConstraint("(state = 'running') = (lease_until_seconds IS NOT NULL)", name="lease"),
    Index(None, "state", "trial_id"),
    Index(None, "task", "backbone"),
)

runs = table(
    "runs",
    Column("run_id", Integer, primary_key=True),
    Column("trial_id", ForeignKey("trials.trial_id"), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("token", Integer, nullable=False),
    # Random name of the claim: a claim repeated after a lost acknowledgement finds its own run.
    Column("claim_key", Text, unique=True),
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
    real("loss", -FINITE_MAX),
    # parameters as the runner counted them; the law's x_N is trials.n_params
    Column("n_params_counted", BIG),
    Column("n_trainable", BIG),
    real("train_seconds"),
    real("score_seconds"),
    real("train_audio_seconds"),
    real("train_flops"),
    Column("peak_memory_bytes", BIG),
    Column("micro_batch", Integer),
    Column("precision", Text),
    Column("weights_source", Text),
    Column("weights_digest", Text),
    Column("data_source", Text),
    Column("artifact", Text),
    Column("details_json", Text),
    UniqueConstraint("trial_id", "attempt"),
    one_of("status", *RUN_STATUSES),
    one_of("provenance", *PROVENANCES),
    Index(None, "status", "run_id"),
)
# At most one stored result for each trial, whatever dies.
_ONE_RESULT = Index(
    "uq_runs_finished_trial",
    runs.c.trial_id,
    unique=True,
    sqlite_where=runs.c.status == "finished",
)


@event.listens_for(runs, "before_create")
def _where_on_postgresql(table: Table, connection: Connection, **options: Any) -> None:
    # Said here and not above, where it would import PostgreSQL's dialect for SQLite too: 50 ms of each command.
    if connection.dialect.name == "postgresql":
        where = runs.c.status == "finished"
        _ONE_RESULT.dialect_options["postgresql"]["where"] = where


evaluations = table(
    "evaluations",
    Column("evaluation_id", Integer, primary_key=True),
    Column("run_id", ForeignKey("runs.run_id"), nullable=False),
    Column("split", Text, nullable=False),
    Column("metric", Text, nullable=False),
    real("error", nullable=False),
    real("std_error"),
    Column("n_units", BIG),
    Column("n_errors", BIG),
    Column("n_substitutions", BIG),
    Column("n_insertions", BIG),
    Column("n_deletions", BIG),
    Column("n_utterances", Integer),
    Column("n_broken", Integer, nullable=False, server_default="0"),
    Column("selection", Text, nullable=False),
    real("audio_coverage"),
    Column("speaker_overlap", Integer),
    real("mean_output_tokens"),
    Column("output_tokens_json", Text),
    Column("details_json", Text),
    UniqueConstraint("run_id", "split", "metric"),
    # the best run first, and the errors of chosen runs: both from the index alone
    Index(None, "metric", "split", "error", "evaluation_id", "run_id"),
    Index(None, "run_id", "metric", "split", "error"),
)

utterances = table(
    "utterances",
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
    real("audio_seconds", nullable=False),
    real("audio_coverage", nullable=False),
    Column("n_output_tokens", Integer),
    Column("failure_text", Text),
    # where the references of joined clips end in `reference`, in characters; NULL: one clip
    Column("part_ends", Text),
)

run_steps = table(
    "run_steps",
    Column("run_id", ForeignKey("runs.run_id"), primary_key=True),
    Column("step", Integer, primary_key=True),
    # NULL: the loss or the norm was not finite at this step
    real("loss", -FINITE_MAX),
    real("grad_norm"),
    real("learning_rate", nullable=False),
    real("seconds", nullable=False),
    rowid=False,
)

latencies = table(
    "latencies",
    Column("latency_id", Integer, primary_key=True),
    # Random name of the measurement: one that is saved again is known.
    Column("measurement_key", Text, nullable=False, unique=True),
    Column("run_id", ForeignKey("runs.run_id")),
    Column("device_id", ForeignKey("devices.device_id"), nullable=False),
    Column("backbone", Text, nullable=False),
    real("audio_seconds", nullable=False),
    Column("reduction", Text, nullable=False),
    Column("n_output_tokens", Integer, nullable=False),
    Column("batch_size", Integer, nullable=False),
    Column("dtype", Text, nullable=False),
    Column("attention", Text, nullable=False),
    flag("kv_cache"),
    flag("synchronised"),
    Column("n_warmup", Integer, nullable=False),
    Column("n_samples", Integer, nullable=False),
    Column("n_processes", Integer, nullable=False),
    real("p50_ms", nullable=False),
    real("p90_ms", nullable=False),
    real("p95_ms", nullable=False),
    real("p99_ms", nullable=False),
    real("noise_floor"),
    Column("stages_json", Text),
    Column("method", Text, nullable=False),
    Column("measured_utc", Text, nullable=False),
    # of whole utterances with their own windows and tokens; NULL: one window was repeated alone
    real("request_p50_ms"),
    real("request_p95_ms"),
    Column("n_requests", Integer),
    # the machine's part: p95 over p50 of one window
    real("jitter"),
    real("processor_ms"),
    # wall time over processor time
    real("contention"),
    # 1 alone on its device, 0 under load; NULL: not known
    flag("quiet", nullable=True),
    # of timed requests, those above the p95 that the others state
    real("share_above_p95"),
    Index(None, "device_id", "backbone"),
    # the fast runs of a device, and whether a run is fast: both from the index alone
    Index(None, "device_id", "p50_ms", "run_id"),
    Index(None, "run_id", "device_id", "p50_ms"),
)

sweeps = table(
    "sweeps",
    Column("sweep_id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("spec_json", Text, nullable=False),
    Column("created_utc", Text, nullable=False),
)

sweep_trials = table(
    "sweep_trials",
    Column("sweep_id", ForeignKey("sweeps.sweep_id"), primary_key=True),
    Column("trial_id", ForeignKey("trials.trial_id"), primary_key=True),
    Column("position", Integer, nullable=False),
    rowid=False,
)

forecasts = table(
    "forecasts",
    Column("sweep_id", ForeignKey("sweeps.sweep_id"), primary_key=True),
    Column("trial_id", ForeignKey("trials.trial_id"), primary_key=True),
    Column("device", Text, nullable=False),
    Column("source", Text, nullable=False),
    real("train_flops", nullable=False),
    real("score_flops", nullable=False),
    real("trial_seconds", nullable=False),
    real("trial_seconds_low", nullable=False),
    real("trial_seconds_high", nullable=False),
    real("peak_memory_bytes", nullable=False),
    real("peak_memory_bytes_low", nullable=False),
    real("peak_memory_bytes_high", nullable=False),
    Column("created_utc", Text, nullable=False),
    rowid=False,
)
