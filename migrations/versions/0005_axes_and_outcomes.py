"""Views of the axes and of answers against the runs that followed; planner/store/views.py documents them.

Revision: 0005
Revises: 0004
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

V_AXES = """\
CREATE VIEW v_axes AS
SELECT
    run_id, task, metric, dataset, dataset_digest, provenance, backbone, audio_seconds, reduction,
    adaptation, seed, 'n_params' AS axis, CAST(n_params AS DOUBLE PRECISION) AS value, 'parameters' AS unit,
    error, std_error, latency_device, latency_p50_ms,
    COUNT(*) OVER along_n_params AS n_on_line,
    FIRST_VALUE(error) OVER (along_n_params ORDER BY n_params DESC, run_id) AS error_at_largest
FROM v_results
WHERE status = 'finished' AND error IS NOT NULL
WINDOW along_n_params AS (PARTITION BY
    task, metric, dataset_digest, split_policy, reference_policy, initialisation, padding,
    adaptation, normaliser, provenance, seed,
    audio_seconds, reduction)
UNION ALL
SELECT
    run_id, task, metric, dataset, dataset_digest, provenance, backbone, audio_seconds, reduction,
    adaptation, seed, 'audio_seconds' AS axis, CAST(audio_seconds AS DOUBLE PRECISION) AS value, 's' AS unit,
    error, std_error, latency_device, latency_p50_ms,
    COUNT(*) OVER along_audio_seconds AS n_on_line,
    FIRST_VALUE(error) OVER (along_audio_seconds ORDER BY audio_seconds DESC, run_id) AS error_at_largest
FROM v_results
WHERE status = 'finished' AND error IS NOT NULL
WINDOW along_audio_seconds AS (PARTITION BY
    task, metric, dataset_digest, split_policy, reference_policy, initialisation, padding,
    adaptation, normaliser, provenance, seed,
    backbone, reduction)
UNION ALL
SELECT
    run_id, task, metric, dataset, dataset_digest, provenance, backbone, audio_seconds, reduction,
    adaptation, seed, 'tokens_per_second' AS axis, CAST(tokens_per_second AS DOUBLE PRECISION) AS value, '1/s' AS unit,
    error, std_error, latency_device, latency_p50_ms,
    COUNT(*) OVER along_tokens_per_second AS n_on_line,
    FIRST_VALUE(error) OVER (along_tokens_per_second ORDER BY tokens_per_second DESC, run_id) AS error_at_largest
FROM v_results
WHERE status = 'finished' AND error IS NOT NULL
WINDOW along_tokens_per_second AS (PARTITION BY
    task, metric, dataset_digest, split_policy, reference_policy, initialisation, padding,
    adaptation, normaliser, provenance, seed,
    backbone, audio_seconds)"""

V_PLANNED_VS_ACTUAL = {
    "sqlite": """\
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
    SELECT
        p.answer_id, p.created_utc AS answered_utc, p.fit_id, p.task,
        MAX(CASE REPLACE(b.fullkey, '"', '') WHEN '$.best.label' THEN b.atom END) AS label,
        MAX(CASE REPLACE(b.fullkey, '"', '') WHEN '$.best.config.backbone' THEN b.atom END) AS backbone,
        MAX(CASE REPLACE(b.fullkey, '"', '') WHEN '$.best.config.audio_seconds' THEN b.atom END) AS audio_seconds,
        MAX(CASE REPLACE(b.fullkey, '"', '') WHEN '$.best.config.reduction' THEN b.atom END) AS reduction,
        MAX(CASE REPLACE(b.fullkey, '"', '') WHEN '$.best.config.adaptation' THEN b.atom END) AS adaptation,
        MAX(CASE REPLACE(b.fullkey, '"', '') WHEN '$.best.config.padding' THEN b.atom END) AS padding,
        MAX(CASE REPLACE(b.fullkey, '"', '') WHEN '$.best.prediction.error' THEN b.atom END) AS predicted_error,
        MAX(CASE REPLACE(b.fullkey, '"', '') WHEN '$.best.prediction.low' THEN b.atom END) AS predicted_low,
        MAX(CASE REPLACE(b.fullkey, '"', '') WHEN '$.best.prediction.high' THEN b.atom END) AS predicted_high,
        MAX(CASE REPLACE(b.fullkey, '"', '') WHEN '$.best.prediction.level' THEN b.atom END) AS level,
        MAX(CASE REPLACE(b.fullkey, '"', '') WHEN '$.best.costs.latency_ms.value' THEN b.atom END) AS latency_ms,
        MAX(CASE REPLACE(b.fullkey, '"', '') WHEN '$.best.costs.latency_ms.per' THEN b.atom END) AS latency_per,
        MAX(CASE REPLACE(b.fullkey, '"', '') WHEN '$.best.costs.n_windows' THEN b.atom END) AS n_windows,
        (SELECT j.atom FROM json_each(p.answer_json, '$.study') j WHERE j.key = 'dataset_digest') AS dataset_digest,
        (SELECT j.atom FROM json_each(p.answer_json, '$.study') j WHERE j.key = 'metric') AS metric,
        (SELECT j.atom FROM json_each(p.answer_json, '$.query') j WHERE j.key = 'device') AS device,
        (SELECT j.atom FROM json_each(p.answer_json, '$.query') j WHERE j.key = 'quantile') AS quantile
    FROM plans p, json_tree(p.answer_json, '$.best') b
    GROUP BY p.answer_id
) a
LEFT JOIN v_results r
    ON r.task = a.task AND r.backbone = a.backbone AND r.audio_seconds = a.audio_seconds
    AND r.reduction = a.reduction AND r.adaptation = a.adaptation AND r.padding = a.padding
    AND r.dataset_digest = a.dataset_digest AND r.metric = a.metric
    AND r.status = 'finished' AND r.error IS NOT NULL
    AND NOT EXISTS (
        SELECT 1 FROM law_fit_runs f
        WHERE f.fit_id = a.fit_id AND f.run_id = r.run_id AND f.included = 1)
