"""Settings from files: below options and the environment, and every value says where it is from."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from planner.cli.main import cli
from tests.cli.test_manners import imported_by

STORED = Path(__file__).parents[1] / "fixtures" / "quickstart.db"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working directory, and a home of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SOUNDSCALE_DB", raising=False)
    (tmp_path / "home" / "soundscale").mkdir(parents=True)
    return tmp_path


def run(*words):
    return CliRunner().invoke(cli, list(words))


def shown(*words):
    """Setting -> (value, origin)."""
    rows = json.loads(run("config", "show", "--origin", "-f", "json", *words).stdout)
    return {r["setting"]: (r["value"], r["origin"]) for r in rows}


def write(here, name, text):
    (here / name).write_text(text)


USER = "home/soundscale/config.toml"


def test_the_nearest_file_wins_and_each_value_names_its_file_and_line(here):
    write(here, USER, 'db = "user.db"\nartifacts = "user"\ndevice = "a10"\n')
    write(here, "pyproject.toml", '[project]\nname = "x"\n[tool.soundscale]\nartifacts = "own"\n')
    write(here, "soundscale.toml", '# ours\ndb = "own.db"\n')
    found = shown()
    assert found["db"] == ("sqlite:///own.db (not there yet)", "soundscale.toml, line 2")
    assert found["artifacts"] == ("own", "pyproject.toml, line 4")
    assert found["device"] == ("a10", f"{here / USER}, line 3")
    assert found["format"] == ("table", "default")


def test_the_environment_wins_over_files_and_an_option_over_both(here, monkeypatch):
    write(here, "soundscale.toml", 'db = "file.db"\n')
    monkeypatch.setenv("SOUNDSCALE_DB", "environment.db")
    assert shown()["db"][1] == "environment SOUNDSCALE_DB"
    assert shown("--db", "o.db")["db"] == ("sqlite:///o.db (not there yet)", "option --db")


def test_commands_take_their_database_and_format_from_a_file(here, monkeypatch):
    shutil.copy(STORED, here / "lab.db")
    run("db", "upgrade", "--db", "lab.db")
    write(here, "soundscale.toml", 'db = "lab.db"\nformat = "csv"\n')
    assert run("runs", "list").stdout.startswith("run_id,")
    assert json.loads(run("runs", "list", "-f", "json").stdout)
    # An answer is no table: `plan` has no CSV and keeps its own default.
    assert "whisper" in run("plan", "--task", "asr", "--flops", "20G").stdout
    monkeypatch.setenv("SOUNDSCALE_DB", "other.db")
    assert "other.db" in str(run("runs", "list").exception)


def test_a_device_in_a_file_is_the_one_that_questions_are_about(here):
    shutil.copy(STORED, here / "lab.db")
    run("db", "upgrade", "--db", "lab.db")
    write(here, "soundscale.toml", 'db = "lab.db"\ndevice = "h900"\n')
    assert "h900" in str(run("plan", "--task", "asr", "--latency", "2s").exception)
    assert run("devices", "list").exit_code == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('device = "a"\nartefacts = "x"\n', "unknown setting 'artefacts'; known: db, artifacts, "
         "device, format (did you mean artifacts?); in settings file soundscale.toml, line 2"),
        ("db = 3\n", "line 1: db must be text in quotes"),
        ('format = "xml"\n', "line 1: format must be one of table, json"),
        ("db = \n", "settings file soundscale.toml is not TOML"),
        ('[db]\nurl = "x"\n', "line 1: db must be text in quotes"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_file_is_one_line_that_names_it(here, text, said):
    write(here, "soundscale.toml", text)
    done = run("runs", "list")
    assert said in str(done.exception)
    assert done.exception.exit_code == 2
    assert "\n" not in str(done.exception)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[tool]\nsoundscale = "x"\n', "soundscale must be a table, as in [tool.soundscale]"),
        ("tool = 3\n# [tool.soundscale]\n", "tool must be a table, as in [tool.soundscale]"),
        ('[tool]\nsoundscale = {formt = "json"}\n', "did you mean format?"),
    ],
)
def test_our_table_of_a_pyproject_may_be_written_in_any_way_but_must_be_one(here, text, said):
    write(here, "pyproject.toml", text)
    done = run("runs", "list")
    assert said in str(done.exception)
    assert done.exception.exit_code == 2


def test_a_pyproject_that_only_depends_on_us_sets_nothing(here):
    write(here, "pyproject.toml", '[project]\nname = "lab"\ndependencies = ["soundscale"]\n')
    assert shown()["db"][1] == "default"


def test_a_file_that_is_not_text_is_refused_and_someone_elses_pyproject_is_not_read(here):
    write(here, "pyproject.toml", "this is [not toml\n")
    assert shown()["db"][1] == "default"
    (here / "soundscale.toml").write_bytes(b"\xff\xfe")
    assert "not UTF-8" in str(run("runs", "list").exception)


def test_a_password_in_a_file_is_masked(here):
    write(here, USER, 'db = "postgresql://me:hunter2@127.0.0.1:1/runs"\n')
    done = run("config", "show", "--origin")
    assert "hunter2" not in done.output
    assert "me:***@127.0.0.1" in done.output


def test_help_does_not_read_the_files(here):
    write(here, "soundscale.toml", "nonsense =\n")
    for words in (["--help"], ["plan", "--help"], ["runs", "list", "-h"]):
        assert run(*words).exit_code == 0
    assert imported_by("--help") == set()
