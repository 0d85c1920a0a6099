"""The README's list of commands, made from their help texts: python tests/cli/readme_commands.py."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from planner.cli.main import _LAZY, cli  # noqa: E402

README = ROOT / "README.md"
START, END = "<!-- commands: made by tests/cli/readme_commands.py -->", "<!-- end of commands -->"


def commands(
    command: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, click.Command]]:
    """Every command of the planner that does something, with the words that name it."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in sorted(_LAZY) if command is cli else command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from commands(child, (*path, name))
    if path and (not isinstance(command, click.Group) or command.invoke_without_command):
        yield " ".join(path), command


def examples(command: click.Command) -> list[str]:
    """The examples of a help text."""
    lines = (line.strip() for line in (command.help or "").splitlines())
    return [line for line in lines if line.startswith("soundscale ")]


def block() -> str:
    """The table between the two marks."""
    lines = ["| command | what it does |", "|---|---|"]
    for _, command in sorted(commands(cli)):
        opening = (command.help or "").strip().split("\n\n")[0].replace("\n", " ")
        shown = examples(command)[0].replace("|", "\\|")
        lines.append(f"| `{shown}` | {opening} |")
    return "\n".join([START, *lines, END])


def replaced(text: str) -> str:
    """The README with a fresh block."""
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    return before + block() + after


if __name__ == "__main__":
    README.write_text(replaced(README.read_text(encoding="utf-8")), encoding="utf-8")
