"""What every command shares: the database option, output formats, quantities as click types.

Imports click and the standard library only, and of that what `--help` needs: csv and json are
imported by what prints them (12 of 120 ms).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import click

from planner.errors import InputError, SoundscaleError
from planner.report.tables import cell, plain_table
from planner.words.terminal import shown, shown_json

Command = TypeVar("Command", bound=Callable[..., Any])

FORMATS = ("table", "json", "jsonl", "csv", "parquet")
"""Of a listing."""
ANSWER_FORMATS = ("table", "json", "jsonl")
"""Of an answer, which is one document and no table."""


class NewFile(click.Path):
    """A file to be written; its folder has to be there, which is seen before any work."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path; a folder that is not there is a usage error that names it."""
        from pathlib import Path

        path = Path(str(super().convert(value, param, ctx)))
        if not path.parent.is_dir():
            self.fail(
                f"there is no folder {str(path.parent)!r} to write {path.name} into", param, ctx
            )
        return path


class Quantity(click.ParamType[float]):
    """A number with a unit; `reader` turns the text into a float in the base unit."""

    def __init__(self, name: str, reader: Callable[[str], float]) -> None:
        self.name = name
        self.reader = reader

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The value in its base unit; a wrong one is a usage error that names the option."""
        if isinstance(value, (int, float)):
            return float(value)
        try:
            return self.reader(value)
        except SoundscaleError as problem:
            self.fail(str(problem), param, ctx)


def db_option(command: Command) -> Command:
    """`--db URL`: SQLite file or PostgreSQL URL; default $SOUNDSCALE_DB or soundscale.db."""
    return click.option(
        "--db",
        "db",
        metavar="URL",
        default=None,
        help="Database: a file, sqlite:///FILE or postgresql://…  "
        "[default: $SOUNDSCALE_DB or soundscale.db]",
    )(command)


def format_option(formats: Sequence[str] = FORMATS) -> Callable[[Command], Command]:
    """`-f/--format`: `table` for people, `json` and others for programs.

    Args:
        formats: what the command can print; ANSWER_FORMATS where it prints one document.
    """

    def decorate(command: Command) -> Command:
        if "csv" in formats:
            command = click.option(
                "--for-spreadsheet",
                is_flag=True,
                expose_value=False,
                callback=_remember_spreadsheet,
                help="With -f csv: text that a spreadsheet would run as a formula is quoted.",
            )(command)
        return click.option(
            "-f",
            "--format",
            "output_format",
            type=click.Choice(formats),
            default="table",
            show_default=True,
            help="How to print the answer on stdout.",
        )(command)

    return decorate


_FOR_SPREADSHEET = "soundscale.for_spreadsheet"


def _remember_spreadsheet(context: click.Context, option: click.Parameter, value: bool) -> None:
    context.meta[_FOR_SPREADSHEET] = value


def talk(message: str) -> None:
    """One line for people, on stderr."""
    click.echo(shown(message), err=True)


def echo(text: str) -> None:
    """Text for people, on stdout; what would steer their terminal is shown, not sent."""
    click.echo(shown(text))


def echo_json(value: Any) -> None:
    """One JSON document on stdout, on one line where `-f jsonl` was asked for.

    NaN and infinities are refused, as they are not JSON.
    """
    import json

    context = click.get_current_context(silent=True)
    lines = context is not None and context.params.get("output_format") == "jsonl"
    indent = None if lines else 2
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    click.echo(shown_json(text))


def is_terminal() -> bool:
    """Whether stdout is a terminal that wants colour (NO_COLOR is respected)."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


def echo_rows(
    rows: Sequence[Mapping[str, Any]],
    output_format: str,
    columns: Sequence[tuple[str, str]] | None = None,
    *,
    empty: str = "nothing to list",
) -> None:
    """Print rows in the format asked for.

    Args:
        rows: mappings of plain values, already in their units.
        output_format: one of FORMATS.
        columns: (key, heading) of the table's columns; the other formats carry every key.
        empty: what to say on stderr when there is no row.
    """
    if output_format == "json":
        echo_json(list(rows))
    elif output_format == "jsonl":
        import json

        for row in rows:
            click.echo(shown_json(json.dumps(row, ensure_ascii=False, allow_nan=False)))
    elif output_format == "csv":
        text = _csv_text(rows)
        click.echo(shown(text) if sys.stdout.isatty() else text, nl=False)
    elif output_format == "parquet":
        _echo_parquet(rows)
    elif not rows:
        talk(empty)
    else:
        wanted = list(columns or [(k, k) for k in rows[0]])
        echo_table([h for _, h in wanted], [[cell(r.get(k)) for k, _ in wanted] for r in rows])


def _csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    from planner.report.delimited import csv_text

    context = click.get_current_context(silent=True)
    quoted = context is not None and bool(context.meta.get(_FOR_SPREADSHEET))
    names = list(rows[0]) if rows else []
    return csv_text(names, ([row.get(k) for k in names] for row in rows), for_spreadsheet=quoted)


def _echo_parquet(rows: Sequence[Mapping[str, Any]]) -> None:
    if sys.stdout.isatty():
        raise InputError(
            "Parquet is binary and stdout is a terminal; redirect it: … > FILE.parquet"
        )
    from planner.store.parquet import parquet_bytes

    sys.stdout.buffer.write(parquet_bytes(rows))


def echo_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on stdout: rich on a terminal, aligned plain text elsewhere."""
    if is_terminal():
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for i, heading in enumerate(headings):
            # The first column names the row: an id that is broken in two cannot be copied.
            table.add_column(heading, overflow="fold", no_wrap=i == 0)
        for row in rows:
            table.add_row(*(Text(str(value)) for value in row))
        Console().print(table)
        return
    echo(plain_table(headings, rows))
