"""The tables of the HTTP service: tokens that may ask it, and jobs that it works on."""

from __future__ import annotations

from sqlalchemy import Column, Index, Integer, Text

from planner.store.columns import one_of, table

JOB_STATES = ("queued", "running", "finished", "failed")

api_tokens = table(
    "api_tokens",
    Column("token_id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    # SHA-256 of the token: a token is 256 random bits, so it needs no salt and no slow hash.
    Column("token_hash", Text, nullable=False, unique=True),
    Column("scopes", Text, nullable=False),
    Column("created_utc", Text, nullable=False),
    Column("revoked_utc", Text),
)

jobs = table(
    "jobs",
    Column("job_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("request_json", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("result_json", Text),
    Column("problem_json", Text),
    Column("created_utc", Text, nullable=False),
    Column("heartbeat_utc", Text),
    Column("finished_utc", Text),
    one_of("state", *JOB_STATES),
    Index(None, "state", "job_id"),
)
