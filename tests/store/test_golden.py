"""A database that any released revision wrote can be upgraded and used."""

import sqlite3
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Boolean, Integer, MetaData, create_engine, func, select, text

from planner.store import migrate, read
from planner.store.claims import finish, retry_failed
from planner.store.engine import connect, open_store, resolve_url, upgrade
from planner.store.schema import SCHEMA_REVISION
from planner.store.scorings import Scoring, save_scorings, scorings
from tests.store.samples import LEASE, WORKER, claim_any, finished, trial

DUMPS = sorted(Path(__file__).parent.glob("golden/*.sql"))


ON_POSTGRESQL = [
    pytest.param(
        path, marks=[] if path in (DUMPS[0], DUMPS[-2]) else pytest.mark.slow, id=path.stem
    )
    for path in DUMPS
]
"""The oldest and the last before the newest stand for all."""


@pytest.fixture(params=DUMPS, ids=lambda path: path.stem)
def golden(request, tmp_path):
    path = tmp_path / "golden.db"
    restore(request.param, path)
    assert upgrade(str(path)) == (request.param.stem, SCHEMA_REVISION)
    engine = open_store(str(path))
    yield engine
    engine.dispose()


def restore(dump, path):
    connection = sqlite3.connect(path)
    connection.executescript(dump.read_text())
    connection.close()


def copied_to_postgresql(dump, path, url):
    """The same rows in a PostgreSQL database that the migrations made as far as the dump's revision."""
    restore(dump, path)
    source, target = create_engine(f"sqlite:///{path}"), connect(resolve_url(url))
    with source.connect() as old, target.begin() as new:
        migrated(new, dump.stem)
        there = MetaData()
        there.reflect(new)
        for table in there.sorted_tables:
            rows = [] if table.name == "alembic_version" else rows_for(table, old)
            if rows:
                new.execute(table.insert(), rows)
            whole = (key for key in table.primary_key.columns if isinstance(key.type, Integer))
            for key in whole if rows else ():
                # A key without a sequence has none to set: NULL.
                sequence = func.pg_get_serial_sequence(table.name, key.name)
                new.execute(select(func.setval(sequence, select(func.max(key)).scalar_subquery())))
    source.dispose()
    target.dispose()


def migrated(connection, revision):
    config = Config()
    config.set_main_option("script_location", str(migrate.migrations_folder()))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def rows_for(table, old):
    """Rows of a table; SQLite keeps truth values as numbers."""
    kinds = {column.name: column.type for column in table.columns}
    return [
        {
            k: bool(v) if isinstance(kinds[k], Boolean) and v is not None else v
            for k, v in row.items()
        }
        for row in old.execute(text(f"SELECT * FROM {table.name}")).mappings()
    ]


@pytest.mark.postgres
@pytest.mark.parametrize("dump", ON_POSTGRESQL)
def test_a_postgresql_database_of_a_released_revision_is_upgraded_and_goes_on(
    dump, tmp_path, postgres_url
):
    copied_to_postgresql(dump, tmp_path / "golden.db", postgres_url)
    assert upgrade(postgres_url) == (dump.stem, SCHEMA_REVISION)
    engine = open_store(postgres_url)
    test_what_was_stored_is_there(engine)
    again = Scoring(
        run_id=1, split="test", scorer="raw/1", metric="wer", error=0.5, std_error=None, n_units=8, n_errors=4,
        n_substitutions=4, n_insertions=0, n_deletions=0, n_utterances=3, cer=None,
    )  # fmt: skip
    save_scorings(engine, [again])
    assert scorings(engine, 1) == [again]
    test_the_sweep_goes_on(engine)
    engine.dispose()


def test_the_newest_revision_has_a_golden_database():
    assert DUMPS[-1].stem == SCHEMA_REVISION


def test_what_was_stored_is_there(golden):
    row = read.run(golden, 1)
    assert (row.trial, row.error, row.latency_p50_ms) == (trial(), 0.25, 40.0)
    assert len(read.utterances(golden, 1)) == 3
    assert [r.status for r in read.runs(golden)] == ["finished", "failed", "finished"]
    assert read.fit(golden, "f1").runs == ((1, True, None),)
    assert read.plan(golden, "a1").fit_id == "f1"


def test_the_sweep_goes_on(golden):
    sweep = read.sweep_id_of(golden, "sweep")
    assert retry_failed(golden, sweep) == 1
    for _ in range(2):
        assert finish(golden, claim_any(golden, sweep, WORKER, LEASE), finished())
    assert {row.state for row in read.sweep_status(golden, "sweep").rows} == {"finished"}
