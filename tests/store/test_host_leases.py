"""A host is held by one measurement at a time, and its trials are seen."""

from sqlalchemy import text

from planner.store import host_leases
from planner.store.claims import finish
from tests.store.samples import LEASE, WORKER, claim_any, finished, rows_of


def test_one_holder_at_a_time(store):
    assert host_leases.take(store, "a", "one", LEASE)
    assert not host_leases.take(store, "a", "two", LEASE)
    assert host_leases.take(store, "b", "two", LEASE)
    assert host_leases.held(store, "a")


def test_what_is_given_up_is_free(store):
    host_leases.take(store, "a", "one", LEASE)
    host_leases.give_up(store, "a", "two")  # not its own
    assert host_leases.held(store, "a")
    host_leases.give_up(store, "a", "one")
    assert not host_leases.held(store, "a")
    assert host_leases.take(store, "a", "two", LEASE)


def test_a_holder_that_died_is_replaced_once_its_lease_is_over(store):
    host_leases.take(store, "a", "dead", LEASE)
    with store.begin() as connection:
        connection.execute(text("UPDATE host_leases SET lease_until_seconds = 1.0"))
    assert not host_leases.held(store, "a")
    assert host_leases.take(store, "a", "next", LEASE)
    assert not host_leases.take(store, "a", "dead", LEASE)


def test_its_holder_extends_it(store):
    host_leases.take(store, "a", "one", LEASE)
    (before,) = rows_of(store, "SELECT lease_until_seconds FROM host_leases")
    assert host_leases.take(store, "a", "one", 2 * LEASE)
    (after,) = rows_of(store, "SELECT lease_until_seconds FROM host_leases")
    assert after[0] > before[0] + LEASE / 2


def test_running_trials_of_a_host_are_counted(three):
    store, sweep = three
    assert host_leases.n_running(store, WORKER.host) == 0
    claim = claim_any(store, sweep, WORKER, LEASE)
    assert host_leases.n_running(store, WORKER.host) == 1
    assert host_leases.n_running(store, "elsewhere") == 0
    finish(store, claim, finished())
    assert host_leases.n_running(store, WORKER.host) == 0


def test_a_drained_host_stays_so_until_it_is_undone_whoever_held_it(store):
    host_leases.take(store, "a", "measures", LEASE)
    host_leases.drain(store, "a")
    host_leases.drain(store, "a")
    assert not host_leases.take(store, "a", "measures", LEASE)
    assert list(host_leases.drained(store)) == ["a"]
    host_leases.give_up(store, "a", "measures")
    assert host_leases.held(store, "a")
    host_leases.give_up(store, "a", host_leases.DRAINED)
    assert (host_leases.held(store, "a"), host_leases.drained(store)) == (False, {})
