"""One short transaction at a time, repeated when the database says that it may succeed later.

A transaction whose commit was sent and never acknowledged may have happened. The work handed to
`write` is therefore written so that doing it twice does it once: by unique keys, states and tokens.
"""

from __future__ import annotations

import random
import time
import weakref
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError

from planner.errors import ReadOnlyError, StoreError
from planner.store.dialects import WRITES, Plain, begin_sqlite, run_by_driver
from planner.store.read_only import refused

T = TypeVar("T")

RETRY_SECONDS = 60.0
"""How long a lost or restarting PostgreSQL server is waited for (s; assumption: a restart takes less)."""

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 2.0
# serialization failure, deadlock, and: shutdown, crash, starting up
_TRANSIENT_STATES = ("40001", "40P01", "57P01", "57P02", "57P03")


_WRITERS: weakref.WeakKeyDictionary[Engine, dict[bool, Engine]] = weakref.WeakKeyDictionary()


def write(
    engine: Engine,
    work: Callable[[Connection], T],
    *,
    durable: bool = True,
    wait_seconds: float = RETRY_SECONDS,
) -> T:
    """The result of `work` in one committed transaction that may write.

    Args:
        engine: the database.
        work: what to do; it is done again when the database asks for it.
        durable: False where the loss of power may undo the commit, on SQLite: claims and
            heartbeats, as that takes the machine's workers with it and their trials are queued again.
        wait_seconds: how long to try again while the database is away.

    Raises:
        ReadOnlyError: it may only be read here.
        StoreError: the database is full, locked, damaged or gone.
    """
    writers = _WRITERS.setdefault(engine, {})
    writer = writers.get(durable)
    if writer is None:
        options = dict(WRITES) if durable else WRITES | {"sqlite_synchronous": "NORMAL"}
        writer = writers[durable] = engine.execution_options(**options)
    return _transact(writer, work, wait_seconds)


def claim(engine: Engine, work: Callable[[Plain], T]) -> T:
    """The result of `work`, prepared statements alone, in one committed transaction that need not last.

    On PostgreSQL each statement is a transaction of its own and needs no BEGIN and COMMIT around it.

    Raises:
        StoreError: as for `write`.
    """
    once = _once_on_sqlite if engine.dialect.name == "sqlite" else _once_by_itself
    return _named_again(engine, lambda: once(engine, work), RETRY_SECONDS)


def _once_on_sqlite(engine: Engine, work: Callable[[Plain], T]) -> T:
    connection = Plain(engine)
    try:
        begin_sqlite(connection, "NORMAL", "IMMEDIATE")
        result = work(connection)
        run_by_driver(connection, "COMMIT")
        return result
    finally:
        # Back in the pool it is rolled back where the work or its commit failed.
        connection.connection.close()


def _once_by_itself(engine: Engine, work: Callable[[Plain], T]) -> T:
    connection = Plain(engine)
    try:
        connection.autocommit(on=True)
        result = work(connection)
        connection.autocommit(on=False)
        return result
    except BaseException as error:
        # In whatever state it is, nobody else should get a connection that commits by itself.
        connection.invalidate(error)
        raise
    finally:
        connection.connection.close()


def read(engine: Engine, work: Callable[[Connection], T], wait_seconds: float = RETRY_SECONDS) -> T:
    """The result of `work` in one transaction that only reads, tried again for so many seconds.

    Raises:
        StoreError: as for `write`.
    """
    return _transact(engine, work, wait_seconds)


def _transact(engine: Engine, work: Callable[[Connection], T], wait_seconds: float) -> T:
    def once() -> T:
        with engine.begin() as connection:
            return work(connection)

    return _named_again(engine, once, wait_seconds)


def _named_again(engine: Engine, once: Callable[[], T], wait_seconds: float) -> T:
    try:
        return again(once, wait_seconds)
    except DBAPIError as error:
        raise _as_store_error(engine, error) from error


def again(once: Callable[[], T], wait_seconds: float) -> T:
    """The result of `once`, called again for so many seconds while its errors are transient.

    Raises:
        DBAPIError: the last one.
    """
    deadline = time.monotonic() + wait_seconds
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            return once()
        except DBAPIError as error:
            if not transient(error) or time.monotonic() > deadline:
                raise
        time.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def transient(error: DBAPIError) -> bool:
    """Whether the same transaction may succeed later; SQLite has waited for its locks already."""
    state = getattr(error.orig, "sqlstate", None)
    if state:
        return state in _TRANSIENT_STATES or state.startswith("08")
    # A connection that broke has no state at all.
    return error.connection_invalidated or (
        isinstance(error, (OperationalError, InterfaceError))
        and type(error.orig).__module__.startswith("psycopg")
    )


def reason(error: DBAPIError) -> str:
    """What the database said, as one line."""
    lines = [line.strip() for line in str(error.orig).splitlines() if line.strip()]
    return lines[0] if lines else type(error.orig).__name__


def _as_store_error(engine: Engine, error: DBAPIError) -> Exception:
    ours = isinstance(error, (OperationalError, InterfaceError))
    damaged = _code(error).startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))
    no_right = refused(error)
    if not (ours or damaged or no_right) or (isinstance(error, IntegrityError) and not damaged):
        return error
    said = reason(error)
    if no_right:
        writing = "sqlite_begin" in engine.get_execution_options()
        kind = ReadOnlyError if writing else StoreError
        remedy = (
            "use a role or a copy that may be written"
            if writing
            else "ask its owner for the right to read it"
        )
        doing = "write to" if writing else "read"
        return kind(f"cannot {doing} database {_shown(engine)}: {said}; {remedy}")
    remedy = "check the database, then run the same command again: what is stored stays stored"
    if "locked" in said:
        remedy = "another process has been writing for 30 s; end it or try again"
    remedy = make_room(error) or remedy
    return StoreError(f"cannot use database {_shown(engine)}: {said}; {remedy}")


def make_room(error: DBAPIError) -> str | None:
    """What to do where the database could not write for want of room; None for other errors."""
    said = reason(error)
    if "full" in said or "No space" in said:
        return "free some space, then run the same command again: what is stored stays stored"
    if _code(error).startswith("SQLITE_IOERR"):
        # A full disk, a quota or a limit on the size of files, met in the middle of a write.
        return (
            "check the free space and `ulimit -f`, then run the same command again: what is stored "
            "stays stored"
        )
    return None


def _code(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlite_errorname", ""))


def _shown(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=True)
