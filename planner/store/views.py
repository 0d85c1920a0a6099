"""The views for people who write SQL: the same columns with the same meaning on both databases.

    v_results             one row for each run: its trial, its main error, its latency, its costs
    v_costs               one row for each run and each latency measured by it
    v_utterances          one row for each scored utterance, with the axes of its trial
    v_frontier            the finished runs that no other run beats in both error and latency on
                          one device
    v_axes                one row for each finished run and compute axis: its value there, its
                          error, and the error of the run at the other end of its line
    v_engines             one row for each run and each engine and precision that an export of it was
                          scored in, beside the run's own error (in torch)
    v_planned_vs_actual   one row for each answer and each run of what it recommended that was made
                          since; an answer that nobody has tried yet has one row without a run

A line of `v_axes` joins the runs that agree in everything but one axis (and, for `n_params`, the
backbone): `error_at_largest` is the error where that axis is largest, so `error - error_at_largest`
is what going down costs. In `v_planned_vs_actual` the interval is the one that the answer gave, of
the expected error; a single run scatters more, which `soundscale plan verify` allows for. Latencies
there are of one window. Both say `inside` by 1, 0 or NULL.

`error` is the trial's `metric` (its task's, `wer` or `unweighted_error`; or what a result from
elsewhere reports) on the split `test` where there is one. FLOPs of an utterance are not here: they
follow from dimensions, which `planner.costs` counts (`soundscale runs list -f json` shows both).
Migrations create the views from frozen copies of these texts; a test compares the two.
"""

from __future__ import annotations

import sqlalchemy as sa

_TRIAL_COLUMNS = """\
    t.task, t.metric, t.dataset, t.dataset_digest, t.split_policy, t.reference_policy, t.backbone,
    t.initialisation, t.n_params, t.audio_seconds, t.reduction, t.tokens_per_second, t.padding,
    t.adaptation, t.lora_rank, t.top_k_layers, t.n_train, t.n_test, t.normaliser, t.seed"""

V_RESULTS = f"""\
CREATE VIEW v_results AS
SELECT
    r.run_id, r.trial_id, t.fingerprint, t.state, r.attempt, r.status, r.provenance, r.source,
    r.source_kind,
{_TRIAL_COLUMNS},
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
    ORDER BY y.batch_size, COALESCE(y.quiet, 0) DESC,
        CASE WHEN y.quiet = 1 OR y.method LIKE '% in turns'
            THEN -y.latency_id ELSE y.latency_id END LIMIT 1)
LEFT JOIN devices m ON m.device_id = l.device_id
LEFT JOIN devices d ON d.device_id = r.device_id"""

V_COSTS = """\
CREATE VIEW v_costs AS
SELECT
    r.run_id, r.trial_id, t.task, t.backbone, t.n_params, t.audio_seconds, t.reduction,
    t.tokens_per_second, t.audio_seconds * t.tokens_per_second AS encoder_tokens, t.adaptation,
    r.n_trainable, r.train_flops, r.train_seconds, r.train_audio_seconds, r.peak_memory_bytes,
    d.name AS device, l.batch_size, l.dtype, l.n_output_tokens, l.p50_ms, l.p90_ms, l.p95_ms,
    l.p99_ms, l.n_samples, l.n_warmup, l.noise_floor, l.method
FROM runs r
JOIN trials t ON t.trial_id = r.trial_id
LEFT JOIN latencies l ON l.run_id = r.run_id
LEFT JOIN devices d ON d.device_id = l.device_id"""

V_UTTERANCES = """\
CREATE VIEW v_utterances AS
SELECT
    e.run_id, e.split, e.metric, t.task, t.backbone, t.audio_seconds AS window_seconds,
    t.reduction, t.tokens_per_second, u.utterance_id, u.speaker, u.reference, u.hypothesis,
    u.n_units, u.n_errors, u.n_substitutions, u.n_insertions, u.n_deletions, u.audio_seconds,
    u.audio_coverage, u.n_output_tokens, u.failure_text
FROM utterances u
JOIN evaluations e ON e.evaluation_id = u.evaluation_id
JOIN runs r ON r.run_id = e.run_id
JOIN trials t ON t.trial_id = r.trial_id"""

