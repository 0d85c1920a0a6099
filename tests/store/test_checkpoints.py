"""SQLite's log is moved into the file by one process at a time."""

import os
import sqlite3

import pytest

from planner.store import wal
from planner.store.claims import expire
from planner.store.engine import open_store
from planner.store.wal import checkpoint, wal_reset_note
from tests.store.samples import count, sweep_of


@pytest.fixture
def worker(sqlite_store):
    """A second engine on the store's file, as workers open it, and a log that is not empty."""
    engine = open_store(str(sqlite_store.url.database), worker=True)
    sweep_of(engine, 50)
    yield engine
    engine.dispose()


def log_bytes(engine):
    return os.path.getsize(f"{engine.url.database}-wal")


def test_a_short_log_is_left_alone(sqlite_store, worker):
    assert not checkpoint(sqlite_store)


def test_a_long_log_is_moved_and_started_anew(sqlite_store, worker, monkeypatch):
    monkeypatch.setattr(wal, "LOG_BYTES", 1)
    assert checkpoint(sqlite_store)
    before = log_bytes(worker)
    sweep_of(worker, 1, name="small", first_seed=900)
    assert log_bytes(worker) == before
    assert count(sqlite_store, "trials") == 51


def test_drivers_look_after_the_log(sqlite_store, worker, monkeypatch):
    seen = []
    monkeypatch.setattr("planner.store.claims.checkpoint", seen.append)
    expire(sqlite_store)
    assert seen == [sqlite_store]


def test_one_process_at_a_time_moves_the_log(sqlite_store, worker, monkeypatch):
    monkeypatch.setattr(wal, "LOG_BYTES", 1)
    with wal._alone(f"{sqlite_store.url.database}-checkpoint") as alone:
        assert alone
        assert not checkpoint(sqlite_store)
    assert checkpoint(sqlite_store)


@pytest.mark.parametrize(
    ("version", "noted"),
    [((3, 40, 1), True), ((3, 51, 2), True), ((3, 51, 3), False), ((3, 60, 0), False)],
)
def test_affected_versions_of_sqlite_are_noted(sqlite_store, monkeypatch, version, noted):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", version)
    assert (wal_reset_note(sqlite_store) is not None) == noted


@pytest.mark.postgres
def test_a_server_needs_none_of_it(postgres_store):
    assert wal_reset_note(postgres_store) is None
    assert not checkpoint(postgres_store)
