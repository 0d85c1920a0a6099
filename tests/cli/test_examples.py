"""Every example of a help text, run as it stands, on the database that a quickstart leaves."""

import shutil

import click
import pytest

from planner.cli.main import _LAZY, cli
from tests.cli.docs_tables import PAGES, commands, examples, replaced
from tests.cli.examples import SLOW, fill, run, run_line, whole

SERVES = "serve"
"""Its examples run until they are stopped; tests/http starts real servers."""


COMMANDS = dict(commands(cli))
EXAMPLES = [
    pytest.param(e, marks=[pytest.mark.slow] if any(s in e for s in SLOW) else [])
    for name, c in COMMANDS.items()
    if name != SERVES
    for e in examples(c)
]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_text_has_an_example(name):
    assert examples(COMMANDS[name])


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    fill(folder)
    return folder


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_runs_as_it_stands(example, filled, tmp_path, monkeypatch):
    folder = tmp_path / "here"
    shutil.copytree(filled, folder)
    if "revoke" in example:
        run(["tokens", "add", "ci", "--db", str(folder / "soundscale.db")])
    if " backup" in example and " export " in example:
        shutil.rmtree(folder / "backup")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("SOUNDSCALE_DB", raising=False)
    if "remove --import" in example:
        run(["runs", "import", "results.csv"])
    # Stored texts are scored again by the runner's own command.
    done = run_line(example, whole() if "rescore" in example else cli)
    assert done.exit_code == 0, done.stderr
    assert done.stdout or done.stderr


def test_the_list_of_commands_says_what_each_says_of_itself():
    for name, (_, _, line) in _LAZY.items():
        command = cli.get_command(click.Context(cli), name)
        opening = command.help.strip().split("\n\n")[0].replace("\n", " ")
        assert opening == line, name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_tables_of_the_documentation_say_what_help_says(page):
    assert replaced(page) == page.read_text(encoding="utf-8"), (
        "run: python tests/cli/docs_tables.py"
    )
