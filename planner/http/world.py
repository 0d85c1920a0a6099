"""What the service keeps between requests: tables of candidates and finished answers.

Nothing here is a second truth. Everything is keyed by the state of the evidence in the database, which
is looked at before each use (SQLite: its change counter; PostgreSQL: at most every half second), so
that several processes on one database give the same answers.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from sqlalchemy import Engine, text

from planner import service
from planner.http.telemetry import Metrics
from planner.plan.query import PlanQuery
from planner.service import Prepared
from planner.store import read
from planner.store.engine import open_store
from planner.store.transactions import read as in_transaction

LOOK_SECONDS = 0.5
"""How old the knowledge of a PostgreSQL database's state may be (s)."""
N_TABLES, N_ANSWERS = 16, 512

_STATE = """
SELECT
    (SELECT count(*) FROM runs WHERE status = 'finished'),
    (SELECT max(run_id) FROM runs WHERE status = 'finished'),
    (SELECT max(finished_utc) FROM runs WHERE status = 'finished'),
    (SELECT count(*) FROM latencies), (SELECT max(latency_id) FROM latencies)
"""

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """The most recently used values; each is made once, however many ask for it at the same time."""

    def __init__(self, size: int, what: str, metrics: Metrics) -> None:
        self._size, self._what, self._metrics = size, what, metrics
        self._values: OrderedDict[Hashable, Value] = OrderedDict()
        self._making: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()

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
                    self._put(key, found)
                return found
        finally:
            with self._lock:
                self._making.pop(key, None)

    def _put(self, key: Hashable, value: Value) -> None:
        with self._lock:
            self._values[key] = value
            while len(self._values) > self._size:
                self._values.popitem(last=False)


class World:
    """One database and what was computed from its present state."""

    def __init__(self, db: str | None, metrics: Metrics) -> None:
        self.engine: Engine = open_store(db, must_exist=True)
        self.db = db
        self._tables: Kept[Prepared] = Kept(N_TABLES, "table", metrics)
        self._answers: Kept[bytes] = Kept(N_ANSWERS, "answer", metrics)
        self._metrics = metrics
        self._lock = threading.Lock()
        self._state, self._mark, self._looked_at = "", (-1, -1), -1e9
        self._watch: Any = None

    def close(self) -> None:
        """Let go of the database."""
        with self._lock:
            if self._watch is not None:
                self._watch.close()
                self._watch = None
        self.engine.dispose()

    def state(self) -> str:
        """A digest of the evidence in the database now: the same digest, the same answers."""
        with self._lock:
            mark = self._change_mark()
            if mark is not None:
                if mark == self._mark and self._state:
                    return self._state
                self._mark = mark
            elif time.monotonic() - self._looked_at < LOOK_SECONDS:
                return self._state
            self._state = self._digest()
            self._looked_at = time.monotonic()
            return self._state

    def _change_mark(self) -> tuple[int, int] | None:
        """SQLite's counter of commits by others, and the file's inode; None on PostgreSQL."""
        if self.engine.dialect.name != "sqlite":
            return None
        inode = os.stat(self.engine.url.database or "").st_ino
        if self._watch is None or inode != self._mark[1]:
            if self._watch is not None:
                self._watch.close()
                self.engine.dispose()
            self._watch = self.engine.raw_connection()
        cursor = self._watch.cursor()
        cursor.execute("PRAGMA data_version")
        version = int(cursor.fetchone()[0])
        cursor.close()
        return version, inode

    def _digest(self) -> str:
        def work(connection: Any) -> list[Any]:
            found = list(connection.execute(text(_STATE)).one())
            own = connection.execute(text("SELECT config_json FROM backbones ORDER BY backbone_id"))
            return [*found, *(row[0] for row in own)]

        seen = in_transaction(self.engine, work)
        return hashlib.sha256(json.dumps(seen, default=str).encode()).hexdigest()

    def prepared(self, query: PlanQuery) -> Prepared:
        """The question with its table of candidates; the limits are the question's own.

        Raises:
            SoundscaleError: as `service.prepare`.
        """
        return self._prepared(self.state(), query)

    def _prepared(self, state: str, query: PlanQuery) -> Prepared:
        # Limits do not change the table, but a latency limit without a device is an error.
        some_latency = None if query.latency_ms is None else 1.0
        bare = dataclasses.replace(
            query, flops=None, memory_bytes=None, train_flops=None, latency_ms=some_latency,
            min_prob=0.9,
        )  # fmt: skip
        kept = self._tables.get((state, bare), lambda: service.prepare(self.engine, bare))
        asked = dataclasses.replace(
            kept.query, flops=query.flops, memory_bytes=query.memory_bytes,
            train_flops=query.train_flops, latency_ms=query.latency_ms, min_prob=query.min_prob,
        )  # fmt: skip
        return dataclasses.replace(kept, query=asked)

    def answer(
        self, kind: str, query: PlanQuery, extra: Hashable, make: Callable[[Prepared], Any]
    ) -> bytes:
        """JSON of an answer; the same question on the same evidence is worked out once.

        Args:
            kind: which use case.
            query: the question.
            extra: what the use case takes beside it.
            make: the answer's JSON value from the prepared question.
        """
        state = self.state()
        return self._answers.get(
            (state, kind, query, extra),
            lambda: encoded(make(self._prepared(state, query))),
        )

    def found(self, kind: str, query: PlanQuery, extra: Hashable) -> bytes | None:
        """The JSON of an answer that is ready, without any work."""
        return self._answers.find((self.state(), kind, query, extra))

    def load(self) -> None:
        """Register the user's own backbones."""
        read.load_backbones(self.engine)


def encoded(value: Any) -> bytes:
    """JSON as bytes; NaN and infinities are a bug here, as they are not JSON."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
