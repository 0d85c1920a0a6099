"""Opening the database: which one, how it is connected, and whether it can be used.

SQLite (default) is one file on one machine: WAL, 30 s of patience with other writers, foreign keys,
every commit synced. PostgreSQL serves a cluster through psycopg 3, with a pool and time limits.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from planner.errors import InputError, MissingResourceError, StoreError
from planner.store import migrate
from planner.store.dialects import prepare_postgresql, prepare_sqlite
from planner.store.read_only import refused, sqlite_uri
from planner.store.transactions import again, make_room, reason
from planner.words import secrets

DEFAULT_URL = "sqlite:///soundscale.db"
OLDEST_SQLITE = (3, 37, 0)
"""STRICT tables came with 3.37; RETURNING with 3.35."""


def resolve_url(url: str | None) -> str:
    """The database meant by an option: `None` is $SOUNDSCALE_DB or `sqlite:///soundscale.db`.

    A bare path becomes `sqlite:///path`, and `postgresql://` names the psycopg driver.

    Raises:
        InputError: the URL cannot be read, or is of another kind of database.

    >>> resolve_url("results/runs.db"), resolve_url("postgresql://host/db")
    ('sqlite:///results/runs.db', 'postgresql+psycopg://host/db')
    """
    given = url or os.environ.get("SOUNDSCALE_DB") or DEFAULT_URL
    if "://" not in given:
        return f"sqlite:///{_as_path(given)}"
    scheme, rest = given.split("://", 1)
    if scheme in ("postgresql", "postgres", "postgresql+psycopg"):
        return f"postgresql+psycopg://{rest}"
    if scheme != "sqlite":
        raise InputError(
            f"database URL of kind {scheme!r} is not supported; "
            "use sqlite:///PATH or postgresql://USER@HOST/NAME"
        )
    if rest in ("", "/", "/:memory:"):
        raise InputError(
            f"database {given!r} would forget everything at exit; name a file, e.g. {DEFAULT_URL}"
        )
    return given


def _as_path(given: str) -> str:
    """A bare path as the path of a URL: `?`, `%` and `#` are characters of its name, `~` the home folder.

    Raises:
        InputError: it is `:memory:`, which SQLite would keep nowhere.
    """
    if given.strip() in ("", ":memory:") or given.startswith("file:"):
        raise InputError(
            f"database {given!r} would forget everything at exit; name a file, e.g. {DEFAULT_URL}"
        )
    path = str(Path(given).expanduser())
    if "?" in path:
        raise InputError(
            f"database {given!r} has a ? in its name, which a database's URL ends at; name it without"
        )
    # A URL's %20 is a space; a name's is itself.
    return path.replace("%", "%25")


def redacted(url: str) -> str:
    """The URL without passwords, for messages; works on URLs that cannot be parsed too.

    >>> redacted("postgresql://me:secret@host/db")
    'postgresql://me:***@host/db'
    """
    return secrets.redacted(url).replace("postgresql+psycopg://", "postgresql://")


def connect(url: str, *, worker: bool = False) -> Engine:
    """An engine on a resolved URL, set up but not checked; `open_store` is what commands call.

    Args:
        url: what `resolve_url` gave.
        worker: one of many that claim trials. On SQLite it leaves it to the driver to move the log into
            the file (`planner.store.wal`); PostgreSQL plans each of its statements once.

    Raises:
        InputError: the URL cannot be parsed.
        MissingResourceError: PostgreSQL's driver is not installed, or SQLite is too old.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise InputError(
            f"database URL {redacted(url)!r} cannot be read; "
            "use sqlite:///PATH or postgresql://USER@HOST/NAME"
        ) from None
    if "@" in (parsed.host or ""):
        # The driver would name the rest of the password as a host that cannot be found.
        raise InputError(
            f"database URL {redacted(url)!r} has an @ inside its password; write it there as %40"
        )
    if parsed.get_backend_name() == "sqlite":
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise MissingResourceError(
                f"SQLite {sqlite3.sqlite_version} is too old, 3.37 or newer is needed; "
                "use a newer Python or --db postgresql://USER@HOST/NAME"
            )
        read_only = sqlite_uri(sqlite_path(parsed))
        return prepare_sqlite(parsed, checkpoints=not worker, read_only=read_only)
    try:
        return prepare_postgresql(parsed, plan_once=worker)
    except ModuleNotFoundError:
        raise MissingResourceError(
            f"database {redacted(url)} needs PostgreSQL's driver, which is not installed; "
            "run: pip install 'soundscale[postgres]'"
        ) from None


