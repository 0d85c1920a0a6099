"""Doing work off the event loop, for as long as a request may take."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from fastapi import HTTPException, Request

Value = TypeVar("Value")

N_THREADS = 4
"""Planner work at the same time; the mathematics holds the interpreter for much of it."""
N_WAITING = 64
"""Requests that may wait for a thread; more are told to come back."""


class Workers:
    """A bounded pool of threads."""

    def __init__(self, seconds: float, n_threads: int = N_THREADS) -> None:
        self._pool = ThreadPoolExecutor(n_threads, thread_name_prefix="work")
        self._seconds, self._n = seconds, 0

    async def run(self, work: Callable[[], Value]) -> Value:
        """What `work` gives.

        Raises:
            HTTPException: 503 when it takes too long (it goes on, and its result is kept), or too
                many wait.
        """
        if self._n >= N_WAITING:
            raise busy("too many requests wait for the planner; ask again in a moment")
        self._n += 1
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        future.add_done_callback(self._done)
        try:
            return await asyncio.wait_for(asyncio.shield(future), self._seconds)
        except TimeoutError:
            raise busy(
                f"the answer takes longer than {self._seconds:g} s (a law is being fitted); "
                "it is still worked on, ask again in a moment"
            ) from None

    def _done(self, future: asyncio.Future[Any]) -> None:
        self._n -= 1
        if not future.cancelled():
            # Looked at, so that an error nobody waits for any more is not reported as forgotten.
            future.exception()

    def close(self) -> None:
        """Stop; what is under way is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def busy(detail: str) -> HTTPException:
    """Not now."""
    return HTTPException(503, detail, headers={"Retry-After": "2"})


def workers(request: Request) -> Workers:
    """The pool of the application."""
    found: Workers = request.app.state.workers
    return found
