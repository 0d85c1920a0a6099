"""Studies and the rounds of runs that they chose.

Revision: 0013
Revises: 0012
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

FINITE_MAX = 9e300
DOUBLE = sa.Float(53).with_variant(sa.REAL(), "sqlite")


def _real(name: str, nullable: bool = True) -> sa.Column[Any]:
    check = sa.CheckConstraint(
        f"{name} >= 0.0 AND {name} <= {FINITE_MAX}", name=op.f(f"ck_studies_{name}")
    )
    return sa.Column(name, DOUBLE, check, nullable=nullable)


def upgrade() -> None:
    op.create_table(
        "studies",
        sa.Column("study_id", sa.Integer, nullable=False),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("name", "spec_json", "question_json")
        ),
        _real("hours"),
        _real("until_regret"),
        _real("worth", nullable=False),
        sa.Column("n_workers", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False, server_default="open"),
        sa.Column("verdict", sa.Text),
        sa.Column("answer_id", sa.Text),
        sa.Column("report_json", sa.Text),
        sa.Column("created_utc", sa.Text, nullable=False),
        sa.Column("ended_utc", sa.Text),
        sa.CheckConstraint("state IN ('open', 'ended')", name=op.f("ck_studies_state")),
        sa.ForeignKeyConstraint(
            ["answer_id"], ["plans.answer_id"], name=op.f("fk_studies_answer_id_plans")
        ),
        sa.PrimaryKeyConstraint("study_id", name=op.f("pk_studies")),
        sa.UniqueConstraint("name", name=op.f("uq_studies_name")),
        sqlite_strict=True,
    )
    op.create_table(
        "study_rounds",
        sa.Column("study_id", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("runs_json", sa.Text, nullable=False),
        sa.Column("belief_json", sa.Text),
        sa.Column("created_utc", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id"], ["studies.study_id"], name=op.f("fk_study_rounds_study_id_studies")
        ),
        sa.PrimaryKeyConstraint("study_id", "number", name=op.f("pk_study_rounds")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("study_rounds")
    op.drop_table("studies")