def open_store(
    url: str | None,
    *,
    must_exist: bool = False,
    worker: bool = False,
    wait_seconds: float = 0.0,
) -> Engine:
    """The database, ready to be used; a new or empty one is set up by whoever meets it first.

    Args:
        url: as for `resolve_url`.
        must_exist: refuse a SQLite file that is not there (commands that only read).
        worker: as for `connect`.
        wait_seconds: how long to try again while a server is away or starting: for workers, which
            should outlive its restart; a person wants to hear of a wrong URL at once.

    Raises:
        StoreError: it cannot be opened, or holds the tables of something else.
        MigrationError: it is at another revision.
        InputError, MissingResourceError: as for `connect`.
    """
    resolved = resolve_url(url)
    _check_file(resolved, must_exist=must_exist)
    engine = connect(resolved, worker=worker)
    try:
        again(lambda: migrate.ready(engine, redacted(resolved)), wait_seconds)
    except DBAPIError as error:
        engine.dispose()
        raise _cannot_open(resolved, error) from error
    except BaseException:
        engine.dispose()
        raise
    return engine


@contextmanager
def opened(
    url: str | None,
    *,
    must_exist: bool = False,
    worker: bool = False,
    wait_seconds: float = 0.0,
) -> Iterator[Engine]:
    """As `open_store`, for the length of a `with` block; its connections are closed at the end.

    Raises:
        SoundscaleError: as for `open_store`.
    """
    engine = open_store(url, must_exist=must_exist, worker=worker, wait_seconds=wait_seconds)
    try:
        yield engine
    finally:
        engine.dispose()


def upgrade(url: str | None) -> tuple[str | None, str]:
    """Bring a database to this version's revision; the only way an existing one is changed.

    Returns:
        The revision before (`None`: it was empty) and after.

    Raises:
        StoreError, MigrationError, InputError, MissingResourceError: as for `open_store`;
            a database newer than this version is refused.
    """
    resolved = resolve_url(url)
    _check_file(resolved, must_exist=False)
    engine = connect(resolved)
    try:
        return migrate.upgrade(engine, redacted(resolved))
    except DBAPIError as error:
        raise _cannot_open(resolved, error) from error
    finally:
        engine.dispose()


def _check_file(url: str, *, must_exist: bool) -> None:
    if not url.startswith("sqlite"):
        return
    path = sqlite_path(make_url(url))
    if must_exist and not path.exists():
        raise StoreError(
            f"there is no database at {path}; name another with --db, or fill one with: "
            "soundscale runs import same2026, or soundscale sweep run SPEC.toml"
        )
    if path.is_dir():
        raise StoreError(f"cannot open database {path}: it is a folder; name a file in it")
    if not path.parent.is_dir():
        raise StoreError(
            f"cannot create database {path}: folder {path.parent} does not exist; "
            f"create it, or name another file with --db"
        )


def exists(url: str | None) -> bool:
    """Whether there is a database to read: the SQLite file exists; a server is taken to exist."""
    resolved = resolve_url(url)
    return not resolved.startswith("sqlite") or sqlite_path(make_url(resolved)).exists()


def sqlite_path(url: URL) -> Path:
    """The file behind a SQLite URL."""
    return Path(url.database or "")


def _cannot_open(url: str, error: DBAPIError) -> StoreError:
    remedy = "check --db and that the file can be read and written"
    if not url.startswith("sqlite"):
        remedy = "check that the server runs and that --db names its host, user and database"
    remedy = make_room(error) or remedy
    if refused(error):
        remedy = (
            "ask its owner for the right to read it, or set it up first with a role that may write"
        )
    return StoreError(f"cannot open database {redacted(url)}: {reason(error)}; {remedy}")
