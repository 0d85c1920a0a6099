"""Whether this host takes trials at this moment, and whether those on it may go on."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Engine

HELD_SECONDS = 0.5
"""Between two looks at whether this host is still held for a measurement (s)."""

WHY_DRAINED = "its host is drained (soundscale sweep drain)"
"""What a given-back attempt says of its end."""


def is_drained(engine: Engine) -> bool:
    """Whether this host is to run no trial any more; asked once, without waiting for a database."""
    from planner.store.host_leases import drained

    return socket.gethostname() in drained(engine, wait_seconds=0.0)


def refuses(engine: Engine, stopped: Callable[[], bool]) -> str | None:
    """Wait while someone measures latency on this host; None once a trial may be claimed here.

    The lease that is waited for ends by the database's clock, so a holder that died keeps nobody for long.

    Returns:
        Else the kind of the job's outcome: `released` (stopped meanwhile) or `drained`.
    """
    from planner.store.host_leases import held

    host = socket.gethostname()
    while not stopped():
        if not held(engine, host):
            return None
        if is_drained(engine):
            return "drained"
        time.sleep(HELD_SECONDS)
    return "released"
