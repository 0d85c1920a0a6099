"""A campaign whose artifacts have nowhere to go waits: no trial is at fault, and none is charged."""

from __future__ import annotations

import time
from collections.abc import Callable

from planner.errors import OutageError
from planner.words.units import format_duration

WAIT_SECONDS = 600.0
"""How long a storage that fails is waited for (s; assumption: someone frees a disk within minutes)."""

TRIES = 20
"""How often it is tried in that time."""


class StoragePause:
    """Holds trials back while the storage of artifacts fails.

    Args:
        say: told when the campaign pauses and goes on.
        wait_seconds: how long the storage may fail at a stretch (s).
    """

    def __init__(self, say: Callable[[str], None], wait_seconds: float = WAIT_SECONDS) -> None:
        self._say, self._wait_seconds = say, wait_seconds
        self._since: float | None = None
        self._until = 0.0

    @property
    def holds(self) -> bool:
        """Whether no trial is to be handed out now."""
        return time.monotonic() < self._until

    def failed(self, text: str) -> None:
        """A worker could not write.

        Raises:
            OutageError: nor could any for `wait_seconds`.
        """
        now = time.monotonic()
        if self._since is None:
            self._since = now
            self._say(
                f"the campaign pauses: {text}; tried again for {format_duration(self._wait_seconds)}, "
                "no trial is charged"
            )
        if now - self._since >= self._wait_seconds:
            raise OutageError(
                f"{text}; it failed for {format_duration(self._wait_seconds)}: once it can be written "
                "to, the same command goes on from what is stored"
            )
        self._until = now + self._wait_seconds / TRIES

    def worked(self) -> None:
        """A trial came to its end, files and all."""
        if self._since is not None:
            self._since, self._until = None, 0.0
            self._say("artifacts can be written again: the campaign goes on")
