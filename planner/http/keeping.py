"""What is kept between requests, under one budget of memory for all of it."""

from __future__ import annotations

import dataclasses
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

import numpy as np

from planner.http.telemetry import Metrics

Value = TypeVar("Value")

RECORD_BYTES = 600
"""Of one record in a long tuple, such as a candidate's configuration (bytes; assumption: a frozen record
of a dozen fields)."""
_LONG = 64
"""Tuples longer than this are weighed by their length (elements)."""


class Budget:
    """Memory that everything kept may take together; the newest of each kind stays in any case.

    Args:
        most_bytes: of all of it.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self._kinds: list[Kept[Any]] = []
        self._lock = threading.Lock()

    def add(self, kind: Kept[Any]) -> None:
        """One more kind of kept values under this budget."""
        self._kinds.append(kind)

    @property
    def bytes_now(self) -> int:
        """What all of it weighs now: a table grows with each new limit that it is asked for."""
        return sum(kind.bytes_now for kind in self._kinds)

    def trim(self) -> None:
        """Let go of what was not used for longest, of the heaviest kind first."""
        with self._lock:
            while self.bytes_now > self.most_bytes:
                heaviest = sorted(self._kinds, key=lambda kind: kind.bytes_now, reverse=True)
                if not any(kind.drop_oldest() for kind in heaviest):
                    return


class Kept(Generic[Value]):
    """The most recently used values; each is made once, however many ask for it at the same time."""

    def __init__(
        self,
        size: int,
        what: str,
        metrics: Metrics,
        weigh: Callable[[Value], int],
        budget: Budget,
    ) -> None:
        self._size, self._what, self._metrics = size, what, metrics
        self._weigh, self._budget = weigh, budget
        self._values: OrderedDict[Hashable, Value] = OrderedDict()
        self._making: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()
        budget.add(self)

    def find(self, key: Hashable) -> Value | None:
        """The value, if it is there."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
            return None

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value, made now if it is not there; an error is not kept."""
        found = self.find(key)
        if found is not None:
            self._metrics.cache.labels(self._what, "found").inc()
            return found
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        try:
            with making:
                found = self.find(key)
                if found is None:
                    found = make()
                    self._metrics.cache.labels(self._what, "made").inc()
                    self.put(key, found)
                return found
        finally:
            with self._lock:
                self._making.pop(key, None)

    def put(self, key: Hashable, value: Value) -> None:
        """Keep a value, and drop those that were not used for longest where it is too much."""
        self.note(key, value)
        self._budget.trim()

    def note(self, key: Hashable, value: Value) -> None:
        """Keep a value without weighing everything, on a loop that must not wait; the next `put` does."""
        with self._lock:
            self._values[key] = value
            while len(self._values) > self._size:
                self._values.popitem(last=False)

    @property
    def bytes_now(self) -> int:
        """What the values weigh now."""
        with self._lock:
            values = list(self._values.values())
        # Weighed while others find what they look for: a large table takes a moment.
        return sum(map(self._weigh, values))

    def drop_oldest(self) -> bool:
        """Let the value go that was not used for longest; False where only the newest is left."""
        with self._lock:
            if len(self._values) < 2:
                return False
            self._values.popitem(last=False)
            return True


def bytes_of(value: Any) -> int:
    """Memory of a record with all that hangs on it: arrays exactly, long tuples by their length.

    >>> bytes_of((np.zeros(1000), {"a": np.zeros(10)}))
    8080
    """
    seen: set[int] = set()
    return _bytes_of(value, seen)


def _bytes_of(value: Any, seen: set[int]) -> int:
    if isinstance(value, (str, int, float, type(None))) or id(value) in seen:
        return 0
    seen.add(id(value))
    if isinstance(value, np.ndarray):
        # A view holds the whole array that it looks into.
        return _bytes_of(value.base, seen) if isinstance(value.base, np.ndarray) else value.nbytes
    if isinstance(value, (tuple, list)) and len(value) > _LONG:
        return len(value) * RECORD_BYTES
    if isinstance(value, dict):
        # Requests on other threads add to it meanwhile.
        return sum(_bytes_of(part, seen) for part in list(value.values()))
    if isinstance(value, (tuple, list)):
        return sum(_bytes_of(part, seen) for part in value)
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
        return sum(_bytes_of(getattr(value, name, None), seen) for name in names)
    return 0
