"""Indexes that find the best run within a latency without a walk through all of them.

Revision: 0007
Revises: 0006
"""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

BEFORE = (
    ("latencies", ("run_id",)),
    ("evaluations", ("metric", "error")),
)
AFTER = (
    ("latencies", ("device_id", "p50_ms", "run_id")),
    ("latencies", ("run_id", "device_id", "p50_ms")),
    ("evaluations", ("metric", "split", "error", "evaluation_id", "run_id")),
    ("evaluations", ("run_id", "metric", "split", "error")),
)


def _name(table: str, columns: tuple[str, ...]) -> str:
    return op.f(f"ix_{table}_{'_'.join(columns)}")


def _replace(
    old: tuple[tuple[str, tuple[str, ...]], ...], new: tuple[tuple[str, tuple[str, ...]], ...]
) -> None:
    for table, columns in old:
        op.drop_index(_name(table, columns), table_name=table)
    for table, columns in new:
        op.create_index(_name(table, columns), table, list(columns))


def upgrade() -> None:
    _replace(BEFORE, AFTER)


def downgrade() -> None:
    _replace(AFTER, BEFORE)
