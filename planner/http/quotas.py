"""How much one client may leave in the database, and the database may take from all of them."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable

from fastapi import HTTPException

HOUR_SECONDS = 3600.0
MAX_CLIENTS = 10_000


class Quota:
    """At most so many of something a client an hour.

    Args:
        most: of one client within an hour.
        what: it is called so in the refusal.
        now: a clock (s).
    """

    def __init__(self, most: int, what: str, now: Callable[[], float] = time.monotonic) -> None:
        self._most, self._what, self._now = most, what, now
        self._taken: OrderedDict[str, deque[float]] = OrderedDict()

    def take(self, client: str) -> None:
        """Count one more.

        Raises:
            HTTPException: 429 with the time to wait; it was one too many.
        """
        now = self._now()
        taken = self._taken.pop(client, None) or deque()
        while taken and taken[0] <= now - HOUR_SECONDS:
            taken.popleft()
        self._taken[client] = taken
        while len(self._taken) > MAX_CLIENTS:
            self._taken.popitem(last=False)
        if len(taken) >= self._most:
            wait = max(1, round(taken[0] + HOUR_SECONDS - now))
            raise too_many(
                f"{self._most} {self._what} an hour are stored for one client; wait {wait} s, or ask "
                "by GET, which stores nothing",
                wait,
            )
        taken.append(now)


def too_many(detail: str, wait_seconds: int) -> HTTPException:
    """Not so many."""
    return HTTPException(429, detail, headers={"Retry-After": str(wait_seconds)})
