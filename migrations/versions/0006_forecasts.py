"""Time and memory that a sweep's trials were expected to take, kept to be set against what they took.

Revision: 0006
Revises: 0005
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

FINITE_MAX = 9e300
DOUBLE = sa.Float(53).with_variant(sa.REAL(), "sqlite")
REALS = (
    "train_flops", "score_flops", "trial_seconds", "trial_seconds_low", "trial_seconds_high",
    "peak_memory_bytes", "peak_memory_bytes_low", "peak_memory_bytes_high",
)  # fmt: skip


def _real(name: str) -> sa.Column[Any]:
    text = f"{name} >= 0.0 AND {name} <= {FINITE_MAX}"
    check = sa.CheckConstraint(text, name=op.f(f"ck_forecasts_{name}"))
    return sa.Column(name, DOUBLE, check, nullable=False)


def _key(name: str, table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        [name], [f"{table}.{name}"], name=op.f(f"fk_forecasts_{name}_{table}")
    )


def upgrade() -> None:
    op.create_table(
        "forecasts",
        sa.Column("sweep_id", sa.Integer, nullable=False),
        sa.Column("trial_id", sa.Integer, nullable=False),
        sa.Column("device", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        *(_real(name) for name in REALS),
        sa.Column("created_utc", sa.Text, nullable=False),
        _key("sweep_id", "sweeps"),
        _key("trial_id", "trials"),
        sa.PrimaryKeyConstraint("sweep_id", "trial_id", name=op.f("pk_forecasts")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("forecasts")
