"""Whether this host takes trials at this moment."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Engine

HELD_SECONDS = 0.5
"""Between two looks at whether this host is still held for a measurement (s)."""


def host_is_free(engine: Engine, stopped: Callable[[], bool]) -> bool:
    """Wait while someone measures latency on this host; False: stopped before it was free.

    The lease that is waited for ends by the database's clock, so a holder that died keeps nobody for long.
    """
    from planner.store.host_leases import held

    host = socket.gethostname()
    while not stopped():
        if not held(engine, host):
            return True
        time.sleep(HELD_SECONDS)
    return False
