"""Sweeps, fitted laws and the answers planned from them.

Revision: 0002
Revises: 0001
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

FINITE_MAX = 9e300
DOUBLE = sa.Float(53).with_variant(sa.REAL(), "sqlite")


def _real(table: str, name: str, *, low: float = 0.0, nullable: bool = True) -> sa.Column[Any]:
    text = f"{name} >= {low} AND {name} <= {FINITE_MAX}"
    check = sa.CheckConstraint(text, name=op.f(f"ck_{table}_{name}"))
    return sa.Column(name, DOUBLE, check, nullable=nullable)


def _flag(table: str, name: str) -> sa.Column[Any]:
    check = sa.CheckConstraint(f"{name} IN (0, 1)", name=op.f(f"ck_{table}_{name}"))
    return sa.Column(name, sa.Integer, check, nullable=False)


def upgrade() -> None:
    op.create_table(
        "sweeps",
        sa.Column("sweep_id", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("spec_json", sa.Text, nullable=False),
        sa.Column("created_utc", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("sweep_id", name=op.f("pk_sweeps")),
        sa.UniqueConstraint("name", name=op.f("uq_sweeps_name")),
        sqlite_strict=True,
    )
    op.create_table(
        "sweep_trials",
        sa.Column("sweep_id", sa.Integer, nullable=False),
        sa.Column("trial_id", sa.Integer, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(
            ["sweep_id"], ["sweeps.sweep_id"], name=op.f("fk_sweep_trials_sweep_id_sweeps")
        ),
        sa.ForeignKeyConstraint(
            ["trial_id"], ["trials.trial_id"], name=op.f("fk_sweep_trials_trial_id_trials")
        ),
        sa.PrimaryKeyConstraint("sweep_id", "trial_id", name=op.f("pk_sweep_trials")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "law_fits",
        sa.Column("fit_id", sa.Text, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("metric", sa.Text, nullable=False),
        sa.Column("law", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("n_runs", sa.Integer, nullable=False),
        _real("law_fits", "objective", low=-FINITE_MAX, nullable=False),
        sa.Column("selection_json", sa.Text, nullable=False),
        sa.Column("fit_json", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("created_utc", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("fit_id", name=op.f("pk_law_fits")),
        sqlite_strict=True,
    )
    op.create_table(
        "law_fit_runs",
        sa.Column("fit_id", sa.Text, nullable=False),
        sa.Column("run_id", sa.Integer, nullable=False),
        _flag("law_fit_runs", "included"),
        sa.Column("reason", sa.Text),
        sa.ForeignKeyConstraint(
            ["fit_id"], ["law_fits.fit_id"], name=op.f("fk_law_fit_runs_fit_id_law_fits")
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["runs.run_id"], name=op.f("fk_law_fit_runs_run_id_runs")
        ),
        sa.PrimaryKeyConstraint("fit_id", "run_id", name=op.f("pk_law_fit_runs")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "plans",
        sa.Column("answer_id", sa.Text, nullable=False),
        sa.Column("fit_id", sa.Text),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("query_json", sa.Text, nullable=False),
        sa.Column("answer_json", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("created_utc", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(
            ["fit_id"], ["law_fits.fit_id"], name=op.f("fk_plans_fit_id_law_fits")
        ),
        sa.PrimaryKeyConstraint("answer_id", name=op.f("pk_plans")),
        sqlite_strict=True,
    )


def downgrade() -> None:
    for table in ("plans", "law_fit_runs", "law_fits", "sweep_trials", "sweeps"):
        op.drop_table(table)
