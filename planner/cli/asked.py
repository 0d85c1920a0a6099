"""Options of commands, made from the one description of what can be asked (planner.words.question)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import click

from planner.cli.options import Command, Quantity
from planner.words.asked import READERS, Asked, named
from planner.words.question import CONFIGURATION, STUDY, PlanQuery


class Described(click.Option):
    """An option that also goes by the names of earlier versions, which no help text shows."""

    def __init__(self, *given: Any, old: tuple[str, ...] = (), **named: Any) -> None:
        super().__init__(*given, **named)
        self._old = old

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Like click's, with the old names; help, errors and completion read `opts` and see none."""
        shown = self.opts
        self.opts = [*shown, *self._old]
        try:
            super().add_to_parser(parser, ctx)
        finally:
            self.opts = shown


def _type(one: Asked) -> Any:
    if one.kind in READERS:
        return Quantity(one.kind, READERS[one.kind])
    if one.kind == "choice":
        return click.Choice(list(one.choices))
    if one.kind == "lines":
        return click.Path(exists=True, dir_okay=False)
    return float if one.kind == "number" else str


def option(
    one: Asked, parameter: str | None = None, **changes: Any
) -> Callable[[Command], Command]:
    """The option of one field.

    Args:
        one: what is asked.
        parameter: how the command calls its value; the field's name where nothing is said.
        changes: what differs in this command, as click names it: `multiple=True`, `help=…`.
    """
    own: dict[str, Any] = {
        "type": _type(one), "default": one.default, "required": one.needed, "help": one.help,
        # A quantity with a unit says its default in its help, in that unit.
        "show_default": one.kind not in READERS,
    }  # fmt: skip
    if one.kind == "flag":
        own = {"is_flag": True, "help": one.help}
    if one.default is None or changes.get("multiple") or one.kind == "lines":
        own.pop("default", None)
    own |= changes
    if own.get("required"):
        # To click a default of None is a value, and what has one is never missing.
        own.pop("default", None)
    return click.option(one.option, parameter or one.name, cls=Described, old=one.old, **own)


def levels(name: str, parameter: str, help: str) -> Callable[[Command], Command]:
    """The option of one axis of a configuration, which may be given several times."""
    one = named(CONFIGURATION, name)
    return option(one, parameter, multiple=True, required=False, help=help, show_default=False)


def options(fields: Iterable[Asked]) -> Callable[[Command], Command]:
    """A decorator that gives a command the options of all those fields, in their order."""

    def decorate(command: Command) -> Command:
        for one in reversed(list(fields)):
            # A group that has subcommands cannot need it; `query_of` asks for it.
            late: dict[str, Any] = {}
            if one.name == "task":
                late = {"required": False, "help": f"{one.help}  [required]"}
            if one.name == "hours":
                # What is to be spent is said by who spends it; over HTTP nothing is started.
                late = {"required": True, "default": None}
            command = option(one, **late)(command)
        return command

    return decorate


def study_options(command: Command) -> Command:
    """Which runs a law is learned from."""
    for name in ("test_set", "adaptation", "dataset", "source", "task"):
        command = option(named(STUDY, name))(command)
    return command


def query_of(values: dict[str, Any]) -> PlanQuery:
    """The question of a command's options; a missing task is a usage error."""
    if values["task"] is None:
        raise click.UsageError("missing option --task: say asr or emotion")
    path = values.pop("candidates", None)
    lines = () if path is None else _candidate_lines(path)
    return PlanQuery(**values, candidates=lines)


def _candidate_lines(path: str) -> tuple[str, ...]:
    """The configurations of a file: one a line, a header and `#` comments left out."""
    from pathlib import Path

    from planner.errors import InputError
    from planner.words.table_text import text_of

    lines = [s.strip() for s in text_of(Path(path)).splitlines()]
    listed = tuple(s for s in lines if s and not s.startswith(("#", "backbone,")))
    if not listed:
        raise InputError(f"{path} lists no configuration; write backbone,audio_seconds,reduction")
    return listed
