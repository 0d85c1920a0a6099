"""Who holds how many connections: no address may hold all of them, and nor may many together.

An address that is at its limit loses its oldest connection that waits for nothing of ours, so that a
health check from the same machine still gets in behind hundreds of silent ones. Where all addresses
together are at the limit, the one that holds the most loses its oldest. Decided before a byte is read.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from typing import Any, Protocol

PER_ADDRESS = 4
"""An address may hold one in so many of all connections."""

IPV6_PREFIX = 64
"""Bits of an IPv6 address that one host cannot change: it has the rest to itself (RFC 6177)."""


class Connection(Protocol):
    """What the limit asks of a connection."""

    @property
    def answering(self) -> bool:
        """Whether an answer is being made or sent."""
        ...

    def drop(self) -> None:
        """End it at once."""
        ...


class ByAddress:
    """The connections of each address, the oldest first.

    Args:
        most: connections of one address.
        in_all: connections of all of them; None: no limit.
    """

    def __init__(self, most: int, in_all: int | None = None) -> None:
        self._most, self._in_all = max(1, most), in_all
        self._n = 0
        self._held: dict[str, OrderedDict[Any, None]] = {}

    def admit(self, address: str, connection: Connection) -> bool:
        """Count a new connection; False where it is one too many and none of the others can go."""
        if len(self._held.get(address, ())) >= self._most:
            if not self._make_room([address]):
                return False
        elif self._in_all is not None and self._n >= self._in_all:
            by_number = sorted(self._held, key=lambda each: -len(self._held[each]))
            if not self._make_room(by_number):
                return False
        self._held.setdefault(address, OrderedDict())[connection] = None
        self._n += 1
        return True

    def _make_room(self, addresses: list[str]) -> bool:
        """Drop the oldest silent connection of the first of these addresses that has one."""
        for address in addresses:
            silent = next((other for other in self._held[address] if not other.answering), None)
            if silent is not None:
                self.forget(address, silent)
                silent.drop()
                return True
        return False

    def forget(self, address: str, connection: Connection) -> None:
        """A connection is gone."""
        held = self._held.get(address)
        if held is not None and connection in held:
            del held[connection]
            self._n -= 1
            if not held:
                del self._held[address]


def address_of(peer: Any) -> str:
    """Who a connection is from: an IPv4 address, or the network that an IPv6 host has to itself.

    >>> address_of(("192.0.2.1", 5000)), address_of(("2001:db8::7", 5000, 0, 0))
    ('192.0.2.1', '2001:db8::/64')
    """
    host = str(peer[0]) if isinstance(peer, tuple) and peer else "?"
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if found.version == 4:
        return host
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, IPV6_PREFIX), strict=False))
