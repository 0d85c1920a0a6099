from __future__ import annotations

import socket
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from planner.http.connections import ByAddress, address_of
from tests.http.conftest import serve


class Held:
    """A connection."""

    def __init__(self, *, answering: bool = False) -> None:
        self.answering, self.dropped = answering, False

    def drop(self) -> None:
        self.dropped = True


def test_the_oldest_silent_connection_of_an_address_makes_room():
    held, busy, silent, new = ByAddress(2), Held(answering=True), Held(), Held()
    assert held.admit("a", busy)
    assert held.admit("a", silent)
    assert held.admit("a", new)
    assert (busy.dropped, silent.dropped, new.dropped) == (False, True, False)


def test_an_address_whose_connections_are_all_answered_gets_no_more():
    held = ByAddress(1)
    assert held.admit("a", Held(answering=True))
    assert not held.admit("a", Held())
    assert held.admit("b", Held())


def test_many_addresses_together_leave_room_for_one_more():
    held = ByAddress(4, in_all=6)
    crowd = {(a, i): Held() for a in "abc" for i in range(2)}
    assert all(held.admit(address, one) for (address, _), one in crowd.items())
    assert held.admit("a", Held())
    assert held.admit("d", Held())
    assert [key for key, one in crowd.items() if one.dropped] == [("a", 0), ("a", 1)]


def test_where_all_connections_are_answered_nobody_is_let_in():
    held = ByAddress(4, in_all=2)
    assert held.admit("a", Held(answering=True))
    assert held.admit("b", Held(answering=True))
    assert not held.admit("c", Held())


def test_a_connection_that_ended_counts_no_more():
    held, first = ByAddress(1), Held(answering=True)
    held.admit("a", first)
    held.forget("a", first)
    assert held.admit("a", Held(answering=True))


def test_the_addresses_of_one_ipv6_host_count_as_one():
    assert address_of(("2001:db8::1", 1)) == address_of(("2001:db8::ffff", 2))
    assert address_of(("::ffff:192.0.2.1", 1)) == "192.0.2.1"


def test_health_is_answered_under_a_thousand_silent_connections(bench: str, tmp_path: Path):
    served = serve(bench, log=tmp_path / "log.txt")
    try:
        with ExitStack() as open_ones:
            for i in range(1000):
                # Eight addresses: together they may hold more than the service has.
                here = (f"127.0.1.{1 + i % 8}", 0)
                open_ones.enter_context(
                    socket.create_connection(("127.0.0.1", served.port), 10, here)
                )
            with urllib.request.urlopen(f"{served.url}/livez", timeout=10) as answered:
                assert answered.status == 200
    finally:
        served.stop()
