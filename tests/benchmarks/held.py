"""Silent connections to a service, kept at their number, and how its health is answered meanwhile."""

from __future__ import annotations

import http.client
import re
import socket
import threading
import time
from pathlib import Path

AT_ONCE = 250
"""Connections opened in half a second at first."""

AGAIN = 20
"""And once all were opened, in place of those that the service dropped: held, not a flood."""

N_ADDRESSES = 8
"""Addresses that they come from; one may hold a quarter of a service's connections."""


class Besieged:
    """While it is entered: so many silent connections, and `/livez` asked twice a second.

    Health is asked from an address of its own, as a load balancer asks.

    Attributes:
        livez_seconds: what each answer took.
        failures: what went wrong with asking.
    """

    def __init__(self, port: int, n_held: int, asks_from: str = "127.0.0.2") -> None:
        self._port, self._n_held, self._from = port, n_held, asks_from
        self._over = threading.Event()
        self._threads = [threading.Thread(target=t) for t in (self._hold, self._ask)]
        self.livez_seconds: list[float] = []
        self.failures: list[str] = []
        self.n_opened = self.n_held_most = 0

    def __enter__(self) -> Besieged:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _hold(self) -> None:
        held: list[socket.socket] = []
        while not self._over.wait(0.5):
            held = [one for one in held if not _closed(one)]
            at_once = AGAIN if self.n_opened >= self._n_held else AT_ONCE
            for _ in range(min(at_once, self._n_held - len(held))):
                source = (f"127.0.1.{1 + self.n_opened % N_ADDRESSES}", 0)
                try:
                    held.append(socket.create_connection(("127.0.0.1", self._port), 10, source))
                except OSError:
                    break
                held[-1].setblocking(False)
                self.n_opened += 1
            self.n_held_most = max(self.n_held_most, len(held))
        for one in held:
            one.close()

    def _ask(self) -> None:
        while not self._over.wait(0.5):
            began = time.monotonic()
            asked = http.client.HTTPConnection(
                "127.0.0.1", self._port, timeout=30, source_address=(self._from, 0)
            )
            try:
                asked.request("GET", "/livez")
                answer = asked.getresponse()
                if answer.status != 200:
                    self.failures.append(f"/livez answered {answer.status}")
            except OSError as problem:
                self.failures.append(f"{type(problem).__name__}: {problem}")
            finally:
                asked.close()
            self.livez_seconds.append(time.monotonic() - began)


def _closed(one: socket.socket) -> bool:
    try:
        return one.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def peak_bytes(pid: int) -> int:
    """Most memory that a process ever had resident (bytes, VmHWM of proc(5))."""
    return _of_status(pid, "VmHWM")


def resident_bytes(pid: int) -> int:
    """Memory that a process has resident now (bytes, VmRSS of proc(5))."""
    return _of_status(pid, "VmRSS")


def _of_status(pid: int, key: str) -> int:
    found = re.search(rf"{key}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found.group(1)) * 1024 if found else 0
