"""Taking runs out without losing them: a removed run stays as a failed one, with who, when and why.

Nothing learns from a failed run; its evaluations stay below it, its latencies move into its details.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, delete, select, update

from planner.errors import InputError, StoreError
from planner.store import schema
from planner.store.clock import NowUtc
from planner.store.schema import runs, trials
from planner.store.transactions import read, write

REMOVED = "removed"
"""Failure class of a run that was taken out."""


def remove_runs(engine: Engine, run_ids: Sequence[int], *, who: str, why: str) -> int:
    """Take runs out: all of them or, where one cannot be, none. Returns how many.

    Raises:
        InputError: a run does not exist or was taken out before.
        StoreError: a run is being trained now.
    """

    def work(connection: Connection) -> int:
        for run_id in dict.fromkeys(run_ids):
            found = connection.execute(
                select(runs.c.status, runs.c.failure_class).where(runs.c.run_id == run_id)
            ).one_or_none()
            if found is None:
                raise InputError(
                    f"there is no run {run_id}; soundscale runs list shows those that are"
                )
            if found.failure_class == REMOVED:
                raise InputError(
                    f"run {run_id} was removed before; soundscale runs show {run_id} says why"
                )
            if found.status not in ("finished", "failed"):
                raise StoreError(
                    f"run {run_id} is {found.status}; wait for it, or cancel its sweep"
                )
            to_trash(connection, run_id, who, why)
        return len(dict.fromkeys(run_ids))

    return write(engine, work)


def imported_runs(engine: Engine, name: str, home: str | None = None) -> list[int]:
    """Runs that an import stored and that nobody took out, by the name of its table or file.

    Args:
        engine: the database.
        name: `results.csv`, or a published table's.
        home: the folder's twelve digits, where files of one name were imported from several.

    Raises:
        InputError: nothing of that name is stored, or it is of several folders and none is named.
    """
    query = (
        select(runs.c.run_id, trials.c.dataset_digest)
        .join(trials, trials.c.trial_id == runs.c.trial_id)
        .where(runs.c.data_source.in_([f"imported: {name}", f"published: {name}"]))
        .where(runs.c.status == "finished")
        .order_by(runs.c.run_id)
    )
    found = read(engine, lambda c: c.execute(query).all())
    homes: dict[str, list[int]] = {}
    for row in found:
        of_folder = row.dataset_digest.startswith(f"imported:{name}:")
        homes.setdefault(row.dataset_digest.rpartition(":")[2] if of_folder else "", []).append(
            row.run_id
        )
    each = ", ".join(f"{name}:{known} ({len(ids)} runs)" for known, ids in homes.items() if known)
    if not homes:
        raise InputError(
            f"no run was imported from {name}; soundscale runs list --source imported shows those that were"
        )
    if home is not None and not homes.keys() & {"", home}:
        raise InputError(f"{name} of that folder was not imported, but {each} was; name it so")
    if home is None and len(homes.keys() - {""}) > 1:
        raise InputError(
            f"files named {name} were imported from several folders: {each}; name one so"
        )
    chosen = [ids for known, ids in homes.items() if home is None or known in ("", home)]
    return sorted(run_id for ids in chosen for run_id in ids)


def to_trash(connection: Connection, run_id: int, who: str, why: str) -> None:
    """Mark one run as removed, its trial as without a result, and keep its latencies in its details."""
    now = connection.execute(select(NowUtc())).scalar_one()
    row = connection.execute(
        select(runs.c.trial_id, runs.c.details_json).where(runs.c.run_id == run_id)
    ).one()
    latencies = schema.latencies
    measured = connection.execute(select(latencies).where(latencies.c.run_id == run_id)).mappings()
    kept: list[dict[str, Any]] = [dict(m) for m in measured]
    details = json.loads(row.details_json or "{}") | {
        "removed": {"who": who, "when_utc": now, "why": why, "latencies": kept}
    }
    connection.execute(delete(latencies).where(latencies.c.run_id == run_id))
    connection.execute(
        update(runs)
        .where(runs.c.run_id == run_id)
        .values(
            status="failed",
            failure_class=REMOVED,
            failure_text=f"removed by {who} at {now}: {why}",
            details_json=json.dumps(details, sort_keys=True, default=str),
        )
    )
    finished = select(runs.c.run_id).where(
        runs.c.trial_id == row.trial_id, runs.c.status == "finished"
    )
    if connection.execute(finished.limit(1)).first() is None:
        connection.execute(
            update(trials).where(trials.c.trial_id == row.trial_id).values(state="failed")
        )


def removed_runs(engine: Engine) -> dict[int, str]:
    """What was taken out: `removed by me at 2026-11-30T15:40:00.000Z: typed in percent`, by run."""
    query = select(runs.c.run_id, runs.c.failure_text).where(runs.c.failure_class == REMOVED)
    found = read(engine, lambda c: c.execute(query.order_by(runs.c.run_id)).all())
    return {row.run_id: row.failure_text for row in found}


def note_of_removed(removed: Mapping[int, str], run_ids: Collection[int]) -> dict[str, str] | None:
    """What an answer or a law that rests on these runs has to say; None where none was taken out."""
    found = [f"run {run_id}, {text}" for run_id, text in removed.items() if run_id in run_ids]
    if not found:
        return None
    more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
    return {"code": "rests-on-removed-runs", "message": f"rests on {'; '.join(found[:3])}{more}"}
