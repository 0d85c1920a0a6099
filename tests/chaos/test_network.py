"""A node whose link is cut for longer than the lease."""

import subprocess
import sys
import time

import pytest

from planner.store.claims import expire, finish
from planner.store.engine import open_store
from tests.chaos.invariants import audited
from tests.chaos.network import NEAR, Link
from tests.conftest import PostgresServer, server_binaries
from tests.store.samples import LEASE, WORKER, claim_any, finished, rows_of, sweep_of

CUT_LEASE = 2.0


@pytest.fixture
def link():
    try:
        with Link() as link:
            yield link
    except PermissionError as problem:
        pytest.skip(str(problem))


@pytest.fixture
def store_beyond(link):
    """A server that both nodes reach, and the URL that the far one uses: it gives up within seconds."""
    pytest.importorskip("psycopg")
    binaries = server_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server binaries (initdb) on this machine")
    server = PostgresServer(binaries, link.address(NEAR))
    server.start()
    url = server.new_database()
    engine = open_store(url)
    yield engine, f"{url}?tcp_user_timeout=1000&connect_timeout=2"
    engine.dispose()
    server.stop()


def until(happens, seconds=60.0):
    end = time.monotonic() + seconds
    while not (answer := happens()):
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)
    return answer


@pytest.mark.postgres
def test_a_worker_that_is_cut_off_stops_its_late_result_is_refused_and_the_trial_is_stored_once(
    link, store_beyond
):
    engine, far_url = store_beyond
    sweep = sweep_of(engine, 1)
    command = [sys.executable, "-m", "tests.chaos.network", far_url, str(sweep), str(CUT_LEASE)]
    worker = link.beyond(command, stdout=subprocess.PIPE)
    assert worker.stdout.readline() == "claimed\n"
    link.cut()
    until(lambda: expire(engine))
    assert worker.stdout.readline() == "stopped as fenced\n"
    assert finish(engine, claim_any(engine, sweep, WORKER, LEASE), finished(n_utterances=1))
    link.mend()
    assert worker.communicate(timeout=120)[0] == "late result refused\n"
    assert rows_of(engine, "SELECT attempt, status FROM runs ORDER BY attempt") == [
        (1, "lost"),
        (2, "finished"),
    ]
    assert rows_of(engine, "SELECT count(*) FROM evaluations") == [(1,)]
    assert audited(engine) == {}
