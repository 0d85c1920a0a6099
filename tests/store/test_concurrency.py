"""Many processes on one database, and whose clock counts."""

import ast
import inspect

import pytest
from sqlalchemy.dialects import postgresql, sqlite

from planner.store import claims, leases
from planner.store.clock import NowSeconds, NowUtc
from tests.store.processes import claim_all, together
from tests.store.samples import LEASE, WORKER, claim_any, count, rows_of, sweep_of

N_PROCESSES, N_TRIALS = 6, 60


def url_of(store):
    return store.url.render_as_string(hide_password=False)


def test_processes_share_a_sweep_without_taking_a_trial_twice(store):
    sweep = sweep_of(store, N_TRIALS)
    shares = together(N_PROCESSES, claim_all, url_of(store), sweep)
    assert sorted(key for share in shares for key in share) == sorted(
        key for (key,) in rows_of(store, "SELECT trial_id FROM trials")
    )
    assert count(store, "runs") == count(store, "evaluations") == N_TRIALS


@pytest.mark.parametrize("module", [claims, leases], ids=lambda m: m.__name__)
def test_leases_take_no_workers_time(module):
    tree = ast.parse(inspect.getsource(module))
    imported = {
        name.name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    } | {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert imported.isdisjoint({"time", "datetime"})


@pytest.mark.parametrize("element", [NowSeconds(), NowUtc()], ids=["seconds", "utc"])
def test_the_clock_is_that_of_the_moment_and_not_of_the_transaction(element):
    assert "clock_timestamp()" in str(element.compile(dialect=postgresql.dialect()))
    assert "'now'" in str(element.compile(dialect=sqlite.dialect()))


def test_a_lease_ends_as_many_seconds_from_now_as_asked(store):
    claim_any(store, sweep_of(store, 1), WORKER, LEASE)
    now = "julianday('now') * 86400.0 - 210866760000.0"
    if store.dialect.name == "postgresql":
        now = "extract(epoch from clock_timestamp())"
    ((left,),) = rows_of(store, f"SELECT lease_until_seconds - ({now}) FROM trials")
    # SQLite's Julian day keeps time to some 40 microseconds: a lease may seem that much longer.
    assert LEASE - 60 < left <= LEASE + 1e-3
