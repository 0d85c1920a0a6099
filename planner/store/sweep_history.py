"""What a sweep was before another file of its name: kept as a sweep of its own, `asr@1`.

A file that leaves out trials which were tried takes them from its sweep; the sweep as it was, file, trials and
forecasts, stays under a name with a number, so that status, report and `runs list --sweep` find it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, insert, literal, select

from planner.store.schema import forecasts, sweep_trials, sweeps, trials
from planner.store.transactions import read


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """How many tried trials a file leaves out of its sweep, and under which name the sweep before is kept."""

    n_trials: int
    kept_as: str

    def __str__(self) -> str:
        trials = "trial is" if self.n_trials == 1 else "trials are"
        return f"{self.n_trials} earlier {trials} not in this file; the sweep before is kept as {self.kept_as!r}"


def leaving(engine: Engine, name: str, fingerprints: Collection[str]) -> Left | None:
    """What a file with these trials would take from the sweep of its name; None where that is nothing."""
    return read(engine, lambda c: _leaving(c, name, fingerprints))


def keep_history(connection: Connection, name: str, fingerprints: Collection[str]) -> Left | None:
    """Keep the sweep as it is, where these trials leave out some of it that were tried."""
    left = _leaving(connection, name, fingerprints)
    if left is None:
        return None
    sweep = connection.execute(select(sweeps).where(sweeps.c.name == name)).one()
    made = insert(sweeps).values(
        name=left.kept_as, spec_json=sweep.spec_json, created_utc=sweep.created_utc
    )
    kept = connection.execute(made.returning(sweeps.c.sweep_id)).scalar_one()
    for table in (sweep_trials, forecasts):
        others = [column for column in table.c if column.name != "sweep_id"]
        source = select(literal(kept), *others).where(table.c.sweep_id == sweep.sweep_id)
        names = ["sweep_id", *(column.name for column in others)]
        connection.execute(insert(table).from_select(names, source))
    return left


def _leaving(connection: Connection, name: str, fingerprints: Collection[str]) -> Left | None:
    tried = (
        select(trials.c.fingerprint)
        .join(sweep_trials, sweep_trials.c.trial_id == trials.c.trial_id)
        .join(sweeps, sweeps.c.sweep_id == sweep_trials.c.sweep_id)
        .where(sweeps.c.name == name, trials.c.n_attempts > 0)
    )
    n_left = len(set(connection.execute(tried).scalars()) - set(fingerprints))
    if n_left == 0:
        return None
    names = set(connection.execute(select(sweeps.c.name)).scalars())
    number = next(i for i in range(1, len(names) + 2) if f"{name}@{i}" not in names)
    return Left(n_trials=n_left, kept_as=f"{name}@{number}")
