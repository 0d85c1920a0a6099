"""Migrations: the only creators of tables, and the same tables as planner.store.schema says."""

import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from planner.errors import MigrationError
from planner.store import migrate
from planner.store.engine import connect, open_store, resolve_url, upgrade
from planner.store.schema import SCHEMA_REVISION, metadata
from planner.store.views import VIEWS, definitions
from tests.store.processes import open_and_count, together
from tests.store.samples import rows_of

SCRIPTS = ScriptDirectory(str(migrate.migrations_folder()))
REVISIONS = [script.revision for script in SCRIPTS.walk_revisions()][::-1]


@pytest.fixture
def empty(db_url):
    engine = connect(resolve_url(db_url))
    yield engine
    engine.dispose()


def go(engine, direction, revision):
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(migrate.migrations_folder()))
        config.attributes["connection"] = connection
        getattr(command, direction)(config, revision)


def described(engine):
    """All that the inspector and the catalogue say of a database, without Alembic's own table."""
    look = inspect(engine)
    names = [n for n in look.get_table_names() if n != "alembic_version"]
    parts = ("columns", "foreign_keys", "unique_constraints", "check_constraints", "indexes")
    found = {}
    for name in names:
        found[name] = {part: by_name(getattr(look, f"get_{part}")(name)) for part in parts}
        found[name]["key"] = look.get_pk_constraint(name)
        found[name]["options"] = look.get_table_options(name)
    return found | {view: look.get_view_definition(view) for view in look.get_view_names()}


def by_name(items):
    return sorted(str(sorted(item.items(), key=str)) for item in map(plain, items))


def plain(item):
    """An item of the inspector with SQLAlchemy's own objects as text."""
    where = item.get("dialect_options", {})
    texts = {k: str(item[k]) for k in ("type", "default") if k in item}
    return item | texts | {"dialect_options": {k: str(v) for k, v in where.items()}}


def declare(engine):
    metadata.create_all(engine)
    with engine.begin() as connection:
        for definition in definitions(engine.dialect.name).values():
            connection.execute(text(definition))


def test_the_schema_names_the_newest_migration():
    assert SCRIPTS.get_heads() == [SCHEMA_REVISION]


def test_a_migrated_database_is_the_declared_one(empty):
    declare(empty)
    declared = described(empty)
    with empty.begin() as connection:
        for view in reversed(VIEWS):
            connection.execute(text(f"DROP VIEW {view}"))
    metadata.drop_all(empty)
    go(empty, "upgrade", "head")
    migrated = described(empty)
    assert migrated.keys() == declared.keys()
    for name, table in declared.items():
        assert migrated[name] == table, name


def test_every_constraint_has_a_name(store):
    look = inspect(store)
    for table in metadata.tables:
        parts = ("foreign_keys", "unique_constraints", "check_constraints", "indexes")
        items = [i for part in parts for i in getattr(look, f"get_{part}")(table)]
        assert all(item["name"] for item in [*items, look.get_pk_constraint(table)]), table


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_migration_goes_up_down_and_up_again(empty, revision):
    go(empty, "upgrade", revision)
    before = described(empty)
    below = REVISIONS[: REVISIONS.index(revision)]
    go(empty, "downgrade", below[-1] if below else "base")
    go(empty, "upgrade", revision)
    assert described(empty) == before


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_an_older_database_is_upgraded_by_command_alone(db_url, empty, revision):
    go(empty, "upgrade", revision)
    expected = f"at migration {revision}, .*expects {SCHEMA_REVISION}; run: soundscale db upgrade"
    with pytest.raises(MigrationError, match=expected):
        open_store(db_url)
    assert upgrade(db_url) == (revision, SCHEMA_REVISION)
    open_store(db_url).dispose()


def test_a_migration_that_fails_leaves_nothing(empty, db_url, monkeypatch):
    def broken(connection):
        connection.execute(text("CREATE TABLE half (x integer)"))
        raise RuntimeError("power cut")

    monkeypatch.setattr(migrate, "_run_alembic", broken)
    with pytest.raises(RuntimeError):
        open_store(db_url)
    assert inspect(empty).get_table_names() == []


def test_processes_that_meet_an_empty_database_at_once_migrate_it_once(db_url, empty):
    assert together(32, open_and_count, db_url) == [0] * 32
    assert rows_of(empty, "SELECT version_num FROM alembic_version") == [(SCHEMA_REVISION,)]


def test_the_alembic_command_works_from_the_project_folder(sqlite_url):
    root = Path(__file__).resolve().parents[2]
    alembic = [sys.executable, "-m", "alembic", "-x", f"db={sqlite_url}"]
    subprocess.run([*alembic, "upgrade", "head"], cwd=root, check=True, capture_output=True)
    assert open_and_count(sqlite_url) == 0
    done = subprocess.run(
        [*alembic, "check"], cwd=root, capture_output=True, text=True, check=False
    )
    assert "No new upgrade operations" in done.stdout, done.stdout + done.stderr


def test_scripts_are_found_beside_the_package_in_a_checkout():
    assert migrate.migrations_folder().name == "migrations"
