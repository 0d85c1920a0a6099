"""Whether a campaign's history ever broke a promise: read from attempts, leases and results alone.

In SQL that shares nothing with the statements that wrote the history (`claims.py`, `leases.py`), so
that a fault there does not hide itself. Every query gives the trials at fault.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, text

from planner.store.read_sweeps import sweep_id_of
from planner.store.transactions import read

_OF_SWEEP = "t.trial_id IN (SELECT trial_id FROM sweep_trials WHERE sweep_id = :sweep)"
_MEASURED = (
    "NOT EXISTS (SELECT 1 FROM runs i WHERE i.trial_id = t.trial_id AND i.provenance <> 'measured')"
)

INVARIANTS = {
    "each trial has one stored result at most": (
        "SELECT t.trial_id FROM trials t JOIN runs r ON r.trial_id = t.trial_id"
        " WHERE {of_sweep} AND r.status = 'finished' GROUP BY t.trial_id HAVING count(*) > 1"
    ),
    "a trial is finished exactly when its result is stored": (
        "SELECT t.trial_id FROM trials t WHERE {of_sweep} AND (t.state = 'finished') <> EXISTS"
        " (SELECT 1 FROM runs r WHERE r.trial_id = t.trial_id AND r.status = 'finished')"
    ),
    "no trial is trained again after its result": (
        "SELECT DISTINCT t.trial_id FROM trials t JOIN runs f ON f.trial_id = t.trial_id"
        " JOIN runs r ON r.trial_id = t.trial_id WHERE {of_sweep} AND f.status = 'finished'"
        " AND f.provenance = 'measured' AND r.provenance = 'measured' AND r.attempt > f.attempt"
    ),
    "every attempt is counted, and none is left out": (
        "SELECT t.trial_id FROM trials t LEFT JOIN runs r ON r.trial_id = t.trial_id"
        " WHERE {of_sweep} AND {measured} GROUP BY t.trial_id, t.n_attempts"
        " HAVING count(r.run_id) <> t.n_attempts"
        " OR coalesce(max(r.attempt), 0) <> count(r.run_id)"
    ),
    "each claim's fencing token is newer than the one before": (
        "SELECT DISTINCT t.trial_id FROM trials t JOIN runs a ON a.trial_id = t.trial_id"
        " JOIN runs b ON b.trial_id = t.trial_id AND b.attempt > a.attempt"
        " WHERE {of_sweep} AND {measured} AND b.token <= a.token"
    ),
    "one attempt at a time: each begins after the one before it ended": (
        "SELECT DISTINCT t.trial_id FROM trials t JOIN runs a ON a.trial_id = t.trial_id"
        " JOIN runs b ON b.trial_id = t.trial_id AND b.attempt > a.attempt"
        " WHERE {of_sweep} AND {measured}"
        " AND (a.finished_utc IS NULL OR b.started_utc < a.finished_utc)"
    ),
    "a trial runs exactly when an attempt holds its lease": (
        "SELECT t.trial_id FROM trials t WHERE {of_sweep} AND (t.state = 'running') <> EXISTS"
        " (SELECT 1 FROM runs r WHERE r.trial_id = t.trial_id AND r.status = 'running'"
        " AND r.token = t.token AND t.lease_until_seconds IS NOT NULL)"
    ),
    "no run ends before it began": (
        "SELECT DISTINCT t.trial_id FROM trials t JOIN runs r ON r.trial_id = t.trial_id"
        " WHERE {of_sweep} AND r.finished_utc < r.started_utc"
    ),
    "a result is stored whole: with its evaluation": (
        "SELECT DISTINCT t.trial_id FROM trials t JOIN runs r ON r.trial_id = t.trial_id"
        " WHERE {of_sweep} AND r.status = 'finished' AND NOT EXISTS"
        " (SELECT 1 FROM evaluations e WHERE e.run_id = r.run_id)"
    ),
    "nothing is scored below an attempt that did not finish": (
        "SELECT DISTINCT t.trial_id FROM trials t JOIN runs r ON r.trial_id = t.trial_id"
        " JOIN evaluations e ON e.run_id = r.run_id WHERE {of_sweep} AND r.status <> 'finished'"
    ),
}
"""What must hold at any moment, and the trials for which it does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedInvariant:
    """One promise, and the trials that broke it."""

    invariant: str
    trial_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """A sweep's history looked at: how many attempts ended how, and every invariant."""

    name: str
    attempts_by_status: dict[str, int]
    invariants: tuple[AuditedInvariant, ...]

    @property
    def clean(self) -> bool:
        """Whether no invariant was ever broken."""
        return not any(found.trial_ids for found in self.invariants)


def audit(engine: Engine, name: str) -> Audit:
    """The history of one sweep, in one snapshot of the database.

    Raises:
        UnknownNameError: no sweep has the name.
    """
    sweep = {"sweep": sweep_id_of(engine, name)}
    parts = {"of_sweep": _OF_SWEEP, "measured": _MEASURED}
    statuses = (
        "SELECT r.status, count(*) FROM runs r JOIN trials t ON t.trial_id = r.trial_id"
        f" WHERE {_OF_SWEEP} GROUP BY r.status ORDER BY r.status"
    )

    def work(connection: Connection) -> Audit:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        counts = connection.execute(text(statuses), sweep).all()
        return Audit(
            name=name,
            attempts_by_status={str(status): int(n) for status, n in counts},
            invariants=tuple(
                AuditedInvariant(
                    invariant=said,
                    trial_ids=tuple(
                        sorted(connection.execute(text(query.format(**parts)), sweep).scalars())
                    ),
                )
                for said, query in INVARIANTS.items()
            ),
        )

    return read(engine, work)
