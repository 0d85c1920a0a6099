"""Long work of the HTTP service, in the database, so that any process can answer for it."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update

from planner.errors import UnknownNameError
from planner.store.clock import NowUtc
from planner.store.schema import jobs
from planner.store.transactions import read, write

LOST_SECONDS = 30.0
"""A job whose process has been silent for so long is lost (its heart beats every 5 s)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceJob:
    """One piece of long work: `queued`, `running`, `finished` with a result or `failed` with a problem."""

    job_id: str
    kind: str
    request: dict[str, Any]
    state: str
    result: dict[str, Any] | None
    problem: dict[str, Any] | None
    created_utc: str
    heartbeat_utc: str | None
    finished_utc: str | None
    silent_seconds: float

    @property
    def lost(self) -> bool:
        """Whether its process is gone."""
        return self.state in ("queued", "running") and self.silent_seconds > LOST_SECONDS


def create(engine: Engine, kind: str, request: dict[str, Any], *, most: int) -> ServiceJob | None:
    """A new queued job; the same request while one of it is under way gives that one.

    Args:
        engine: the database.
        kind: of the job.
        request: what is asked.
        most: jobs of the kind that may wait or run, in all processes on the database.

    Returns:
        None when there are that many.
    """
    text = json.dumps(request, sort_keys=True)

    def work(connection: Connection) -> str | None:
        now = connection.execute(select(NowUtc())).scalar_one()
        open_ones = select(jobs).where(jobs.c.kind == kind, jobs.c.state.in_(("queued", "running")))
        found = [dict(row) for row in connection.execute(open_ones).mappings()]
        alive = [row for row in found if not _job(dict(row), now).lost]
        for row in alive:
            if row["request_json"] == text:
                return str(row["job_id"])
        if len(alive) >= most:
            return None
        job_id = secrets.token_hex(8)
        values = {"job_id": job_id, "kind": kind, "request_json": text, "state": "queued"}
        connection.execute(insert(jobs).values(**values, created_utc=NowUtc()))
        return job_id

    job_id = write(engine, work)
    return None if job_id is None else job(engine, job_id)


def job(engine: Engine, job_id: str) -> ServiceJob:
    """A job as it is now.

    Raises:
        UnknownNameError: there is none with that id.
    """

    def work(connection: Connection) -> ServiceJob | None:
        now = connection.execute(select(NowUtc())).scalar_one()
        row = connection.execute(select(jobs).where(jobs.c.job_id == job_id)).mappings().first()
        return None if row is None else _job(dict(row), now)

    found = read(engine, work)
    if found is None:
        raise UnknownNameError("job", job_id, [], remedy="jobs are made by POST /v1/fits")
    return found


def start(engine: Engine, job_id: str) -> bool:
    """Take a queued job; False when it was taken before."""

    def work(connection: Connection) -> bool:
        query = update(jobs).where(jobs.c.job_id == job_id, jobs.c.state == "queued")
        done = connection.execute(query.values(state="running", heartbeat_utc=NowUtc()))
        return done.rowcount == 1

    return write(engine, work)


def beat(engine: Engine, job_id: str) -> None:
    """Say that the job is still worked on."""
    query = update(jobs).where(jobs.c.job_id == job_id).values(heartbeat_utc=NowUtc())
    write(engine, lambda c: c.execute(query), durable=False)


def finish(
    engine: Engine,
    job_id: str,
    *,
    result: dict[str, Any] | None = None,
    problem: dict[str, Any] | None = None,
) -> None:
    """End a running job with its result or its problem."""
    values = {
        "state": "failed" if problem is not None else "finished",
        "result_json": None if result is None else json.dumps(result),
        "problem_json": None if problem is None else json.dumps(problem),
    }
    query = update(jobs).where(jobs.c.job_id == job_id, jobs.c.state == "running")
    write(engine, lambda c: c.execute(query.values(**values, finished_utc=NowUtc())))


def _job(row: dict[str, Any], now: str) -> ServiceJob:
    spoke = datetime.fromisoformat(row["heartbeat_utc"] or row["created_utc"])
    texts = {k: row.pop(f"{k}_json") for k in ("request", "result", "problem")}
    decoded: dict[str, Any] = {k: None if v is None else json.loads(v) for k, v in texts.items()}
    silent = (datetime.fromisoformat(now) - spoke).total_seconds()
    return ServiceJob(**row, **decoded, silent_seconds=silent)
