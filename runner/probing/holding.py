"""A host held for a measurement: its lease taken, extended from a thread, given up at the end."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

from planner.errors import OutageError, SoundscaleError
from planner.store import host_leases
from planner.store.latency_stages import Holder

if TYPE_CHECKING:
    from sqlalchemy import Engine

LEASE_SECONDS = 60.0
"""How long a host stays held without a sign of its holder (s, by the database's clock; assumption)."""

BEATS_PER_LEASE = 6

LOOK_SECONDS = 0.5
"""Between two looks at who runs or holds (s)."""

WAIT_SECONDS = 1800.0
"""How long trials that were claimed before may go on before the stage gives up (s; assumption)."""


class HostBusyError(OutageError):
    """Trials go on running on the host, or another process measures there for too long."""


class HostHold:
    """Holds a host while its body runs: no trial is claimed there by any driver of the database."""

    def __init__(
        self,
        engine: Engine,
        host: str,
        say: Callable[[str], None],
        *,
        lease_seconds: float = LEASE_SECONDS,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self.holder = Holder(host=host, token=uuid.uuid4().hex)
        self._engine, self._say = engine, say
        self._lease, self._wait = lease_seconds, wait_seconds
        self._over, self.lost = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._beat, name="host-lease", daemon=True)

    def __enter__(self) -> HostHold:
        self._until(self._begin, f"another process measures latency on {self.holder.host}")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        host_leases.give_up(self._engine, self.holder.host, self.holder.token)

    def wait_until_alone(self) -> None:
        """Return when no trial runs on the host.

        Raises:
            HostBusyError: one runs for too long, or the host is no longer held.
        """
        self._until(self.alone, f"trials still run on {self.holder.host}")

    def alone(self) -> bool:
        """Whether no trial runs on the host.

        Raises:
            HostBusyError: the host is no longer held.
        """
        if self.lost.is_set():
            raise HostBusyError(
                f"the lease of {self.holder.host} was lost while its latency was measured; what was "
                "timed so far is stored; run the same command again to go on"
            )
        return host_leases.n_running(self._engine, self.holder.host) == 0

    def _begin(self) -> bool:
        host = self.holder.host
        if host in host_leases.drained(self._engine):
            raise HostBusyError(
                f"latency was not measured: {host} is drained; soundscale sweep drain {host} --undo lets "
                "it work again"
            )
        return self._take()

    def _take(self) -> bool:
        return host_leases.take(self._engine, self.holder.host, self.holder.token, self._lease)

    def _until(self, is_so: Callable[[], bool], why_not: str) -> None:
        ended, told = time.monotonic() + self._wait, False
        while not is_so():
            if not told:
                self._say(f"latency: waiting, {why_not}")
                told = True
            if time.monotonic() > ended:
                raise HostBusyError(
                    f"latency was not measured: {why_not} for more than {self._wait:g} s; "
                    "run soundscale sweep latency NAME when the host is free"
                )
            time.sleep(LOOK_SECONDS)

    def _beat(self) -> None:
        valid_until = time.monotonic() + self._lease
        while not self._over.wait(self._lease / BEATS_PER_LEASE):
            asked = time.monotonic()
            try:
                if not self._take():
                    self.lost.set()
                    return
                valid_until = asked + self._lease
            except SoundscaleError:
                # The database may come back while the lease still lives.
                if time.monotonic() > valid_until:
                    self.lost.set()
                    return