V_FRONTIER = """\
CREATE VIEW v_frontier AS
SELECT
    a.run_id, a.task, a.dataset_digest, a.latency_device, a.latency_p50_ms, a.error, a.backbone,
    a.audio_seconds, a.reduction, a.tokens_per_second, a.adaptation
FROM v_results a
WHERE a.status = 'finished' AND a.error IS NOT NULL AND a.latency_p50_ms IS NOT NULL
    AND NOT EXISTS (
        SELECT 1 FROM v_results b
        WHERE b.status = 'finished' AND b.task = a.task AND b.dataset_digest = a.dataset_digest
            AND b.latency_device = a.latency_device
            AND b.error <= a.error AND b.latency_p50_ms <= a.latency_p50_ms
            AND (b.error < a.error OR b.latency_p50_ms < a.latency_p50_ms))"""

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
    SELECT y.engine_latency_id FROM engine_latencies y
    WHERE y.run_id = e.run_id AND y.engine = e.engine AND y.engine_version = e.engine_version
        AND y.precision = e.precision AND y.device_id = e.device_id
    ORDER BY COALESCE(y.quiet, 0) DESC, y.engine_latency_id DESC LIMIT 1)"""

_SAME = """\
    task, metric, dataset_digest, split_policy, reference_policy, initialisation, padding,
    adaptation, normaliser, provenance, seed"""
"""What the runs of one line share beside the axes that are held."""


def _axis_rows(name: str, unit: str, held: str) -> str:
    return f"""\
SELECT
    run_id, task, metric, dataset, dataset_digest, provenance, backbone, audio_seconds, reduction,
    adaptation, seed, '{name}' AS axis, CAST({name} AS DOUBLE PRECISION) AS value, '{unit}' AS unit,
    error, std_error, latency_device, latency_p50_ms,
    COUNT(*) OVER along_{name} AS n_on_line,
    FIRST_VALUE(error) OVER (along_{name} ORDER BY {name} DESC, run_id) AS error_at_largest
FROM v_results
WHERE status = 'finished' AND error IS NOT NULL
WINDOW along_{name} AS (PARTITION BY
{_SAME},
    {held})"""


V_AXES = "CREATE VIEW v_axes AS\n" + "\nUNION ALL\n".join(
    (
        _axis_rows("n_params", "parameters", "audio_seconds, reduction"),
        _axis_rows("audio_seconds", "s", "backbone, reduction"),
        _axis_rows("tokens_per_second", "1/s", "backbone, audio_seconds"),
    )
)


_ANSWERED = (
    ("label", "best.label", ""),
    ("backbone", "best.config.backbone", ""),
    ("audio_seconds", "best.config.audio_seconds", "number"),
    ("reduction", "best.config.reduction", ""),
    ("adaptation", "best.config.adaptation", ""),
    ("padding", "best.config.padding", ""),
    ("predicted_error", "best.prediction.error", "number"),
    ("predicted_low", "best.prediction.low", "number"),
    ("predicted_high", "best.prediction.high", "number"),
    ("level", "best.prediction.level", "number"),
    ("latency_ms", "best.costs.latency_ms.value", "number"),
    ("latency_per", "best.costs.latency_ms.per", ""),
    ("n_windows", "best.costs.n_windows", "number"),
    ("dataset_digest", "study.dataset_digest", ""),
    ("metric", "study.metric", ""),
    ("device", "query.device", ""),
    ("quantile", "query.quantile", ""),
)
"""Column, where it stands in an answer's JSON, and whether it is a number."""


