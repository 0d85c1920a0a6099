"""Tokens and jobs of the HTTP service.

Revision: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

JOB_STATES = ("queued", "running", "finished", "failed")


def upgrade() -> None:
    op.create_table(
        "api_tokens",
        sa.Column("token_id", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("token_hash", sa.Text, nullable=False),
        sa.Column("scopes", sa.Text, nullable=False),
        sa.Column("created_utc", sa.Text, nullable=False),
        sa.Column("revoked_utc", sa.Text),
        sa.PrimaryKeyConstraint("token_id", name=op.f("pk_api_tokens")),
        sa.UniqueConstraint("name", name=op.f("uq_api_tokens_name")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_api_tokens_token_hash")),
        sqlite_strict=True,
    )
    listed = ", ".join(f"'{s}'" for s in JOB_STATES)
    op.create_table(
        "jobs",
        sa.Column("job_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("request_json", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("result_json", sa.Text),
        sa.Column("problem_json", sa.Text),
        sa.Column("created_utc", sa.Text, nullable=False),
        sa.Column("heartbeat_utc", sa.Text),
        sa.Column("finished_utc", sa.Text),
        sa.CheckConstraint(f"state IN ({listed})", name=op.f("ck_jobs_state")),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_jobs")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_jobs_state_job_id"), "jobs", ["state", "job_id"])


def downgrade() -> None:
    op.drop_table("jobs")
    op.drop_table("api_tokens")
