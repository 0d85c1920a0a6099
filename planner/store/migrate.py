"""Which revision a database is at, and bringing it to ours.

One process migrates, whoever comes first; the others wait on the database's own lock and then find
the work done. A migration is one transaction on both databases: it happens whole or not at all.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from planner.errors import MigrationError, StoreError
from planner.store.dialects import WRITES
from planner.store.schema import SCHEMA_REVISION, metadata

_ADVISORY_LOCK = 0x50554E445343
"""Key of PostgreSQL's advisory lock around a migration (assumption: no other program takes it)."""


def ready(engine: Engine, shown: str) -> None:
    """Return when the database is at our revision; set up an empty one.

    Args:
        engine: the database.
        shown: its URL without passwords, for messages.

    Raises:
        MigrationError: it is at another revision.
        StoreError: it holds tables that are not ours.
    """
    with engine.begin() as connection:
        found = _current(connection, shown)
    if found is None:
        upgrade(engine, shown, only_empty=True)
    elif found != SCHEMA_REVISION:
        raise _other_revision(found, shown)


def upgrade(engine: Engine, shown: str, *, only_empty: bool = False) -> tuple[str | None, str]:
    """Migrate to our revision in one transaction; nothing happens to a database that is there.

    Raises:
        MigrationError: the database is newer than this version, or (with `only_empty`) older.
        StoreError: as for `ready`.
    """
    with engine.execution_options(**WRITES).begin() as connection:
        if connection.dialect.name == "postgresql":
            # A migration may take as long as it needs, and so may waiting for one.
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            connection.execute(text("SET LOCAL lock_timeout = 0"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        before = _current(connection, shown)
        if before == SCHEMA_REVISION:
            return before, before
        if before is not None and (only_empty or before not in _known()):
            raise _other_revision(before, shown)
        _run_alembic(connection)
    return before, SCHEMA_REVISION


def migrations_folder() -> Path:
    """The Alembic scripts: inside the installed package, or beside it in a checkout.

    Raises:
        StoreError: they are in neither place.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "_migrations", package.parent / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise StoreError(
        f"the database cannot be set up: no migrations beside {package}; reinstall soundscale"
    )


def _current(connection: Connection, shown: str) -> str | None:
    """The revision of the database, None when it is empty."""
    tables = set(inspect(connection).get_table_names())
    if "alembic_version" in tables:
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        if found is not None:
            return str(found)
    _check_empty(tables, shown)
    return None


def _check_empty(tables: set[str], shown: str) -> None:
    others = sorted(tables - {"alembic_version"})
    if others:
        ours = " (some have Soundscale's names)" if set(others) & set(metadata.tables) else ""
        raise StoreError(
            f"database {shown} holds tables of something else: {', '.join(others[:4])}{ours}; "
            "name an empty or a new database with --db"
        )


def _known() -> set[str]:
    """All revisions that this version has migrations for."""
    from alembic.script import ScriptDirectory

    return {s.revision for s in ScriptDirectory(str(migrations_folder())).walk_revisions()}


def _run_alembic(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    # A percent sign in the path would be read as interpolation.
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, SCHEMA_REVISION)


def _other_revision(revision: str, shown: str) -> MigrationError:
    if revision in _known():
        return MigrationError(
            f"database {shown} is at migration {revision}, this version of soundscale expects "
            f"{SCHEMA_REVISION}; run: soundscale db upgrade --db {shown}"
        )
    return MigrationError(
        f"database {shown} is at migration {revision}, which this version of soundscale (at "
        f"{SCHEMA_REVISION}) does not know; install the version that wrote it, "
        "or name another database with --db"
    )
