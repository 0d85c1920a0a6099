"""The documentation's tables of commands and of what can be asked, made from the code.

python tests/cli/docs_tables.py
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from planner.cli.main import _LAZY, cli  # noqa: E402
from planner.words.question import KINDS, Asked  # noqa: E402

START, END = "<!-- commands: made by tests/cli/docs_tables.py -->", "<!-- end of commands -->"
QUESTION_START = "<!-- questions: made by tests/cli/docs_tables.py -->"
QUESTION_END = "<!-- end of questions -->"
UNITS = {"flops": "FLOPs", "latency": "ms", "bytes": "bytes", "error": "a fraction"}
"""Kind of a quantity -> the unit of its range."""


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


def range_of(one: Asked) -> str:
    """What a field may be, and what it is where nothing is said."""
    parts = []
    if one.kind in UNITS:
        parts.append(UNITS[one.kind])
    if one.kind == "choice":
        parts.append(" or ".join(f"`{c}`" for c in one.choices))
    if one.low is not None and one.high is not None:
        parts.append(f"{one.low:g} to {one.high:g}")
    if one.needed:
        parts.append("needed")
    elif one.default not in (None, False, ()):
        parts.append(
            f"default {one.default:g}"
            if isinstance(one.default, float)
            else f"default `{one.default}`"
        )
    return ", ".join(parts)


def question_block() -> str:
    """The table of what can be asked."""
    lines = ["| option | JSON key | asks | what |", "|---|---|---|---|"]
    of: dict[Asked, list[str]] = {}
    seen: list[Asked] = []
    for command, fields in KINDS.items():
        for one in fields:
            if one not in seen:
                seen.append(one)
                of[one] = []
            of[one].append(command)
    everyone = list(KINDS)
    for one in seen:
        asks = "every question" if of[one] == everyone else ", ".join(f"`{c}`" for c in of[one])
        limits = [c for c in everyone if c != "frontier"]
        asks = "every question but `frontier`" if of[one] == limits else asks
        said = one.help.partition("  [default")[0]
        shown = f"{said} ({range_of(one)})" if range_of(one) else said
        value = "" if one.kind == "flag" else f" {one.example}"
        # What a file holds is a command's alone: the service reads no file of the asker's.
        key = "– (a command alone)" if one.kind == "lines" else f"`{one.name}`"
        lines.append(f"| `{one.option}{value}` | {key} | {asks} | {shown} |")
    return "\n".join([QUESTION_START, *lines, QUESTION_END])


PAGES = {
    ROOT / "docs" / "commands.md": (START, END, block),
    ROOT / "docs" / "questions.md": (QUESTION_START, QUESTION_END, question_block),
}
"""A page -> the marks of its table, and what makes it."""


def replaced(page: Path) -> str:
    """The page with a fresh table."""
    start, end, made = PAGES[page]
    before, _, rest = page.read_text(encoding="utf-8").partition(start)
    _, _, after = rest.partition(end)
    return before + made() + after


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(replaced(path), encoding="utf-8")
