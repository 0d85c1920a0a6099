"""The newest of the latencies that were taken in turns, by whatever version of their rule.

Revision: 0012
Revises: 0011
"""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

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

BEFORE = """y.method IN (
            'requests/2 in turns', 'requests/2 by processor time in turns')"""
AFTER = "y.method LIKE '% in turns'"


def _show(turns: str) -> None:
    """The view with another order; its columns stay, so that what is built on it stays too."""
    order = (
        "y.batch_size, COALESCE(y.quiet, 0) DESC,\n"
        f"        CASE WHEN y.quiet = 1 OR {turns}\n"
        "            THEN -y.latency_id ELSE y.latency_id END"
    )
    text = V_RESULTS.format(order=order)
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP VIEW v_results")
        op.execute(f"CREATE VIEW v_results AS\n{text}")
    else:
        op.execute(f"CREATE OR REPLACE VIEW v_results AS\n{text}")


def upgrade() -> None:
    _show(AFTER)


def downgrade() -> None:
    _show(BEFORE)
