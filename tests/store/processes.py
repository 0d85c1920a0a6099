"""Real processes for the store's tests, forked from a server that has imported what they need."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable
from typing import Any

from planner.store import claims
from planner.store.engine import open_store, opened
from tests.store.samples import LEASE, WORKER, claim_any, finished, rows_of

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["planner.store.engine", "alembic.command", "psycopg", __name__])


def together(n: int, function: Callable[..., Any], *args: Any) -> list[Any]:
    """What `function` returns, or its error's text, in `n` processes that start at the same moment."""
    barrier, answers = CONTEXT.Barrier(n), CONTEXT.SimpleQueue()
    started = [
        CONTEXT.Process(target=_at_once, args=(barrier, answers, function, args)) for _ in range(n)
    ]
    for process in started:
        process.start()
    found = [answers.get() for _ in started]
    for process in started:
        process.join()
    return found


def _at_once(barrier: Any, answers: Any, function: Callable[..., Any], args: Any) -> None:
    try:
        barrier.wait(timeout=120)
        answers.put(function(*args))
    except BaseException:
        answers.put(traceback.format_exc())


def open_and_count(url: str) -> int:
    """Open a database, set up or not, and count its trials."""
    with opened(url) as engine:
        return int(rows_of(engine, "SELECT count(*) FROM trials")[0][0])


def claim_all(url: str, sweep_id: int) -> list[int]:
    """Claim and finish until nothing is left; the keys of the trials."""
    engine, mine = open_store(url), []
    try:
        while (claim := claim_any(engine, sweep_id, WORKER, LEASE)) is not None:
            mine.append(claim.trial_id)
            assert claims.finish(engine, claim, finished(n_utterances=1))
        return mine
    finally:
        engine.dispose()
