"""The tables of studies: a file, what may be spent on it, and the rounds of runs that were chosen one after the other.

The trials of a study are those of the sweep of its name; what they gave is read from there.
"""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, Text

from planner.store.columns import one_of, real, table

STUDY_STATES = ("open", "ended")

studies = table(
    "studies",
    Column("study_id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("spec_json", Text, nullable=False),
    Column("question_json", Text, nullable=False),
    # hours of runs, and the error that a better choice could still save; NULL: no such end
    real("hours"),
    real("until_regret"),
    real("worth", nullable=False),
    Column("n_workers", Integer, nullable=False),
    Column("state", Text, nullable=False, server_default="open"),
    Column("verdict", Text),
    Column("answer_id", ForeignKey("plans.answer_id")),
    Column("report_json", Text),
    Column("created_utc", Text, nullable=False),
    Column("ended_utc", Text),
    one_of("state", *STUDY_STATES),
)

study_rounds = table(
    "study_rounds",
    Column("study_id", ForeignKey("studies.study_id"), primary_key=True),
    # from 0, the first design
    Column("number", Integer, primary_key=True),
    Column("runs_json", Text, nullable=False),
    # what was believed when they were chosen; NULL: nothing, as nothing was run
    Column("belief_json", Text),
    Column("created_utc", Text, nullable=False),
    rowid=False,
)
