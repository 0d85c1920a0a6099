"""A line on stderr for whatever takes longer than 2 s: which command, and for how long by now.

Only on a terminal. Whoever writes first, the answer or a message, wipes the line, so that neither is
mixed with it; commands with a progress of their own wipe it by their first line.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

QUIET_SECONDS = 2.0
TICK_SECONDS = 0.5
_WIPE = "\r\033[K"


class _Watched:
    """A stream whose first write ends the line of progress."""

    def __init__(self, stream: Any, end: Any) -> None:
        self._stream, self._end = stream, end

    def write(self, text: str) -> Any:
        self._end()
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":
            self._end()
        return getattr(self._stream, name)


class Line:
    """One line that says what is going on, redrawn until it is ended."""

    def __init__(self, what: str, stream: Any, quiet_seconds: float = QUIET_SECONDS) -> None:
        self._what, self._stream, self._quiet = what, stream, quiet_seconds
        self._lock, self._over, self._drawn = threading.Lock(), threading.Event(), False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin to wait; nothing is drawn before the quiet time is over."""
        self._thread.start()

    def end(self) -> None:
        """Wipe the line, for good."""
        with self._lock:
            if not self._over.is_set():
                self._over.set()
                if self._drawn:
                    self._stream.write(_WIPE)
                    self._stream.flush()

    def _run(self) -> None:
        start = time.monotonic()
        pause = self._quiet
        while not self._over.wait(pause):
            with self._lock:
                if self._over.is_set():
                    return
                self._drawn = True
                seconds = time.monotonic() - start
                self._stream.write(f"{_WIPE}soundscale {self._what} · {seconds:.0f} s")
                self._stream.flush()
            pause = TICK_SECONDS


@contextmanager
def shown(what: str) -> Iterator[None]:
    """Draw the line while the block runs and says nothing, where both streams are terminals."""
    out, err = sys.stdout, sys.stderr
    if not (out.isatty() and err.isatty()):
        yield
        return
    line = Line(what, err)
    line.start()
    sys.stdout, sys.stderr = _Watched(out, line.end), _Watched(err, line.end)
    try:
        yield
    finally:
        line.end()
        sys.stdout, sys.stderr = out, err
