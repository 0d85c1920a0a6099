"""What the service keeps between requests: tables of candidates and finished answers.

A new limit is answered from the table that is kept; the table of the plainest question is made
when the service starts. Nothing here is a second truth. Everything is keyed by the state of the
evidence in the database, which is looked at before each use (SQLite: its change counter; PostgreSQL:
at most every half second), so that several processes on one database give the same answers.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, text

from planner.errors import StoreError
from planner.http.keeping import Budget, Kept, bytes_of
from planner.http.schemas import StudyQuestion
from planner.http.telemetry import Metrics
from planner.plan.objectives import check_known
from planner.service.circumstances import device_of
from planner.service.prepared import Prepared, prepare
from planner.store.engine import open_store
from planner.store.transactions import read as in_transaction
from planner.words.question import PlanQuery

LOOK_SECONDS = 0.5
"""How old the knowledge of a PostgreSQL database's state may be (s)."""
N_TABLES, N_ANSWERS = 16, 512
WAIT_SECONDS = 1.0
"""How long a look at the state is tried again (s): long enough to connect anew to a server that was
restarted, and soon enough to say that there is none."""
CLOSE_SECONDS = 2.0
"""How long the end waits for tables that are being made (s)."""

_STATE = """
SELECT
    (SELECT count(*) FROM runs WHERE status = 'finished'),
    (SELECT max(run_id) FROM runs WHERE status = 'finished'),
    (SELECT max(finished_utc) FROM runs WHERE status = 'finished'),
    (SELECT max(evaluation_id) FROM evaluations),
    (SELECT count(*) FROM latencies), (SELECT max(latency_id) FROM latencies),
    (SELECT count(*) FROM engine_evaluations),
    (SELECT max(engine_evaluation_id) FROM engine_evaluations),
    (SELECT max(engine_latency_id) FROM engine_latencies)
"""

_TASKS = "SELECT DISTINCT task FROM law_fits ORDER BY task"


@dataclass(frozen=True, slots=True)
class Made:
    """An answer's JSON, and its id where it is one that can be stored."""

    body: bytes
    answer_id: str | None

    @classmethod
    def of(cls, answer: dict[str, Any]) -> Made:
        """The answer written out."""
        return cls(encoded(answer), answer.get("answer_id"))


@dataclass(frozen=True, slots=True)
class Ready:
    """An answer as it was sent: its body, the headers that only it has, and the route that gave it."""

    body: bytes
    headers: dict[str, str]
    route: Any


class World:
    """One database and what was computed from its present state."""

    def __init__(self, db: str | None, metrics: Metrics, kept_bytes: int) -> None:
        self.engine: Engine = open_store(db, must_exist=True)
        self.db = db
        self.budget = Budget(kept_bytes)
        self._tables: Kept[Prepared] = Kept(N_TABLES, "table", metrics, bytes_of, self.budget)
        self._answers: Kept[Made] = Kept(
            N_ANSWERS, "answer", metrics, lambda made: len(made.body), self.budget
        )
        self._asked: Kept[Ready] = Kept(
            N_ANSWERS, "asked", metrics, lambda r: len(r.body), self.budget
        )
        self._warming: threading.Thread | None = None
        self._lock = threading.Lock()
        self._state, self._mark, self._looked_at = "", (-1, -1), -1e9
        self._watch: Any = None

    def close(self) -> None:
        """Let go of the database."""
        if self._warming is not None:
            self._warming.join(CLOSE_SECONDS)
        with self._lock:
            if self._watch is not None:
                self._watch.close()
                self._watch = None
        self.engine.dispose()

    def state(self) -> str:
        """A digest of the evidence in the database now: the same digest, the same answers.

        Raises:
            StoreError: the database is gone.
        """
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

    def known_state(self) -> str | None:
        """The state where it is known without waiting for a server, else None.

        Raises:
            StoreError: the database is gone.
        """
        if self.engine.dialect.name == "sqlite":
            return self.state()
        fresh = time.monotonic() - self._looked_at < LOOK_SECONDS
        return self._state if fresh else None

    def _change_mark(self) -> tuple[int, int] | None:
        """SQLite's counter of commits by others, and the file's inode; None on PostgreSQL."""
        if self.engine.dialect.name != "sqlite":
            return None
        try:
            inode = os.stat(self.engine.url.database or "").st_ino
        except OSError as problem:
            raise StoreError(
                f"cannot read database {self.engine.url.database}: {problem.strerror}; "
                "put the file back, or start the service on another with --db"
            ) from None
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

        seen = in_transaction(self.engine, work, WAIT_SECONDS)
        return hashlib.sha256(json.dumps(seen, default=str).encode()).hexdigest()

    def warm_up(self, log: Any) -> None:
        """Make the table of the plainest question of each task, on a thread of its own.

        Of tasks that a law was fitted for before: the first law is made when somebody asks.
        """
        tasks = in_transaction(self.engine, lambda c: list(c.execute(text(_TASKS)).scalars()))
        if tasks:
            self._warming = threading.Thread(
                target=self._warm, args=(tasks, log), name="warm-up", daemon=True
            )
            self._warming.start()

    def _warm(self, tasks: list[str], log: Any) -> None:
        for task in tasks:
            try:
                self.prepared(StudyQuestion.model_validate({"task": task}).to_query())
            except Exception as problem:
                # Whoever asks is told the same; the service goes on.
                log.warning("warm-up", task=task, error=str(problem))

    @property
    def warm(self) -> bool:
        """Whether the tables of the start are made."""
        return self._warming is None or not self._warming.is_alive()

    def prepared(self, query: PlanQuery) -> Prepared:
        """The question with its table of candidates; the limits are the question's own.

        Raises:
            SoundscaleError: as `service.prepare`.
        """
        return self._prepared(self.state(), query)

    def _prepared(self, state: str, query: PlanQuery) -> Prepared:
        bare = query.without_limits
        kept = self._tables.get((state, bare), lambda: prepare(self.engine, bare))
        asked = kept.query.limited_as(query)
        # The table does not depend on limits, but a limit may be one that cannot be judged.
        if query.latency_ms is not None and asked.device is None:
            device_of(self.engine, query)
        check_known(asked.limits, kept.table.unknown)
        return dataclasses.replace(kept, query=asked)

    def answer(
        self,
        state: str,
        kind: str,
        query: PlanQuery,
        extra: Hashable,
        make: Callable[[Prepared], dict[str, Any]],
    ) -> Made:
        """JSON of an answer; the same question on the same evidence is worked out once.

        Args:
            state: of the evidence, as `state` gives it.
            kind: which use case.
            query: the question.
            extra: what the use case takes beside it.
            make: the answer as a JSON object from the prepared question.
        """
        return self._answers.get(
            (state, kind, query, extra),
            lambda: Made.of(make(self._prepared(state, query))),
        )

    def found(self, state: str, kind: str, query: PlanQuery, extra: Hashable) -> Made | None:
        """The JSON of an answer that is ready, without any work."""
        return self._answers.find((state, kind, query, extra))

    def asked(self, words: Hashable) -> Ready | None:
        """The answer to a request in the very same words, if the evidence is known to be the same."""
        state = self.known_state()
        return None if state is None else self._asked.find((state, words))

    def remember(self, state: str, words: Hashable, ready: Ready) -> None:
        """Keep an answer by the words of its request; on the loop of the service."""
        self._asked.note((state, words), ready)


def encoded(value: Any) -> bytes:
    """JSON as bytes; NaN and infinities are a bug here, as they are not JSON."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
