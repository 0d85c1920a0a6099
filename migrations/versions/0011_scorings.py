"""Texts scored again by other named scorers, and where the references of joined clips end.

Revision: 0011
Revises: 0010
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

FINITE_MAX = 9e300
BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
DOUBLE = sa.Float(53).with_variant(sa.REAL(), "sqlite")


def _real(name: str, nullable: bool = True) -> sa.Column[Any]:
    check = sa.CheckConstraint(
        f"{name} >= 0.0 AND {name} <= {FINITE_MAX}", name=op.f(f"ck_scorings_{name}")
    )
    return sa.Column(name, DOUBLE, check, nullable=nullable)


def upgrade() -> None:
    op.add_column("utterances", sa.Column("part_ends", sa.Text))
    op.create_table(
        "scorings",
        sa.Column("run_id", sa.Integer, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("split", "scorer", "metric")),
        _real("error", nullable=False),
        _real("std_error"),
        *(
            sa.Column(f"n_{kind}", BIG, nullable=False)
            for kind in ("units", "errors", "substitutions", "insertions", "deletions")
        ),
        sa.Column("n_utterances", sa.Integer, nullable=False),
        _real("cer"),
        sa.Column("scored_utc", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"], name=op.f("fk_scorings_run_id_runs")),
        sa.PrimaryKeyConstraint("run_id", "split", "scorer", name=op.f("pk_scorings")),
        sqlite_strict=True,
    )


def downgrade() -> None:
    op.drop_table("scorings")
    op.drop_column("utterances", "part_ends")
