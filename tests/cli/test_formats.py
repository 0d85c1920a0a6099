"""Listings in every format, and the file of SQLite as other programs open it."""

import csv
import importlib.util
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from planner.cli.main import cli
from planner.store.engine import open_store, upgrade
from tests.notebooks.conftest import STORED

LISTINGS = [
    ["runs", "list"],
    ["fit", "list"],
    ["answers", "list"],
    ["devices", "list"],
    ["backbones", "list"],
    ["db", "query", "SELECT * FROM v_axes ORDER BY run_id, axis"],
]


@pytest.fixture(scope="module")
def quickstart_db(tmp_path_factory):
    """A copy of the stored quickstart database; no test changes its results."""
    copy = Path(shutil.copy(STORED, tmp_path_factory.mktemp("formats")))
    upgrade(str(copy))
    return copy


def soundscale(*arguments, db, code=0):
    done = CliRunner().invoke(cli, [*arguments, "--db", str(db)])
    assert done.exit_code == code, done.exception
    return done


@pytest.mark.parametrize("listing", LISTINGS, ids=lambda v: " ".join(v[:2]))
def test_a_listing_says_the_same_in_every_format(listing, quickstart_db):
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra parquet")
    out = {f: soundscale(*listing, "-f", f, db=quickstart_db).stdout_bytes for f in FORMATS}
    rows = json.loads(out["json"])
    assert [json.loads(line) for line in out["jsonl"].splitlines()] == rows
    assert [len(row) for row in csv.reader(io.StringIO(out["csv"].decode()))][1:] == [
        len(row) for row in rows
    ]
    read = parquet.read_table(io.BytesIO(out["parquet"])).to_pylist()
    assert [row.keys() for row in read] == [row.keys() for row in rows]
    assert [without_nesting(row) for row in read] == [without_nesting(row) for row in rows]


FORMATS = ("json", "jsonl", "csv", "parquet")


def without_nesting(row):
    return {k: v for k, v in row.items() if v is None or isinstance(v, (int, float))}


def test_an_answer_is_one_document_on_one_line_as_jsonl(quickstart_db):
    answer = soundscale("plan", "--task", "asr", "--flops", "20G", "-f", "jsonl", db=quickstart_db)
    assert len(answer.stdout.splitlines()) == 1
    assert json.loads(answer.stdout)["best"]
    refused = soundscale("plan", "--task", "asr", "--flops", "20G", "-f", "csv", db="x.db", code=2)
    assert "'csv' is not one of" in refused.stderr


def test_without_pyarrow_the_error_says_what_brings_it(quickstart_db):
    code = (
        "import sys; sys.modules['pyarrow'] = None; from planner.cli.main import main\n"
        f"sys.argv = ['soundscale', 'runs', 'list', '--db', {str(quickstart_db)!r}, '-f', 'parquet']\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 5
    assert "pip install 'soundscale[parquet]'" in done.stderr


def test_datasette_opens_the_file_as_it_is(quickstart_db):
    pytest.importorskip("datasette")
    path = "/quickstart/v_results.json?_shape=array&_size=max"
    command = [sys.executable, "-W", "ignore", "-m", "datasette", str(quickstart_db), "--get", path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) == 12


def test_duckdb_opens_the_file_as_it_is(quickstart_db):
    duckdb = pytest.importorskip("duckdb")
    found = importlib.util.find_spec("duckdb_extension_sqlite_scanner")
    if found is None or found.origin is None:
        pytest.skip("needs DuckDB's extension: pip install duckdb-extension-sqlite-scanner")
    extension = next(Path(found.origin).parent.rglob("*.duckdb_extension"))
    with duckdb.connect() as connection:
        # DuckDB verifies its own signature of the extension, whoever packed it.
        connection.execute(f"LOAD '{extension}'")
        connection.execute(f"ATTACH '{quickstart_db}' AS runs (TYPE sqlite, READ_ONLY)")
        for view in ("v_results", "v_axes", "v_planned_vs_actual", "v_frontier"):
            found = connection.execute(f"SELECT count(*) FROM runs.{view}").fetchone()
            assert found is not None
        found = connection.execute(
            "SELECT min(error), avg(n_errors) FROM runs.v_results"
        ).fetchone()
    engine = open_store(str(quickstart_db))
    with engine.connect() as ours:
        expected = ours.exec_driver_sql("SELECT min(error), avg(n_errors) FROM v_results").one()
    engine.dispose()
    assert found == pytest.approx(tuple(expected))


def test_an_export_comes_back_through_the_commands(quickstart_db, tmp_path):
    pytest.importorskip("pyarrow", reason="needs the extra parquet")
    soundscale("db", "export", str(tmp_path / "backup"), db=quickstart_db)
    copy = tmp_path / "copy.db"
    soundscale("db", "import", str(tmp_path / "backup"), db=copy)
    one, other = (
        soundscale("runs", "list", "-f", "json", db=d).stdout for d in (quickstart_db, copy)
    )
    assert one == other
    assert upgrade(str(copy))[0] == upgrade(str(quickstart_db))[0]
