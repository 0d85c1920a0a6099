"""A whole database as Parquet and back: nothing is lost, nothing is added, and nothing is overwritten."""

import json
from typing import Any

import pytest
from sqlalchemy import text

from planner.errors import InputError, StoreError
from planner.store import exchange
from planner.store.claims import fail, finish
from planner.store.write import register_sweep
from planner.words.records import Resources
from tests.chaos.invariants import audited
from tests.store.samples import LEASE, WORKER, claim_any, failed, finished, rows_of, sweep_of, trial

pytest.importorskip("pyarrow", reason="needs the extra parquet")


def filled(store):
    sweep = sweep_of(store, 3)
    finish(store, claim_any(store, sweep, WORKER, LEASE), finished())
    fail(store, claim_any(store, sweep, WORKER, LEASE), failed(), retry=False)
    return store


def contents(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def test_an_export_of_an_import_is_the_same_to_the_byte(store, sqlite_store, tmp_path):
    exchange.export(filled(store), tmp_path / "one")
    target = sqlite_store if store.dialect.name == "postgresql" else _other(tmp_path)
    assert exchange.load(target, tmp_path / "one")["utterances"] == 3
    exchange.export(target, tmp_path / "two")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def _other(tmp_path):
    from planner.store.engine import open_store

    return open_store(str(tmp_path / "other.db"))


def test_work_goes_on_in_an_imported_postgresql_database(sqlite_store, postgres_store, tmp_path):
    exchange.export(filled(sqlite_store), tmp_path / "one")
    exchange.load(postgres_store, tmp_path / "one")
    more = register_sweep(postgres_store, "more", "{}", [(trial(seed=9), Resources())]).sweep_id
    assert finish(postgres_store, claim_any(postgres_store, more, WORKER, LEASE), finished())
    assert rows_of(postgres_store, "SELECT count(*) FROM runs WHERE status = 'finished'") == [(2,)]


def test_an_export_of_a_running_campaign_is_one_moment_of_it_from_which_the_rest_is_trained(
    store, sqlite_store, tmp_path, monkeypatch
):
    sweep = sweep_of(store, len(exchange.TABLES) + 1)
    write_table = exchange._write_table

    def while_it_runs(*of: Any) -> int:
        assert finish(store, claim_any(store, sweep, WORKER, LEASE), finished())
        return write_table(*of)

    monkeypatch.setattr(exchange, "_write_table", while_it_runs)
    exchange.export(store, tmp_path / "one")
    target = sqlite_store if store.dialect.name == "postgresql" else _other(tmp_path)
    exchange.load(target, tmp_path / "one")
    counted = "SELECT count(*) FROM {}"
    (before,) = rows_of(target, counted.format("trials WHERE state = 'finished'"))
    assert before[0] < len(exchange.TABLES)
    for table, each in (("runs", 1), ("evaluations", 1), ("utterances", 3)):
        assert rows_of(target, counted.format(table)) == [(each * before[0],)]
    while claim := claim_any(target, sweep, WORKER, LEASE):
        assert finish(target, claim, finished())
    assert rows_of(target, counted.format("runs")) == [(len(exchange.TABLES) + 1,)]
    assert audited(target) == {}


def test_secrets_stay_behind(sqlite_store, tmp_path):
    from planner.store import api_tokens

    api_tokens.add(sqlite_store, "ci", "a" * 43, ("read",))
    exchange.export(sqlite_store, tmp_path / "one", views=True)
    names = {p.stem for p in (tmp_path / "one").iterdir()}
    assert "v_results" in names
    assert names.isdisjoint({"api_tokens", "jobs"})


def test_a_database_with_results_is_not_imported_into(sqlite_store, tmp_path):
    exchange.export(filled(sqlite_store), tmp_path / "one")
    with pytest.raises(StoreError, match="name a new database"):
        exchange.load(sqlite_store, tmp_path / "one")
    assert rows_of(sqlite_store, "SELECT count(*) FROM trials") == [(3,)]


def test_a_folder_with_files_in_it_is_not_exported_into(sqlite_store, tmp_path):
    (tmp_path / "mine").write_text("x")
    with pytest.raises(InputError, match="not an empty folder"):
        exchange.export(sqlite_store, tmp_path)


def damaged(folder):
    with (folder / "runs.parquet").open("ab") as file:
        file.write(b"x")


def missing(folder):
    (folder / "utterances.parquet").unlink()


def older(folder):
    path = folder / "schema.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"revision": "0001"}))


def unfinished(folder):
    (folder / "schema.json").unlink()


def garbled(folder):
    (folder / "schema.json").write_text("[1")


@pytest.mark.parametrize("harm", [damaged, missing, older, unfinished, garbled])
def test_what_is_not_a_whole_export_changes_nothing(harm, sqlite_store, tmp_path):
    exchange.export(filled(sqlite_store), tmp_path / "one")
    harm(tmp_path / "one")
    empty = _other(tmp_path)
    with pytest.raises(InputError):
        exchange.load(empty, tmp_path / "one")
    assert rows_of(empty, "SELECT count(*) FROM trials") == [(0,)]
    empty.dispose()


def test_the_schema_file_describes_the_columns(sqlite_store, tmp_path):
    exchange.export(filled(sqlite_store), tmp_path / "one")
    tables = json.loads((tmp_path / "one" / "schema.json").read_text())["tables"]
    assert tables["runs"]["rows"] == 2
    by_name = {c["name"]: c for c in tables["runs"]["columns"]}
    assert by_name["trial_id"]["refers_to"] == "trials.trial_id"
    assert by_name["train_flops"]["type"] == "float64"


def test_duckdb_reads_an_export_with_its_types(sqlite_store, tmp_path):
    duckdb = pytest.importorskip("duckdb")
    exchange.export(filled(sqlite_store), tmp_path / "one", views=True)
    with duckdb.connect() as connection:
        found = connection.execute(
            f"SELECT backbone, error, n_trainable FROM '{tmp_path}/one/v_results.parquet'"
            " WHERE status = 'finished'"
        ).fetchall()
    assert found == [("whisper-tiny", 0.25, 3_000_000_000)]


def test_the_views_of_an_export_are_those_of_the_database(sqlite_store, tmp_path):
    duckdb = pytest.importorskip("duckdb")
    exchange.export(filled(sqlite_store), tmp_path / "one", views=True)
    for view in ("v_results", "v_axes", "v_utterances"):
        with sqlite_store.connect() as one, duckdb.connect() as other:
            asked = one.execute(text(f"SELECT * FROM {view}"))
            read = other.execute(f"SELECT * FROM '{tmp_path}/one/{view}.parquet'")
            assert [c[0] for c in read.description] == list(asked.keys())
            assert len(read.fetchall()) == len(asked.all())
