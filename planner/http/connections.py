"""Who holds how many connections: no address may hold all of them.

An address that is at its limit loses its oldest connection that waits for nothing of ours, so that a
health check from the same machine still gets in behind hundreds of silent ones. Decided before a byte
is read.
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
    """

    def __init__(self, most: int) -> None:
        self._most = max(1, most)
        self._held: dict[str, OrderedDict[Any, None]] = {}

    def admit(self, address: str, connection: Connection) -> bool:
        """Count a new connection; False where it is one too many and none of the others can go."""
        held = self._held.setdefault(address, OrderedDict())
        if len(held) >= self._most:
            silent = next((other for other in held if not other.answering), None)
            if silent is None:
                return False
            del held[silent]
            silent.drop()
        held[connection] = None
        return True

    def forget(self, address: str, connection: Connection) -> None:
        """A connection is gone."""
        held = self._held.get(address)
        if held is not None:
            held.pop(connection, None)
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