def _answered(dialect: str) -> str:
    """SELECT of what each answer said, in each database's own words for JSON.

    On SQLite through table-valued functions alone: up to 3.43 its other JSON functions may not stand
    in a view that is read with an untrusted schema, as the SQL console reads.
    """
    columns = []
    for name, path, kind in _ANSWERED:
        if dialect == "postgresql":
            found = f"answer #>> '{{{path.replace('.', ',')}}}'"
            found = f"CAST({found} AS DOUBLE PRECISION)" if kind else found
        elif path.startswith("best."):
            # SQLite quotes the parts of a path that are not letters alone.
            found = f"MAX(CASE REPLACE(b.fullkey, '\"', '') WHEN '$.{path}' THEN b.atom END)"
        else:
            root, _, key = path.partition(".")
            found = (
                f"(SELECT j.atom FROM json_each(p.answer_json, '$.{root}') j WHERE j.key = '{key}')"
            )
        columns.append(f"        {found} AS {name}")
    if dialect == "postgresql":
        # OFFSET 0 keeps the planner from reading the JSON once for each column.
        source = "SELECT *, CAST(answer_json AS JSONB) AS answer FROM plans OFFSET 0"
        end = f"    FROM ({source}) p"
    else:
        end = "    FROM plans p, json_tree(p.answer_json, '$.best') b\n    GROUP BY p.answer_id"
    head = "    SELECT\n        p.answer_id, p.created_utc AS answered_utc, p.fit_id, p.task,\n"
    return head + ",\n".join(columns) + "\n" + end


def _planned_vs_actual(dialect: str) -> str:
    return f"""\
CREATE VIEW v_planned_vs_actual AS
SELECT
    a.answer_id, a.answered_utc, a.fit_id, a.task, a.label, a.backbone, a.audio_seconds,
    a.reduction, a.adaptation, a.metric, a.predicted_error, a.predicted_low, a.predicted_high,
    a.level, r.run_id, r.seed, r.finished_utc, r.error AS actual_error,
    r.std_error AS actual_std_error, r.error - a.predicted_error AS error_difference,
    CASE WHEN r.error IS NULL THEN NULL
        WHEN r.error BETWEEN a.predicted_low AND a.predicted_high THEN 1 ELSE 0 END AS inside,
    a.device, a.quantile,
    a.latency_ms / CASE a.latency_per WHEN 'utterance' THEN a.n_windows ELSE 1.0 END
        AS predicted_window_ms,
    CASE WHEN r.latency_device <> a.device THEN NULL
        WHEN a.quantile = 'p50' THEN r.latency_p50_ms
        WHEN a.quantile = 'p95' THEN r.latency_p95_ms END AS actual_window_ms
FROM (
{_answered(dialect)}
) a
LEFT JOIN v_results r
    ON r.task = a.task AND r.backbone = a.backbone AND r.audio_seconds = a.audio_seconds
    AND r.reduction = a.reduction AND r.adaptation = a.adaptation AND r.padding = a.padding
    AND r.dataset_digest = a.dataset_digest AND r.metric = a.metric
    AND r.status = 'finished' AND r.error IS NOT NULL
    AND NOT EXISTS (
        SELECT 1 FROM law_fit_runs f
        WHERE f.fit_id = a.fit_id AND f.run_id = r.run_id AND f.included = 1)
WHERE a.label IS NOT NULL"""


def definitions(dialect: str) -> dict[str, str]:
    """Name and text of each view, in the order they can be created.

    Args:
        dialect: `sqlite` or `postgresql`; only the reading of JSON differs.
    """
    return {
        "v_results": V_RESULTS,
        "v_costs": V_COSTS,
        "v_utterances": V_UTTERANCES,
        "v_frontier": V_FRONTIER,
        "v_axes": V_AXES,
        "v_engines": V_ENGINES,
        "v_planned_vs_actual": _planned_vs_actual(dialect),
    }


VIEWS = tuple(definitions("sqlite"))
"""Names of the views."""

_RESULT_NAMES = (
    "run_id", "trial_id", "fingerprint", "state", "attempt", "status", "provenance", "source",
    "source_kind", "task", "metric", "split", "n_params", "tokens_per_second", "error",
    "std_error", "n_units", "n_errors", "n_utterances", "n_broken", "selection", "audio_coverage",
    "speaker_overlap", "mean_output_tokens", "evaluation_details_json", "latency_device",
    "latency_p50_ms", "latency_p95_ms", "device", "n_params_counted", "n_trainable", "train_seconds", "score_seconds",
    "train_audio_seconds", "train_flops", "peak_memory_bytes", "micro_batch", "precision",
    "weights_source", "weights_digest", "data_source", "artifact", "host", "worker_version",
    "code_revision", "started_utc", "finished_utc", "failure_class", "failure_text",
)  # fmt: skip

results = sa.table("v_results", *(sa.column(name) for name in _RESULT_NAMES))
"""v_results for SQLAlchemy: the columns that `planner.store.read.RunRow` carries."""
