"""The tables of latency that is measured by itself: who holds a host, and what a stage timed there.

A stage measures the finished configurations of a sweep on one host; what each contestant took in each
round is stored at once, so that a stage that was killed goes on where it was. A contestant is named
`RUN_ID/ENGINE/PRECISION`.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, Text

from planner.store.columns import one_of, real, table

STAGE_STATES = ("open", "finished")

host_leases = table(
    "host_leases",
    Column("host", Text, primary_key=True),
    # Random name of who measures there; it proves the lease in every write.
    Column("token", Text, nullable=False),
    real("lease_until_seconds", nullable=False),
    Column("taken_utc", Text, nullable=False),
    rowid=False,
)

latency_stages = table(
    "latency_stages",
    Column("latency_stage_id", Integer, primary_key=True),
    Column("sweep_id", ForeignKey("sweeps.sweep_id"), nullable=False),
    Column("host", Text, nullable=False),
    Column("state", Text, nullable=False),
    # what the sweep's training took, and what of it the stage may take
    real("sweep_seconds", nullable=False),
    real("allowed_seconds", nullable=False),
    # what it took so far
    real("seconds", nullable=False),
    Column("n_rounds", Integer, nullable=False),
    # as many would take every request twice
    Column("n_rounds_whole", Integer, nullable=False),
    # A against A over its contestants: of p50, the median and the largest
    real("noise_floor"),
    real("noise_floor_largest"),
    # of all timed requests, those above the p95 that the others of their contestant state
    real("share_above_p95"),
    # contestants, their runs, and what was left out and why
    Column("details_json", Text),
    Column("began_utc", Text, nullable=False),
    Column("ended_utc", Text),
    one_of("state", *STAGE_STATES),
    CheckConstraint("(state = 'finished') = (ended_utc IS NOT NULL)", name="ended"),
    Index(None, "sweep_id", "host"),
)

latency_turns = table(
    "latency_turns",
    Column("latency_stage_id", ForeignKey("latency_stages.latency_stage_id"), primary_key=True),
    Column("contestant", Text, primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("run_id", ForeignKey("runs.run_id"), nullable=False),
    # output tokens and ms of each stage of each window, wall and processor seconds
    Column("timed_json", Text, nullable=False),
    rowid=False,
)
