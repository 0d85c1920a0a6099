"""The short form of chaos.py: workers, drivers and the server die and hang, every result is stored once."""

from __future__ import annotations

import pytest

from tests.chaos.chaos import Chaos, check
from tests.conftest import PostgresServer, server_binaries


def test_every_trial_is_stored_once_whoever_dies(db_url, tmp_path):
    folder = tmp_path / "seen"
    folder.mkdir()
    chaos = Chaos(url=db_url, folder=folder, n_trials=150, n_faults=30, seed=11)
    chaos.run()
    found = check(chaos)
    assert found["broken"] == {}
    assert found["finished"] == chaos.n_trials
    assert chaos.made >= 30


@pytest.mark.postgres
def test_every_trial_is_stored_once_though_the_server_is_shut_down_in_the_middle(tmp_path):
    pytest.importorskip("psycopg")
    if (binaries := server_binaries()) is None:
        pytest.skip("no PostgreSQL server binaries (initdb) on this machine")
    server = PostgresServer(binaries)
    server.start()
    chaos = Chaos(server.new_database(), tmp_path, n_trials=50, n_faults=6, seed=3, n_shutdowns=1)
    chaos.shutdown = lambda: (server.stop("immediate"), server.start())[1]
    try:
        chaos.run()
        found = check(chaos)
    finally:
        server.stop()
    assert found["broken"] == {}
    assert found["finished"] == chaos.n_trials
    assert chaos.counts["shutdowns"] >= 1