WHERE a.label IS NOT NULL""",
    "postgresql": """\
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
    SELECT
        p.answer_id, p.created_utc AS answered_utc, p.fit_id, p.task,
        answer #>> '{best,label}' AS label,
        answer #>> '{best,config,backbone}' AS backbone,
        CAST(answer #>> '{best,config,audio_seconds}' AS DOUBLE PRECISION) AS audio_seconds,
        answer #>> '{best,config,reduction}' AS reduction,
        answer #>> '{best,config,adaptation}' AS adaptation,
        answer #>> '{best,config,padding}' AS padding,
        CAST(answer #>> '{best,prediction,error}' AS DOUBLE PRECISION) AS predicted_error,
        CAST(answer #>> '{best,prediction,low}' AS DOUBLE PRECISION) AS predicted_low,
        CAST(answer #>> '{best,prediction,high}' AS DOUBLE PRECISION) AS predicted_high,
        CAST(answer #>> '{best,prediction,level}' AS DOUBLE PRECISION) AS level,
        CAST(answer #>> '{best,costs,latency_ms,value}' AS DOUBLE PRECISION) AS latency_ms,
        answer #>> '{best,costs,latency_ms,per}' AS latency_per,
        CAST(answer #>> '{best,costs,n_windows}' AS DOUBLE PRECISION) AS n_windows,
        answer #>> '{study,dataset_digest}' AS dataset_digest,
        answer #>> '{study,metric}' AS metric,
        answer #>> '{query,device}' AS device,
        answer #>> '{query,quantile}' AS quantile
    FROM (SELECT *, CAST(answer_json AS JSONB) AS answer FROM plans OFFSET 0) p
) a
LEFT JOIN v_results r
    ON r.task = a.task AND r.backbone = a.backbone AND r.audio_seconds = a.audio_seconds
    AND r.reduction = a.reduction AND r.adaptation = a.adaptation AND r.padding = a.padding
    AND r.dataset_digest = a.dataset_digest AND r.metric = a.metric
    AND r.status = 'finished' AND r.error IS NOT NULL
    AND NOT EXISTS (
        SELECT 1 FROM law_fit_runs f
        WHERE f.fit_id = a.fit_id AND f.run_id = r.run_id AND f.included = 1)
WHERE a.label IS NOT NULL""",
}


def upgrade() -> None:
    op.execute(V_AXES)
    op.execute(V_PLANNED_VS_ACTUAL[op.get_bind().dialect.name])


def downgrade() -> None:
    for name in ("v_planned_vs_actual", "v_axes"):
        op.execute(f"DROP VIEW {name}")
