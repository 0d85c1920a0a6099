"""Databases that may only be read are read, and refuse to be written to in one line."""

import os
import shutil
import subprocess
import sys

import pytest
from sqlalchemy import text

from planner.errors import ReadOnlyError, StoreError
from planner.service import asking, fitting, lists
from planner.store import list_pages, readonly, write
from planner.store.engine import open_store, opened
from planner.words.question import PlanQuery
from planner.words.records import Device

DEVICE = Device(name="a", kind="cpu", model="a", n_threads=1)


def as_reader(code: str) -> str:
    """What Python says to the code where folders without the right to write are read-only to root too."""
    bound = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.getuid() == 0 else []
    done = subprocess.run(
        [*bound, sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Three results, which a law of two parameters is fitted to at once."""
    path = tmp_path_factory.mktemp("table") / "three.csv"
    rows = [
        f"asr,whisper-{size},30,{error}"
        for size, error in (("tiny", 0.2), ("base", 0.15), ("small", 0.1))
    ]
    path.write_text("\n".join(["task,backbone,audio_seconds,error", *rows]))
    return str(path)


@pytest.fixture
def imported(tmp_path, table):
    """A database with results, in a folder of its own."""
    path = tmp_path / "kept" / "a #1%.db"
    path.parent.mkdir()
    fitting.import_results(str(path), table)
    return path


@pytest.fixture
def read_only(imported):
    imported.chmod(0o444)
    imported.parent.chmod(0o555)
    yield imported
    imported.parent.chmod(0o755)


READING = """
from planner.errors import ReadOnlyError
from planner.service import asking, fitting, lists
from planner.store import readonly
from planner.words.question import PlanQuery
db = {path!r}
print(len(lists.runs(db)), readonly.query(db, "SELECT count(*) AS n FROM runs").rows)
answer = asking.plan(db, PlanQuery(task="asr", flops=5e11))
print(answer.json["best"]["label"], [w["code"] for w in answer.json["warnings"]].count("not-kept"))
try:
    fitting.remove_runs(db, [1], who="me", why="x")
except ReadOnlyError as refused:
    print(refused.exit_code, refused)
"""


def test_a_read_only_folder_is_listed_asked_and_queried_and_not_written_to(read_only):
    listed, answered, refused = as_reader(READING.format(path=str(read_only))).splitlines()
    assert listed == "3 ((3,),)"
    assert answered.startswith("whisper-")
    assert answered.endswith(" 1")
    assert refused.startswith("6 cannot write to database")
    assert "readonly" in refused
    assert not list(read_only.parent.glob("*-wal"))


def test_a_log_that_cannot_be_read_there_is_not_passed_over(imported, tmp_path):
    with opened(str(imported)) as engine:
        write.save_device(engine, DEVICE)
        copy = tmp_path / "copy"
        copy.mkdir()
        for end in ("", "-wal"):
            shutil.copy(f"{imported}{end}", copy / f"a.db{end}")
    (copy / "a.db").chmod(0o444)
    (copy / "a.db-wal").chmod(0o444)
    copy.chmod(0o555)
    said = as_reader(f"from planner.service import lists\nlists.runs({str(copy / 'a.db')!r})")
    copy.chmod(0o755)
    assert "StoreError" in said
    assert "its log a.db-wal holds changes that the file does not" in said


@pytest.fixture
def reader_url(postgres_server, table):
    """A database with results, as a role that may read all of it and do nothing else."""
    url = postgres_server.new_database()
    fitting.import_results(url, table)
    role = f"reader{os.urandom(4).hex()}"
    with opened(url) as engine, engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN"))
        connection.execute(text(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"))
    return url.replace("postgres@", f"{role}@")


@pytest.fixture
def standby_url(postgres_server, table):
    """The same by transactions that may only read, as a replica has them."""
    url = postgres_server.new_database()
    fitting.import_results(url, table)
    return f"{url}?options=-cdefault_transaction_read_only%3Don"


def _refused(url):
    with pytest.raises(ReadOnlyError, match="cannot write to database"), opened(url) as engine:
        write.save_device(engine, DEVICE)
    return True


@pytest.mark.postgres
def test_a_role_that_only_reads_is_listed_and_asked_and_not_written_by(reader_url):
    answer = asking.plan(reader_url, PlanQuery(task="asr", flops=5e11)).json
    assert [w["code"] for w in answer["warnings"]].count("not-kept") == 1
    assert readonly.query(reader_url, "SELECT count(*) AS n FROM runs").rows == ((3,),)
    assert _refused(reader_url)
    with opened(reader_url) as engine:
        assert list_pages.plans(engine, task=None, limit=1, after=None)[0] == []


@pytest.mark.postgres
def test_a_replica_is_listed_and_not_written_to(standby_url):
    assert len(lists.runs(standby_url)) == 3
    assert _refused(standby_url)


@pytest.mark.postgres
def test_a_role_without_any_right_is_told_so(postgres_server):
    url = postgres_server.new_database()
    open_store(url).dispose()
    role = f"nobody{os.urandom(4).hex()}"
    with opened(url) as engine, engine.begin() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN"))
    with pytest.raises(StoreError, match="ask its owner for the right to read it"):
        open_store(url.replace("postgres@", f"{role}@"))


@pytest.mark.postgres
@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1", "EUC_JP"])
def test_a_database_that_cannot_keep_every_text_is_refused(postgres_server, encoding):
    import psycopg

    name = f"db{os.urandom(4).hex()}"
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as connection:
        connection.execute(
            f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        )
    with pytest.raises(StoreError, match=f"encoded in {encoding}.*ENCODING 'UTF8'"):
        open_store(postgres_server.url(name))


@pytest.mark.postgres
def test_a_client_of_another_encoding_reads_utf_8(postgres_server, monkeypatch):
    monkeypatch.setenv("PGCLIENTENCODING", "latin1")
    with opened(postgres_server.new_database()) as engine, engine.begin() as connection:
        assert connection.execute(text("SELECT 'हिन्दी'")).scalar() == "हिन्दी"
