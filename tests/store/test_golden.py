"""A database that any released revision wrote can be upgraded and used."""

import sqlite3
from pathlib import Path

import pytest

from planner.store import read
from planner.store.claims import finish, retry_failed
from planner.store.engine import open_store, upgrade
from planner.store.schema import SCHEMA_REVISION
from tests.store.samples import LEASE, WORKER, claim_any, finished, trial

DUMPS = sorted(Path(__file__).parent.glob("golden/*.sql"))


@pytest.fixture(params=DUMPS, ids=lambda path: path.stem)
def golden(request, tmp_path):
    path = tmp_path / "golden.db"
    connection = sqlite3.connect(path)
    connection.executescript(request.param.read_text())
    connection.close()
    assert upgrade(str(path)) == (request.param.stem, SCHEMA_REVISION)
    engine = open_store(str(path))
    yield engine
    engine.dispose()


def test_the_newest_revision_has_a_golden_database():
    assert DUMPS[-1].stem == SCHEMA_REVISION


def test_what_was_stored_is_there(golden):
    row = read.run(golden, 1)
    assert (row.trial, row.error, row.latency_p50_ms) == (trial(), 0.25, 40.0)
    assert len(read.utterances(golden, 1)) == 3
    assert [r.status for r in read.runs(golden)] == ["finished", "failed", "finished"]
    assert read.fit(golden, "f1").runs == ((1, True, None),)
    assert read.plan(golden, "a1").fit_id == "f1"


def test_the_sweep_goes_on(golden):
    sweep = read.sweep_id_of(golden, "sweep")
    assert retry_failed(golden, sweep) == 1
    for _ in range(2):
        assert finish(golden, claim_any(golden, sweep, WORKER, LEASE), finished())
    assert {row.state for row in read.sweep_status(golden, "sweep").rows} == {"finished"}
