"""The tables of what was learnt and answered: fits with the runs they looked at, and plans."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, Text

from planner.store.columns import FINITE_MAX, flag, real, table

law_fits = table(
    "law_fits",
    Column("fit_id", Text, primary_key=True),
    Column("task", Text, nullable=False),
    Column("metric", Text, nullable=False),
    Column("law", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("n_runs", Integer, nullable=False),
    real("objective", -FINITE_MAX, nullable=False),
    Column("selection_json", Text, nullable=False),
    Column("fit_json", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("created_utc", Text, nullable=False),
)

law_fit_runs = table(
    "law_fit_runs",
    Column("fit_id", ForeignKey("law_fits.fit_id"), primary_key=True),
    Column("run_id", ForeignKey("runs.run_id"), primary_key=True),
    flag("included"),
    Column("reason", Text),
    rowid=False,
)

plans = table(
    "plans",
    Column("answer_id", Text, primary_key=True),
    Column("fit_id", ForeignKey("law_fits.fit_id")),
    Column("task", Text, nullable=False),
    Column("query_json", Text, nullable=False),
    Column("answer_json", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("created_utc", Text, nullable=False),
)
