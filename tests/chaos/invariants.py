"""What must hold after any campaign, in SQL that knows nothing of the store's own code."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from planner.errors import StoreError
from planner.store.audit import audit
from planner.store.engine import open_store, opened
from tests.store.samples import rows_of

COUNTS = {
    "trials": "SELECT count(*) FROM trials",
    "finished": "SELECT count(DISTINCT trial_id) FROM runs WHERE status = 'finished'",
    "attempts": "SELECT count(*) FROM runs",
    "lost": "SELECT count(*) FROM runs WHERE status = 'lost'",
}

MUST_BE_EMPTY = {
    "a fingerprint twice": "SELECT fingerprint FROM trials GROUP BY fingerprint HAVING count(*) > 1",
    "a trial that is not finished": "SELECT trial_id FROM trials WHERE state <> 'finished'",
    "a trial without a stored result": (
        "SELECT trial_id FROM trials t WHERE NOT EXISTS"
        " (SELECT 1 FROM runs r WHERE r.trial_id = t.trial_id AND r.status = 'finished')"
    ),
    "a result stored twice": (
        "SELECT trial_id FROM runs WHERE status = 'finished' GROUP BY trial_id HAVING count(*) > 1"
    ),
    "a finished trial trained again": (
        "SELECT f.trial_id FROM runs f JOIN runs r ON r.trial_id = f.trial_id"
        " WHERE f.status = 'finished' AND r.attempt > f.attempt"
    ),
    "an attempt that is neither finished nor lost": (
        "SELECT run_id FROM runs WHERE status NOT IN ('finished', 'lost')"
    ),
    "attempts that are not counted": (
        "SELECT t.trial_id FROM trials t JOIN runs r ON r.trial_id = t.trial_id"
        " GROUP BY t.trial_id, t.n_attempts, t.token"
        " HAVING count(*) <> t.n_attempts OR count(*) <> t.token OR max(r.attempt) <> count(*)"
    ),
    "rows below a run that did not finish": (
        "SELECT r.run_id FROM runs r LEFT JOIN evaluations e ON e.run_id = r.run_id"
        " LEFT JOIN run_steps s ON s.run_id = r.run_id"
        " WHERE r.status <> 'finished' AND (e.run_id IS NOT NULL OR s.run_id IS NOT NULL)"
    ),
    "a result in part": (
        "SELECT r.run_id FROM runs r LEFT JOIN evaluations e ON e.run_id = r.run_id"
        " LEFT JOIN utterances u ON u.evaluation_id = e.evaluation_id"
        " WHERE r.status = 'finished' GROUP BY r.run_id"
        " HAVING count(DISTINCT e.evaluation_id) <> 1 OR count(u.utterance_id) <> {n_utterances}"
    ),
}


def audited(engine: Engine) -> dict[str, list[int]]:
    """What `sweep audit` finds broken in any sweep of a database, and by which trials; empty: nothing."""
    names = [name for (name,) in rows_of(engine, "SELECT name FROM sweeps ORDER BY name")]
    return {
        f"{name}: {one.invariant}": list(one.trial_ids)
        for name in names
        for one in audit(engine, name).invariants
        if one.trial_ids
    }


class LastAudit:
    """Looks, when a test is over, at every database that it left in its folder or on a server.

    Args:
        request: of the test; what it asks for is made here, so that it is still there at the end.
    """

    def __init__(self, request: pytest.FixtureRequest) -> None:
        asked = {name: request.getfixturevalue(name) for name in self._known(request)}
        self._folder: Path | None = asked.pop("tmp_path", None)
        self._urls = [
            one.url.render_as_string(hide_password=False) if isinstance(one, Engine) else one
            for one in asked.values()
        ]

    def _known(self, request: pytest.FixtureRequest) -> list[str]:
        known = ("tmp_path", "db_url", "postgres_url", "store", "postgres_store")
        return [name for name in known if name in request.fixturenames]

    def broken(self) -> dict[str, dict[str, list[int]]]:
        """What `sweep audit` finds broken in each; of many files of one folder, in the last 20."""
        urls = dict.fromkeys([*self._urls, *(f"sqlite:///{path}" for path in self._files())])
        found = {}
        for url in urls:
            with suppress(StoreError), opened(url, must_exist=True) as engine:
                found[url] = audited(engine)
        return {url: what for url, what in found.items() if what}

    def _files(self) -> list[Path]:
        if self._folder is None:
            return []
        return sorted(self._folder.glob("*.db"), key=lambda path: path.stat().st_mtime)[-20:]


def noted(folder: Path, kind: str) -> list[int]:
    """Keys of runs that processes saw, one entry each time."""
    return [int(x) for path in folder.glob(f"{kind}-*") for x in path.read_text().split()]


def broken_invariants(url: str, folder: Path, n_trials: int, n_utterances: int) -> dict[str, Any]:
    """Counts, and under `broken` everything that does not hold (empty: all is well)."""
    engine = open_store(url)
    counts = {name: rows_of(engine, query)[0][0] for name, query in COUNTS.items()}
    broken = {
        what: len(found)
        for what, query in MUST_BE_EMPTY.items()
        if (found := rows_of(engine, query.format(n_utterances=n_utterances)))
    }
    if counts["trials"] != n_trials:
        broken["trials"] = counts["trials"]
    if counts["attempts"] - counts["lost"] != n_trials:
        broken["extra attempts that are not recorded as lost"] = counts["attempts"]
    runs = dict(rows_of(engine, "SELECT run_id, status FROM runs"))
    executed, kept = noted(folder, "executed"), noted(folder, "acknowledged")
    broken |= seen_and_not_stored(runs, executed, kept)
    broken |= audited(engine)
    if engine.dialect.name == "sqlite":
        said = rows_of(engine, "PRAGMA integrity_check")[0][0]
        broken |= {} if said == "ok" else {"integrity_check": said}
    for path in folder.glob("error-*"):
        broken[f"a process that ended by itself ({path.name})"] = path.read_text()[-600:]
    engine.dispose()
    seen = {"executions": len(executed), "acknowledged": len(kept)}
    seen |= {kind: len(noted(folder, kind)) for kind in ("stopped", "fenced")}
    return counts | seen | {"broken": broken}


def seen_and_not_stored(
    runs: dict[int, str], executed: list[int], kept: list[int]
) -> dict[str, int]:
    """Executions without an attempt of their own, and acknowledged results that are not there."""
    wrong = {
        "an execution without its attempt": [r for r in executed if r not in runs],
        "an attempt executed twice": [r for r in set(executed) if executed.count(r) > 1]
        if len(executed) != len(set(executed))
        else [],
        "an acknowledged result that is not stored": [r for r in kept if runs[r] != "finished"],
    }
    return {what: len(found) for what, found in wrong.items() if found}
