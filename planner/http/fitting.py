"""Fits that are asked for over HTTP: one at a time in this process, as jobs in the database."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import Engine

from planner.errors import SoundscaleError
from planner.http.problems import document, of_error
from planner.http.quotas import too_many
from planner.http.schemas import FitQuestion
from planner.service import fitting
from planner.store import jobs
from planner.store.jobs import ServiceJob
from planner.words.axes import COMPUTE_AXES

BEAT_SECONDS = 5.0
FIT_SECONDS = 5.0
"""What one fit takes, for the time to come back in (s; assumption)."""


class Fitting:
    """Starts jobs and works on them."""

    def __init__(self, engine: Engine, log: Any, most_waiting: int) -> None:
        self._engine, self._log, self._most_waiting = engine, log, most_waiting
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="fit")

    def start(self, question: FitQuestion) -> ServiceJob:
        """A job for the fit; the same one while it is under way.

        Raises:
            HTTPException: 429, as many fits as may are waiting.
        """
        fitting.check_task(question.task)
        request = question.model_dump()
        job = jobs.create(self._engine, "fit", request, most=self._most_waiting)
        if job is None:
            wait = round(self._most_waiting * FIT_SECONDS)
            raise too_many(f"{self._most_waiting} fits wait already; ask again in {wait} s", wait)
        if job.state == "queued":
            self._pool.submit(self._work, job.job_id, question)
        return job

    def close(self) -> None:
        """Start no more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _work(self, job_id: str, question: FitQuestion) -> None:
        if not jobs.start(self._engine, job_id):
            return
        done = threading.Event()
        beating = threading.Thread(target=self._beat, args=(job_id, done), daemon=True)
        beating.start()
        try:
            found = self._fit(question)
            jobs.finish(self._engine, job_id, result=found)
        except SoundscaleError as problem:
            jobs.finish(self._engine, job_id, problem=of_error(problem))
        except Exception as bug:
            self._log.error("bug", job_id=job_id, exc_info=bug)
            jobs.finish(self._engine, job_id, problem=document(500, "a bug; it is in the log"))
        finally:
            done.set()

    def _fit(self, question: FitQuestion) -> dict[str, Any]:
        made = fitting.fit(
            self._engine, question.task, source=question.source, dataset=question.dataset,
            adaptation=question.adaptation, test_set=question.test_set, axes=tuple(question.axes or COMPUTE_AXES),
            law=question.law, loss=question.loss, seed=question.seed,
        )  # fmt: skip
        return {"fit_id": made.fit_id, "law": made.fit.law, "status": made.fit.status}

    def _beat(self, job_id: str, done: threading.Event) -> None:
        while not done.wait(BEAT_SECONDS):
            jobs.beat(self._engine, job_id)


def job_json(job: ServiceJob) -> dict[str, Any]:
    """A job as JSON; one whose process is gone has failed."""
    out = {
        "job_id": job.job_id,
        "kind": job.kind,
        "state": "failed" if job.lost else job.state,
        "request": job.request,
        "result": job.result,
        "problem": job.problem,
        "created_utc": job.created_utc,
        "finished_utc": job.finished_utc,
    }
    if job.lost:
        out["problem"] = document(503, "the process that worked on it is gone; ask again")
    return out
