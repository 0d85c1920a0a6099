"""A database server that goes away and comes back under a running service."""

import contextlib
import shutil
import subprocess

import pytest

from planner.http import access
from planner.service import fitting
from tests.conftest import PostgresServer, server_binaries
from tests.http.conftest import client_of
from tests.http.worlds import rows, write_table

URL = "/v1/plan?task=asr&flops=20G"


@pytest.mark.postgres
def test_a_server_that_is_gone_is_an_outage_until_it_is_back(tmp_path, monkeypatch):
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install psycopg[binary]")
    binaries = server_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server binaries (initdb) on this machine")
    server = PostgresServer(binaries)
    server.start()
    try:
        db = server.new_database()
        fitting.import_results(db, str(write_table(tmp_path / "bench.csv", rows())))
        with client_of(db) as client:
            before = client.get(URL)
            server.stop()
            found = [client.get(path) for path in (URL, "/readyz", "/livez")]
            assert [answer.status_code for answer in found] == [503, 503, 200]
            assert "Retry-After" in found[0].headers
            # Tokens are read every two seconds: a request after that meets the outage in the check of tokens.
            monkeypatch.setattr(access, "REFRESH_SECONDS", 0.0)
            later = client.get(URL)
            assert (later.status_code, "Retry-After" in later.headers) == (503, True)
            assert later.json()["title"] == "the database cannot be used"
            server.start()
            after = client.get(URL)
        assert (after.status_code, after.content) == (before.status_code, before.content)
        assert before.status_code == 200
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            server.stop()
        shutil.rmtree(server.root, ignore_errors=True)
