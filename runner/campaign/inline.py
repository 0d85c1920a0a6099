"""Trials in threads of this process: no cluster, the same path.

An interrupt of the driver is raised wherever its main thread is. In `concurrent.futures` that may be between taking
a lock and noting it, which leaves the lock taken for good, or between starting a thread and writing it down, which
leaves a trial running after all was closed (seen in 200 of 200 runs of one that interrupts at its first step). So
the main thread meets its workers in queues alone whose steps are whole (`queue.SimpleQueue`, written in C for use
in signal handlers), and the threads are there before any job.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue

from planner.words.records import Resources
from runner.campaign.worker import JobOutcome, TrialJob, work_on


class InlineExecutor:
    """Runs jobs in `n_workers` threads; see `runner.campaign.executors.Executor`.

    Args:
        n_workers: trials at once.
        work: what is done with a job; another function in tests of the machinery.
    """

    def __init__(self, n_workers: int = 1, work: Callable[..., JobOutcome] = work_on) -> None:
        self.hosts = frozenset({socket.gethostname()})
        self.n_gpus = 0.0
        self._work, self._n_workers = work, n_workers
        self._avoided: frozenset[str] = frozenset()
        self._stopped = False
        self._jobs: SimpleQueue[TrialJob | None] = SimpleQueue()
        self._ended: SimpleQueue[JobOutcome | BaseException] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._serve, name=f"trial_{n}", daemon=True)
            for n in range(n_workers)
        ]
        for thread in self._threads:
            thread.start()

    def capacity(self, resources: Resources) -> int:
        """The number of threads, whatever a trial asks for: this process is all there is."""
        return 0 if self.hosts <= self._avoided else self._n_workers

    def most_on_a_node(self, resources: Resources) -> int:
        """The number of threads."""
        return self._n_workers

    def avoid(self, hosts: frozenset[str]) -> None:
        """Take nothing more where this host is one of them."""
        self._avoided = hosts

    def submit(self, job: TrialJob) -> None:
        """Queue a job for the next free thread."""
        self._jobs.put(job)

    def collect(self, seconds: float) -> list[JobOutcome]:
        """Outcomes of the jobs that ended; an exception of the machinery itself is raised."""
        try:
            first = self._ended.get(timeout=seconds)
        except Empty:
            return []
        return [_raised(one) for one in (first, *self._waiting())]

    def stop(self, seconds: float) -> list[JobOutcome]:
        """Stop at the next step and wait for that; jobs that have not begun are dropped."""
        self._end()
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return [one for one in self._waiting() if isinstance(one, JobOutcome)]

    def close(self) -> None:
        """End the threads; a job that still runs is stopped at its next step."""
        self._end()
        for thread in self._threads:
            thread.join()

    def _end(self) -> None:
        self._stopped = True
        for _ in self._threads:
            self._jobs.put(None)

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            if self._stopped:
                continue
            try:
                self._ended.put(self._work(job, lambda: self._stopped))
            except BaseException as problem:  # told to the driver, as a future would
                self._ended.put(problem)

    def _waiting(self) -> list[JobOutcome | BaseException]:
        found = []
        with contextlib.suppress(Empty):
            while True:
                found.append(self._ended.get_nowait())
        return found


def _raised(ended: JobOutcome | BaseException) -> JobOutcome:
    if isinstance(ended, BaseException):
        raise ended
    return ended
