"""How a connection to each kind of database is set up."""

from __future__ import annotations

import random
import sqlite3
import time
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

BUSY_SECONDS = 30.0
"""How long a writer waits for another one before it gives up (s)."""

WRITES = {"sqlite_begin": "IMMEDIATE"}
"""Execution options of a connection that is going to write: SQLite's write lock is taken when the
transaction begins, so that what was read in it still holds when it commits."""

_WORKERS_LOG_PAGES = 50_000
"""Log from which a worker moves it after all (pages of 4 KiB: 200 MB): no driver is alive then."""

_CACHE_KIB = 65_536
"""Most of the file that a connection keeps in memory (KiB): SQLite's own 2 MB are less than the indexes
that a search through a million runs reads over and over. Only what is read is kept."""

_POSTGRES_LIMITS = (
    # No statement of ours takes a minute on a million runs; a hung one must not hold a sweep.
    "SET statement_timeout = '120s'",
    "SET lock_timeout = '30s'",
    "SET idle_in_transaction_session_timeout = '120s'",
)


def prepare_sqlite(url: URL, *, checkpoints: bool) -> Engine:
    """An engine on a SQLite file; the transactions are ours, not the driver's."""
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def _on_connect(connection: sqlite3.Connection, record: object) -> None:
        # None: the driver begins nothing by itself; `begin` below does, and says how.
        connection.isolation_level = None
        _wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        if not checkpoints:
            connection.execute(f"PRAGMA wal_autocheckpoint = {_WORKERS_LOG_PAGES}")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        level = options.get("sqlite_synchronous", "FULL")
        if connection.info.get("synchronous", "FULL") != level:
            run_by_driver(connection, f"PRAGMA synchronous = {level}")
            connection.info["synchronous"] = level
        run_by_driver(connection, f"BEGIN {options.get('sqlite_begin', 'DEFERRED')}")

    return engine


def _wal(connection: sqlite3.Connection) -> None:
    """Switch the file to a write-ahead log, once in its life.

    The switch needs the file for itself and does not wait for others as statements do, so processes
    that meet an empty file at the same moment take turns here.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0.005, 0.05))


_PATIENCE = {
    "connect_timeout": 10,
    # A link that is cut says nothing. Without these a worker behind it would wait a quarter of an hour
    # for the kernel to give up: its heartbeat thread, and with it the worker, could not end.
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
}
"""libpq's own limits (s; `tcp_user_timeout` in ms; assumption: a sixth of a lease), unless the URL says others."""


def prepare_postgresql(url: URL) -> Engine:
    """An engine on PostgreSQL; TLS and other options of the URL go to libpq as they are.

    Raises:
        ModuleNotFoundError: psycopg is not installed.
    """
    # No ping before each use: a transaction that meets a broken connection is done again on a new one
    # (`planner.store.transactions`), and a ping would be a third of a claim's round trips.
    given = {name: value for name, value in _PATIENCE.items() if name not in url.query}
    engine = create_engine(url, connect_args=given)

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, record: object) -> None:
        for statement in _POSTGRES_LIMITS:
            connection.execute(statement)
        connection.commit()

    return engine


def run_by_driver(connection: Connection, text: str, values: Any = ()) -> Any:
    """The driver's cursor after a statement, without SQLAlchemy's own work around it.

    Raises:
        DBAPIError: the driver's error as SQLAlchemy's own; a broken connection leaves the pool.
    """
    driver: Any = connection.connection.driver_connection
    try:
        return driver.execute(text, values)
    except connection.dialect.loaded_dbapi.Error as error:
        raise _wrapped(connection, text, error) from error


def _wrapped(connection: Connection, text: str, error: Exception) -> BaseException:
    dialect = connection.dialect
    # Typed as PEP 249 names the errors of a driver, which have no common class.
    same: Any = error
    broken = dialect.is_disconnect(same, connection.connection, None)
    if broken:
        connection.invalidate(error)
    return DBAPIError.instance(
        text, {}, error, dialect.loaded_dbapi.Error, hide_parameters=True,
        connection_invalidated=broken, dialect=dialect,
    )  # fmt: skip
