"""Moving SQLite's write-ahead log into the file: by one process at a time, and while nobody writes.

Workers of a campaign leave it to the driver, which asks with every look for expired leases. SQLite
before 3.51.3 can lose pages when two connections move the log, or move and write it, at the same
instant (the WAL-reset fault); the log is therefore moved under its own lock and the write lock.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

LOG_BYTES = 8 * 2**20
"""Size from which the log is moved (bytes; assumption: below it reading through it costs nothing)."""

_FAULT_SINCE, _FAULT_UNTIL = (3, 7, 0), (3, 51, 3)


def wal_reset_note(engine: Engine) -> str | None:
    """What to tell a person who runs several processes on an affected SQLite; None when all is well."""
    version = sqlite3.sqlite_version_info
    if engine.dialect.name != "sqlite" or not _FAULT_SINCE <= version < _FAULT_UNTIL:
        return None
    return (
        f"SQLite {sqlite3.sqlite_version} has the WAL-reset fault (fixed in 3.51.3); one process at a "
        "time moves its log here, and --db postgresql://USER@HOST/NAME avoids it altogether"
    )


def checkpoint(engine: Engine) -> bool:
    """Move a long log into the file and start it anew; False when it is short or another is at it."""
    if engine.dialect.name != "sqlite":
        return False
    path = engine.url.database or ""
    try:
        if os.path.getsize(f"{path}-wal") < LOG_BYTES:
            return False
    except OSError:
        return False
    with _alone(f"{path}-checkpoint") as alone:
        if not alone:
            return False
        # Outside of a transaction, which would forbid it: the driver's own connection.
        with engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            busy, _, _ = driver.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
        return not busy


@contextmanager
def _alone(path: str) -> Iterator[bool]:
    """Whether this process is the only one here; where the system has no such lock, it is taken so."""
    try:
        import fcntl
    except ImportError:
        yield True
        return
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(handle)
