"""Work on several runs at once: a process of one thread a core, which loads a run and does all that is asked of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from typing import Any, TypeVar

from planner.errors import SoundscaleError
from runner.campaign.notice import sigterm_interrupts
from runner.exports.make import ExportRequest, export_all
from runner.probing.groups import COPIES, FLOAT_BYTES, free_bytes

Item = TypeVar("Item")
Result = TypeVar("Result")
Came = list[dict[str, Any] | SoundscaleError]
"""What each export of a run came to, or why it did not."""

BYTES_EACH = 800_000_000
"""Memory of a process beside its model: torch, transformers and the clips (measured: .7 GB)."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def export_runs(
    db: str,
    runs: Sequence[Sequence[ExportRequest]],
    tell: Callable[[int, Came], None],
    at_once: int,
) -> None:
    """Make the exports of every run.

    Args:
        db: the database.
        runs: the requests of each, none of them empty.
        tell: takes the place of a run and what its exports came to, as soon as they are there.
        at_once: processes; see `processes`.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM; exports that are done are stored.
    """

    def of_lost(requests: Sequence[ExportRequest], lost: SoundscaleError) -> Came:
        return [lost] * len(requests)

    each_at_once(partial(_made, db), runs, tell, at_once, of_lost)


def each_at_once(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    tell: Callable[[int, Result], None],
    at_once: int,
    of_lost: Callable[[Item, SoundscaleError], Result],
) -> None:
    """Do `work` for each item, in processes of one thread each where there are several.

    Args:
        work: what to do; a function that a process can be given.
        items: what it is done for.
        tell: takes the place of an item and what came of it, as soon as it is there.
        at_once: processes; see `processes`.
        of_lost: what comes of an item whose process died.

    Raises:
        KeyboardInterrupt: Ctrl-C or SIGTERM; what is done is stored.
    """
    n = min(len(items), at_once)
    if n < 2:
        for place, item in enumerate(items):
            tell(place, work(item))
        return
    with sigterm_interrupts(), _one_thread():
        pool = ProcessPoolExecutor(n, mp_context=get_context("spawn"))
        try:
            asked = {pool.submit(work, item): place for place, item in enumerate(items)}
            for done in as_completed(asked):
                tell(asked[done], _result(done, items[asked[done]], of_lost))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def processes(largest_params: int) -> int:
    """As many as there are cores here, and as free memory holds for models of so many parameters."""
    each = BYTES_EACH + COPIES * FLOAT_BYTES * largest_params
    return int(max(1, min(os.cpu_count() or 1, free_bytes() / each)))


def _made(db: str, requests: Sequence[ExportRequest]) -> Came:
    return list(export_all(db, requests, lambda line: None))


def _result(
    done: Future[Result], item: Item, of_lost: Callable[[Item, SoundscaleError], Result]
) -> Result:
    try:
        return done.result()
    except BrokenProcessPool:
        lost = SoundscaleError("its process died (out of memory?); the same command tries it again")
        return of_lost(item, lost)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Libraries of the processes that are started inside compute in one thread each."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
