"""What the shell completes, and where settings come from."""

import json
import os
import subprocess
import sys

import pytest

from planner.cli import completion
from tests.notebooks.conftest import quickstart_db

__all__ = ["quickstart_db"]


def completed(words, db):
    environment = {
        **os.environ, "SOUNDSCALE_DB": str(db), "_SOUNDSCALE_COMPLETE": "bash_complete",
        "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1),
    }  # fmt: skip
    code = "import sys; sys.argv[0] = 'soundscale'; from planner.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_names_come_from_the_database(quickstart_db):
    assert completed("soundscale plan --device ", quickstart_db) == ["amd-epyc-1t"]
    assert completed("soundscale runs show 1", quickstart_db) == ["12", "11", "10", "1"]


def test_a_database_that_is_not_there_or_damaged_completes_to_nothing(tmp_path):
    damaged = tmp_path / "damaged.db"
    damaged.write_text("x" * 5000)
    for db in (tmp_path / "none.db", damaged, "postgresql://nobody@nowhere/x"):
        assert completion.names("SELECT name FROM devices", str(db)) == []
    assert list(tmp_path.iterdir()) == [damaged]


def test_a_query_that_would_take_long_is_ended(quickstart_db):
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    assert completion.names(endless, str(quickstart_db)) == []


@pytest.mark.parametrize(
    ("option", "variable", "origin", "value"),
    [
        ("a.db", "b.db", "option --db", "sqlite:///a.db"),
        (None, "postgresql://me:secret@host/x", "environment SOUNDSCALE_DB", "postgresql://me:***@host/x"),
        (None, None, "default", "sqlite:///soundscale.db"),
    ],
    ids=["option", "environment", "default"],
)  # fmt: skip
def test_config_says_where_the_database_was_named(
    option, variable, origin, value, monkeypatch, tmp_path
):
    from click.testing import CliRunner

    from planner.cli.main import cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SOUNDSCALE_DB", raising=False)
    monkeypatch.setattr("planner.store.engine.exists", lambda url: False)
    if variable:
        monkeypatch.setenv("SOUNDSCALE_DB", variable)
    given = ["--db", option] if option else []
    done = CliRunner().invoke(cli, ["config", "show", "--origin", "-f", "json", *given])
    found = {row["setting"]: row for row in json.loads(done.stdout)}["db"]
    assert (found["origin"], found["value"]) == (origin, f"{value} (not there yet)")
