"""What the documentation tells people to type is there."""

import re
from pathlib import Path

import click
import pytest

from planner.cli.main import cli
from runner.cli import register

PAGES = sorted((Path(__file__).resolve().parents[1] / "docs").glob("*.md"))


def commands(page: Path) -> list[list[str]]:
    found = re.findall(r"^soundscale ([^#\n]*)", page.read_text(), re.MULTILINE)
    return [line.split() for line in found]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_and_option_of_a_page_exists(page):
    runner = click.Group("runner")
    register(runner)
    assert commands(page)
    for words in commands(page):
        context = click.Context(cli)
        command = runner.commands.get(words[0]) or cli.get_command(context, words[0])
        if isinstance(command, click.Group):
            command = command.get_command(context, words[1])
        assert command is not None, words
        known = {name for option in command.params for name in option.opts}
        assert {word for word in words if word.startswith("--")} <= known, words
