"""The table of texts that were scored again by another named scorer; no law learns from it."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, Text

from planner.store.columns import BIG, real, table

scorings = table(
    "scorings",
    Column("run_id", ForeignKey("runs.run_id"), primary_key=True),
    Column("split", Text, primary_key=True),
    # with its version: english-digits/1
    Column("scorer", Text, primary_key=True),
    Column("metric", Text, nullable=False),
    real("error", nullable=False),
    real("std_error"),
    Column("n_units", BIG, nullable=False),
    Column("n_errors", BIG, nullable=False),
    Column("n_substitutions", BIG, nullable=False),
    Column("n_insertions", BIG, nullable=False),
    Column("n_deletions", BIG, nullable=False),
    Column("n_utterances", Integer, nullable=False),
    real("cer"),
    Column("scored_utc", Text, nullable=False),
)
