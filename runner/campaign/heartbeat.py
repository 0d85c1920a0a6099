"""The heartbeat of a claim: extends its lease from a thread, and stops the work when it is lost."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from planner.errors import SoundscaleError
from runner.campaign.host_use import WHY_DRAINED, is_drained
from runner.campaign.notice import Notice
from runner.trial.progress import StopKeeping

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from planner.store.claims import Claim, RunProgress

LEASE_SECONDS = 60.0
"""How long a claim lasts without a heartbeat (s, by the database's clock; assumption)."""

BEATS_PER_LEASE = 6
"""Least heartbeats in one lease: three may fail in a row before half the lease is gone."""

BEAT_SECONDS = 3.0
"""Longest time between two heartbeats (s): they carry the progress that a person watches."""


class StopWork(BaseException):
    """Raised inside the training loop where the trial is another's now: nothing of it is kept."""


class Heartbeat:
    """Extends a claim's lease from a thread of its own while the work runs.

    Database errors are survived until half the lease is left; then, or when the lease is lost, the
    next call of `progress` raises `StopWork`. A process that was paused for longer than the lease
    (SIGSTOP, a suspended machine) stops at its first step afterwards, by the monotonic clock.

    Asked to end (`stopped`, `notice`, a drained host), the next call raises `StopKeeping`. Where no call comes, because
    a step or a phase takes longer than the notice's grace, the thread gives the trial back itself and
    ends the process.
    """

    def __init__(
        self,
        db: str,
        claim: Claim,
        lease_seconds: float,
        stopped: Callable[[], bool] = lambda: False,
        notice: Notice | None = None,
    ) -> None:
        self.reason: str | None = None
        self._db, self._claim, self._lease = db, claim, lease_seconds
        self._stopped, self._notice = stopped, notice or Notice()
        self._latest: RunProgress | None = None
        self._over = threading.Event()
        self._lost = threading.Event()
        self._drained = threading.Event()
        self._valid_until = time.monotonic() + lease_seconds
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Joined before the caller reports: a beat after the finish would find the lease gone.
        self._over.set()
        self._thread.join()

    def progress(self, now: Any) -> None:
        """The training loop's callback: remember where it is, stop it if the lease is gone.

        Args:
            now: anything with `phase`, `step`, `n_steps` and `loss`.

        Raises:
            StopWork: the lease is lost.
            StopKeeping: the driver wants the trial back, this process is to end, or the host is drained.
        """
        from planner.store.claims import RunProgress

        self._latest = RunProgress(
            phase=now.phase, step=now.step, n_steps=now.n_steps, loss=now.loss
        )
        if self._lost.is_set():
            raise StopWork
        if time.monotonic() > self._valid_until:
            self._lose("the lease ran out before it could be extended")
            raise StopWork
        if self._drained.is_set():
            self.reason = WHY_DRAINED
            raise StopKeeping
        if self._notice.asked or self._stopped():
            raise StopKeeping

    def _lose(self, reason: str) -> None:
        self.reason = self.reason or reason
        self._lost.set()

    def _beat(self) -> None:
        from sqlalchemy.exc import SQLAlchemyError

        from planner.store.engine import opened

        pause = min(BEAT_SECONDS, self._lease / BEATS_PER_LEASE)
        while not self._over.is_set() and not self._lost.is_set():
            try:
                with opened(self._db, must_exist=True, worker=True) as engine:
                    self._beat_on(engine, pause)
            except (SQLAlchemyError, SoundscaleError, OSError) as problem:
                # A server that restarts at this very moment: as a beat that failed.
                self._missed(problem)
                self._over.wait(pause)

    def _beat_on(self, engine: Engine, pause: float) -> None:
        while not self._over.wait(pause) and not self._lost.is_set():
            if self._notice.overdue:
                self._leave(engine)
            self._extend(engine)

    def _missed(self, problem: Exception) -> None:
        if time.monotonic() > self._valid_until - self._lease / 2:
            self._lose(f"no heartbeat for half a lease: {type(problem).__name__}: {problem}")

    def _leave(self, engine: Engine) -> None:
        """Give the trial back over the head of the thread that works on it, and end the process.

        Whatever that thread still does, its token is no longer the newest: nothing of it is stored.
        """
        from sqlalchemy.exc import SQLAlchemyError

        from planner.store.claims import give_back

        try:
            give_back(engine, self._claim, self._notice.why)
        except (SQLAlchemyError, SoundscaleError, OSError):
            return  # the next beat tries again; in the end the lease decides
        os._exit(128 + signal.SIGTERM)

    def _extend(self, engine: Engine) -> None:
        from sqlalchemy.exc import SQLAlchemyError

        from planner.store.claims import heartbeat

        asked = time.monotonic()
        try:
            # Tried once: the next beat tries again, and the end of this thread is waited for.
            if heartbeat(engine, self._claim, self._lease, self._latest, wait_seconds=0.0):
                # From before the statement was sent: the database granted it no earlier than that.
                self._valid_until = asked + self._lease
            else:
                self._lose("the lease was taken over or cancelled")
            if is_drained(engine):
                self._drained.set()
        except (SQLAlchemyError, SoundscaleError, OSError) as problem:
            self._missed(problem)
