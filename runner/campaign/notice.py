"""A process that is asked to end: remembered when the signal comes, acted upon between two steps.

Raising from a signal's handler, as Ray's workers do at SIGTERM and at a cancelled task, is not enough.
The exception surfaces in whatever Python code is running, and where that is a finaliser, a weak
reference's callback or anything else that a garbage collection calls, Python prints it and goes on
as if nothing had been sent (`PyErr_WriteUnraisable`; notebooks/LOG.md 2026-11-30). A flag cannot be
lost, and what notices it may first finish its step and keep what it has.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

GRACE_SECONDS = 15.0
"""How long a trial may go on after the notice, to finish its step and keep its state (s).

Below the 20 s that a driver waits for its workers, and the 30 s after which Kubernetes and spot
instances kill (`terminationGracePeriodSeconds`).
"""

AGAIN_SECONDS = 30.0
"""After how long a driver that is asked once more is interrupted once more (s): the first interrupt was lost, or the
giving back, which waits 20 s for workers, does not end."""

ASKING = (signal.SIGTERM, signal.SIGINT)
"""What asks: a drained node, and Ray's cancellation of a task, which comes as an interrupt."""


class Notice:
    """Whether this process, or the task in it, was asked to end; set by signals while it is entered.

    Only the main thread can hear signals: in another, as those of the executor without Ray, nothing
    is ever set. Left again, the handlers of before are back, and a SIGTERM that came is passed on to
    the one of before: the process still ends, once its trial is given back.
    """

    def __init__(self) -> None:
        self._asked_at: float | None = None
        self._terminated = False
        self._before: dict[signal.Signals, Any] = {}

    @property
    def asked(self) -> bool:
        """Whether it was asked to end."""
        return self._asked_at is not None

    @property
    def overdue(self) -> bool:
        """Whether it was asked so long ago that nothing may be waited for any more."""
        return self._asked_at is not None and time.monotonic() > self._asked_at + GRACE_SECONDS

    @property
    def terminated(self) -> bool:
        """Whether the whole process is to end, not only its task."""
        return self._terminated

    @property
    def why(self) -> str:
        """What a given-back attempt says of its end."""
        if self._terminated:
            return "its process was asked to end (SIGTERM)"
        return "stopped by its driver"

    def __enter__(self) -> Notice:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._hear) for number in ASKING}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        if self._terminated:
            signal.raise_signal(signal.SIGTERM)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self._terminated = self._terminated or number == signal.SIGTERM
        self._asked_at = self._asked_at or time.monotonic()


@contextmanager
def sigterm_interrupts() -> Iterator[threading.Event]:
    """SIGTERM (a scheduler's notice, `kill`) gives the trials back just as Ctrl-C does.

    The event is set too: an exception out of a signal's handler may be lost, or come out as another where it meets
    a lock that is being taken (`RuntimeError: release unlocked lock` of threading.Condition). Of several within
    `AGAIN_SECONDS` the first alone is raised: a second one would end the giving back that the first has begun.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    raised_at = -math.inf

    def interrupt(*_: object) -> None:
        nonlocal raised_at
        asked.set()
        now = time.monotonic()
        if now >= raised_at + AGAIN_SECONDS:
            raised_at = now
            raise KeyboardInterrupt

    # A shell starts what runs in the background deaf to Ctrl-C.
    heard = [one for one in ASKING if signal.getsignal(one) is not signal.SIG_IGN]
    before = {one: signal.signal(one, interrupt) for one in heard}
    try:
        yield asked
    finally:
        for one, handler in before.items():
            signal.signal(one, signal.SIG_DFL if handler is None else handler)


@contextmanager
def sigterm_stays(ray: Any) -> Iterator[None]:
    """A start of Ray that leaves SIGTERM to whoever has it.

    `ray.init` takes it for good and ends the process wherever it is (`sys.exit` out of the handler), which gives
    no trial back and is lost as any exception of a handler may be; a new cluster in the middle of a campaign took
    it from the driver (notebooks/LOG.md 2026-11-30).

    Args:
        ray: the module.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    utils = ray._private.utils
    take = getattr(utils, "set_sigterm_handler", None)
    if take is not None:
        utils.set_sigterm_handler = lambda handler: None
    try:
        yield
    finally:
        if take is not None:
            utils.set_sigterm_handler = take
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)
