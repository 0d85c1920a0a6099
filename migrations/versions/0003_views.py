"""Views for people who write SQL; planner/store/views.py documents them.

Revision: 0003
Revises: 0002
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

V_RESULTS = """\
CREATE VIEW v_results AS
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
    ORDER BY y.batch_size, y.latency_id LIMIT 1)
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


def upgrade() -> None:
    for text in (V_RESULTS, V_COSTS, V_UTTERANCES, V_FRONTIER):
        op.execute(text)


def downgrade() -> None:
    for name in ("v_frontier", "v_utterances", "v_costs", "v_results"):
        op.execute(f"DROP VIEW {name}")
