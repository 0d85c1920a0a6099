"""How a connection to each kind of database is set up."""

from __future__ import annotations

import random
import sqlite3
import time
from typing import Any

from sqlalchemy import URL, Connection, Dialect, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import PoolProxiedConnection

from planner.errors import StoreError

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

_PLAN_ONCE = "SET plan_cache_mode = force_generic_plan"


def prepare_sqlite(url: URL, *, checkpoints: bool, read_only: str | None = None) -> Engine:
    """An engine on a SQLite file; the transactions are ours, not the driver's.

    `read_only` is the URI of a file that may only be read (`planner.store.read_only`).
    """
    if read_only is not None:
        return _prepare_read_only(url, read_only)
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
        begin_sqlite(connection, level, options.get("sqlite_begin", "DEFERRED"))

    return engine


def _prepare_read_only(url: URL, uri: str) -> Engine:
    """An engine whose connections refuse every write, and leave the file's settings as they are."""

    def opened() -> sqlite3.Connection:
        return sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, check_same_thread=False)

    engine = create_engine(url, creator=opened)

    @event.listens_for(engine, "connect")
    def _on_connect(connection: sqlite3.Connection, record: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA query_only = ON")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        run_by_driver(connection, "BEGIN DEFERRED")

    return engine


def begin_sqlite(connection: Connection | Plain, synchronous: str, kind: str) -> None:
    """Begin a transaction of a kind (`DEFERRED`, `IMMEDIATE`) whose commit is synced so far."""
    info = connection.connection.info
    if info.get("synchronous", "FULL") != synchronous:
        run_by_driver(connection, f"PRAGMA synchronous = {synchronous}")
        info["synchronous"] = synchronous
    run_by_driver(connection, f"BEGIN {kind}")


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


def prepare_postgresql(url: URL, *, plan_once: bool) -> Engine:
    """An engine on PostgreSQL; TLS and other options of the URL go to libpq as they are.

    Args:
        url: the database.
        plan_once: statements that are run again keep one plan, whatever their values: right for a
            worker, whose statements find rows by key. To plan a claim anew takes a fourth of its time.

    Raises:
        ModuleNotFoundError: psycopg is not installed.
        StoreError: (when it connects) the database keeps its text in another encoding than UTF-8.
    """
    # No ping before each use: a transaction that meets a broken connection is done again on a new one
    # (`planner.store.transactions`), and a ping would be a third of a claim's round trips.
    settings = (*_POSTGRES_LIMITS, *((_PLAN_ONCE,) if plan_once else ()))
    given: dict[str, Any] = {k: v for k, v in _PATIENCE.items() if k not in url.query}
    # Without it a server of encoding SQL_ASCII gives bytes, on which SQLAlchemy fails before it can be refused.
    given["client_encoding"] = "utf8"
    engine = create_engine(url, connect_args=given)

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, record: object) -> None:
        _check_encoding(connection, url)
        for statement in settings:
            connection.execute(statement)
        connection.commit()

    return engine


def _check_encoding(connection: Any, url: URL) -> None:
    """Refuse a database that cannot keep every name and transcript."""
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise StoreError(
            f"database {url.database} is encoded in {encoding}, which cannot keep every text; make it anew with "
            f"CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        )


class Plain:
    """A pooled connection for statements that are given to the driver as they are.

    A connection of SQLAlchemy and its transaction took 56 of a claim's 307 us on SQLite (notebooks/LOG.md:
    claims a second).

    Raises:
        DBAPIError: no connection is to be had, as SQLAlchemy's own.
    """

    __slots__ = ("connection", "dialect")

    def __init__(self, engine: Engine) -> None:
        self.dialect = engine.dialect
        try:
            self.connection: PoolProxiedConnection = engine.raw_connection()
        except self.dialect.loaded_dbapi.Error as error:
            raise _named("connect", error, self.dialect, broken=False) from error

    def invalidate(self, error: BaseException) -> None:
        """Take the connection out of the pool, unless it has left it."""
        if self.connection.is_valid:
            self.connection.invalidate(error)

    def autocommit(self, *, on: bool) -> None:
        """Whether each statement is a transaction of its own, on PostgreSQL.

        Raises:
            DBAPIError: the connection broke; it has left the pool.
        """
        driver: Any = self.connection.driver_connection
        try:
            driver.autocommit = on
        except self.dialect.loaded_dbapi.Error as error:
            raise _wrapped(self, "autocommit", error) from error


def run_by_driver(connection: Connection | Plain, text: str, values: Any = ()) -> Any:
    """The driver's cursor after a statement, without SQLAlchemy's own work around it.

    Raises:
        DBAPIError: the driver's error as SQLAlchemy's own; a broken connection leaves the pool.
    """
    driver: Any = connection.connection.driver_connection
    try:
        return driver.execute(text, values)
    except connection.dialect.loaded_dbapi.Error as error:
        raise _wrapped(connection, text, error) from error


def _wrapped(connection: Connection | Plain, text: str, error: Exception) -> BaseException:
    # Typed as PEP 249 names the errors of a driver, which have no common class.
    same: Any = error
    broken = connection.dialect.is_disconnect(same, connection.connection, None)
    if broken:
        connection.invalidate(error)
    return _named(text, error, connection.dialect, broken=broken)


def _named(text: str, error: Exception, dialect: Dialect, *, broken: bool) -> BaseException:
    """The driver's error as SQLAlchemy names it."""
    return DBAPIError.instance(
        text, {}, error, dialect.loaded_dbapi.Error, hide_parameters=True,
        connection_invalidated=broken, dialect=dialect,
    )  # fmt: skip
