"""The tables of other engines: what a run's exported model came to in them, beside the run's own results.

`exports` says where a model was written to; `engine_evaluations` <- `engine_utterances` how it scored in an
engine at a precision, paired with the run's own texts; `engine_latencies` how long a window took. A run's own
evaluation and latency (in torch) stay in `evaluations` and `latencies`, so that what reads those means what it
always meant. `precision` is that of the weights: `float32`, `int8`, `float16`, …
"""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, Text, UniqueConstraint

from planner.store.columns import BIG, flag, real, table

exports = table(
    "exports",
    Column("export_id", Integer, primary_key=True),
    Column("run_id", ForeignKey("runs.run_id"), nullable=False),
    # onnx, openvino, ctranslate2, hf
    Column("format", Text, nullable=False),
    Column("engine", Text, nullable=False),
    Column("precision", Text, nullable=False),
    Column("folder", Text, nullable=False),
    Column("size_bytes", BIG, nullable=False),
    # of the names and digests of all its files
    Column("sha256", Text, nullable=False),
    Column("versions_json", Text),
    Column("created_utc", Text, nullable=False),
    UniqueConstraint("folder"),
    Index(None, "run_id", "engine", "precision"),
)

engine_evaluations = table(
    "engine_evaluations",
    Column("engine_evaluation_id", Integer, primary_key=True),
    Column("run_id", ForeignKey("runs.run_id"), nullable=False),
    Column("engine", Text, nullable=False),
    Column("engine_version", Text, nullable=False),
    Column("precision", Text, nullable=False),
    Column("device_id", ForeignKey("devices.device_id"), nullable=False),
    Column("n_threads", Integer, nullable=False),
    Column("split", Text, nullable=False),
    Column("metric", Text, nullable=False),
    real("error", nullable=False),
    real("std_error"),
    Column("n_units", BIG),
    Column("n_errors", BIG),
    Column("n_utterances", Integer, nullable=False),
    Column("n_broken", Integer, nullable=False),
    # utterances whose text is that of the run's own evaluation, letter for letter
    Column("n_equal_texts", Integer),
    # this error less the run's own on the same utterances, and its paired standard error
    real("error_difference", -1e6),
    real("error_difference_std_error"),
    real("mean_output_tokens"),
    Column("size_bytes", BIG),
    Column("peak_memory_bytes", BIG),
    # of a window while scoring, batch 1, all stages: by the clock, and of the processor
    real("window_ms"),
    real("window_cpu_ms"),
    Column("details_json", Text),
    Column("measured_utc", Text, nullable=False),
    # the naming convention's own name would be longer than PostgreSQL takes
    UniqueConstraint(
        "run_id",
        "engine",
        "engine_version",
        "precision",
        "device_id",
        "split",
        "metric",
        name="uq_engine_evaluations_measured",
    ),
)

engine_utterances = table(
    "engine_utterances",
    Column(
        "engine_evaluation_id",
        ForeignKey("engine_evaluations.engine_evaluation_id"),
        primary_key=True,
    ),
    Column("utterance_id", Text, primary_key=True),
    Column("hypothesis", Text, nullable=False),
    Column("n_units", Integer, nullable=False),
    Column("n_errors", Integer, nullable=False),
    Column("n_output_tokens", Integer),
)

engine_latencies = table(
    "engine_latencies",
    Column("engine_latency_id", Integer, primary_key=True),
    # NULL: random weights, measured by themselves
    Column("run_id", ForeignKey("runs.run_id")),
    Column("engine", Text, nullable=False),
    Column("engine_version", Text, nullable=False),
    Column("precision", Text, nullable=False),
    Column("device_id", ForeignKey("devices.device_id"), nullable=False),
    Column("n_threads", Integer, nullable=False),
    Column("backbone", Text, nullable=False),
    real("audio_seconds", nullable=False),
    Column("reduction", Text, nullable=False),
    Column("n_output_tokens", Integer, nullable=False),
    Column("batch_size", Integer, nullable=False),
    flag("kv_cache"),
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
    # as of `latencies`
    real("request_p50_ms"),
    real("request_p95_ms"),
    Column("n_requests", Integer),
    real("jitter"),
    real("processor_ms"),
    real("contention"),
    flag("quiet", nullable=True),
    real("share_above_p95"),
    Index(None, "device_id", "engine", "precision"),
    Index(None, "run_id", "engine", "precision"),
)
