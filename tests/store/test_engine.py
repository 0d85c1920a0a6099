"""Which database is meant, and what is said when it cannot be used."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from planner.errors import InputError, MigrationError, MissingResourceError, StoreError
from planner.store import transactions
from planner.store.claims import finish
from planner.store.engine import (
    connect,
    open_store,
    opened,
    redacted,
    resolve_url,
    sqlite_path,
    upgrade,
)
from planner.store.schema import SCHEMA_REVISION
from planner.store.transactions import write
from tests.store.samples import LEASE, WORKER, claim_any, count, finished, sweep_of


@pytest.mark.parametrize(
    ("given", "resolved"),
    [
        ("runs.db", "sqlite:///runs.db"),
        ("/a b/runs.db", "sqlite:////a b/runs.db"),
        ("sqlite:///x.db", "sqlite:///x.db"),
        ("postgresql://u:p@h/db", "postgresql+psycopg://u:p@h/db"),
        ("postgres://h/db?sslmode=require", "postgresql+psycopg://h/db?sslmode=require"),
        ("postgresql+psycopg://h/db", "postgresql+psycopg://h/db"),
    ],
)
def test_a_url_or_a_path_names_a_database(given, resolved):
    assert resolve_url(given) == resolved


def test_the_default_is_the_variable_and_then_a_file_here(monkeypatch):
    monkeypatch.delenv("SOUNDSCALE_DB", raising=False)
    assert resolve_url(None) == "sqlite:///soundscale.db"
    monkeypatch.setenv("SOUNDSCALE_DB", "other.db")
    assert resolve_url(None) == "sqlite:///other.db"
    assert resolve_url("mine.db") == "sqlite:///mine.db"


@pytest.mark.parametrize("given", ["mysql://h/db", "sqlite://", "sqlite:///:memory:"])
def test_other_databases_and_forgetful_ones_are_refused(given):
    with pytest.raises(InputError, match=r"use sqlite:///PATH|name a file"):
        resolve_url(given)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:s3cret@h:5432/db",
        "postgresql://me:s3cret@h:not-a-port/db",
        "postgresql://me@h/db?password=s3cret&sslpassword=s3cret",
        "postgresql+psycopg://me:p@s3cret@h/db",
    ],
)
def test_passwords_never_appear(url):
    assert "s3cret" not in redacted(url)
    assert "***" in redacted(url)


def test_a_url_that_cannot_be_read_is_said_without_its_password():
    with pytest.raises(InputError, match="cannot be read") as caught:
        open_store("postgresql://me:s3cret@h:not-a-port/db")
    assert "s3cret" not in str(caught.value)


def test_a_server_that_is_away_is_one_clear_line_without_the_password():
    with pytest.raises(StoreError, match="cannot open database") as caught:
        open_store("postgresql://me:s3cret@127.0.0.1:1/db")
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_the_driver_postgresql_says_what_to_install():
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from planner.store.engine import open_store\n"
        "open_store('postgresql://h/db')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert MissingResourceError.__name__ in done.stderr
    assert "pip install 'soundscale[postgres]'" in done.stderr


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: p / "no" / "x.db", "folder .* does not exist"),
        (lambda p: p, "it is a folder"),
        (lambda p: (p / "x.db").write_text("not a database, but long enough") and p / "x.db",
         "file is not a database"),
    ],
    ids=["no folder", "a folder", "another file"],
)  # fmt: skip
def test_a_path_that_cannot_be_a_database_is_refused(tmp_path, make, said):
    with pytest.raises(StoreError, match=said):
        open_store(str(make(tmp_path)))


def test_a_database_that_must_exist_is_not_created(tmp_path):
    path = tmp_path / "x.db"
    with pytest.raises(StoreError, match=r"there is no database at .*soundscale runs import"):
        open_store(str(path), must_exist=True)
    assert not path.exists()


def test_a_database_of_something_else_is_left_alone(db_url):
    engine = connect(resolve_url(db_url))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE cats (name text)"))
    with pytest.raises(StoreError, match="tables of something else: cats"):
        open_store(db_url)
    with pytest.raises(StoreError, match="tables of something else: cats"):
        upgrade(db_url)
    engine.dispose()


def test_a_new_database_is_set_up_by_whoever_meets_it_first(db_url):
    for _ in range(2):
        with opened(db_url) as engine:
            assert count(engine, "trials") == 0
    assert upgrade(db_url) == (SCHEMA_REVISION, SCHEMA_REVISION)


def test_a_store_is_closed_at_the_end_of_its_block_whatever_happens_in_it(db_url):
    pools = []

    def used():
        with opened(db_url) as engine:
            pools.extend([engine, engine.pool])
            raise KeyError(count(engine, "trials"))

    with pytest.raises(KeyError):
        used()
    assert pools[0].pool is not pools[1]


@pytest.mark.parametrize("open_it", [open_store, upgrade])
def test_a_newer_database_is_refused_with_both_revisions(db_url, open_at, open_it):
    with open_at(db_url).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(MigrationError, match=f"9999.*{SCHEMA_REVISION}.*does not know"):
        open_it(db_url)


def test_what_is_acknowledged_is_synced_and_what_may_be_lost_is_not(sqlite_store):
    def level(connection):
        return connection.exec_driver_sql("PRAGMA synchronous").scalar()

    levels = [write(sqlite_store, level, durable=d) for d in (True, False, True)]
    assert levels == [2, 1, 2]


def test_sqlite_keeps_a_log_waits_for_others_and_checks_keys(sqlite_store):
    with sqlite_store.connect() as connection:
        asked = ("journal_mode", "busy_timeout", "foreign_keys")
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in asked]
    assert found == ["wal", 30000, 1]


@pytest.mark.postgres
def test_postgresql_has_time_limits(postgres_store):
    with postgres_store.connect() as connection:
        asked = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
        found = [connection.exec_driver_sql(f"SHOW {name}").scalar() for name in asked]
    assert found == ["2min", "30s", "2min"]


def test_a_full_disk_is_one_clear_error_and_nothing_is_torn(sqlite_store):
    sweep = sweep_of(sqlite_store, 1)
    claim = claim_any(sqlite_store, sweep, WORKER, LEASE)
    with sqlite_store.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StoreError, match="full; free some space, then run the same command"):
        finish(sqlite_store, claim, finished(n_utterances=2000))
    assert count(sqlite_store, "evaluations") == 0
    with sqlite_store.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    assert finish(sqlite_store, claim, finished(n_utterances=2000))


@pytest.mark.parametrize("times", [1, 3])
def test_a_serialization_failure_is_tried_again(store, times):
    class RefusedError(Exception):
        sqlstate = "40001"

    left = [None] * times

    def work(connection):
        if left:
            left.pop()
            raise transactions.OperationalError("x", {}, RefusedError())
        return "done"

    assert write(store, work) == "done"


@pytest.mark.parametrize("name", [":memory:", "lab?v1.db", "file:lab.db"])
def test_a_name_that_a_url_would_read_otherwise_is_refused(name):
    with pytest.raises(InputError, match="database"):
        resolve_url(name)


def test_a_percent_sign_and_the_home_folder_mean_what_they_say(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ann")
    assert sqlite_path(make_url(resolve_url("run%202.db"))).name == "run%202.db"
    assert sqlite_path(make_url(resolve_url("~/a.db"))) == Path("/home/ann/a.db")
