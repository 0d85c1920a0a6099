"""What every command shares: the database option, output formats, quantities as click types.

Imports click and the standard library only, and of that what `--help` needs: csv and json are
imported by what prints them (12 of 120 ms).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar

import click

from planner.errors import InputError, SoundscaleError
from planner.report.tables import cell, number_columns, plain_table, within
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
    """Text for people, on stdout; what would steer their terminal is shown, not sent.

    On a terminal a line that is wider than it goes on in the next one, broken between words.
    """
    clean = shown(text)
    click.echo(within(clean, terminal_columns()) if sys.stdout.isatty() else clean)


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


def terminal_columns() -> int:
    """Columns of the terminal: $COLUMNS, else what the terminal says, else 80 (a pipe has none)."""
    import shutil

    return shutil.get_terminal_size((80, 24)).columns


def is_terminal() -> bool:
    """Whether stdout is a terminal that wants colour (NO_COLOR is respected)."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


def echo_rows(
    rows: Sequence[Mapping[str, Any]],
    output_format: str,
    columns: Sequence[tuple[str, str]] | None = None,
    *,
    empty: str = "nothing to list",
    drop: Sequence[str] = (),
) -> None:
    """Print rows in the format asked for.

    Args:
        rows: mappings of plain values, already in their units.
        output_format: one of FORMATS.
        columns: (key, heading) of the table's columns; the other formats carry every key.
        empty: what to say on stderr when there is no row.
        drop: headings that a narrow terminal goes without first.
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
        cells = [[cell(r.get(k)) for k, _ in wanted] for r in rows]
        echo_table([h for _, h in wanted], cells, drop=drop)


STREAMED = ("json", "jsonl", "csv")
"""Formats that a list of any length is printed in while it is read."""


def echo_pages(pages: Iterable[Sequence[Mapping[str, Any]]], output_format: str) -> None:
    """Print a long list page by page, as `echo_rows` prints it whole; all rows have the first one's keys.

    Args:
        pages: the rows, a page after the other.
        output_format: one of STREAMED.
    """
    import json

    written = 0
    for rows in pages:
        if output_format == "csv":
            text = _csv_text(rows)
            text = text if written == 0 else text.partition("\n")[2]
            click.echo(shown(text) if sys.stdout.isatty() else text, nl=False)
        elif output_format == "jsonl":
            echo_rows(rows, "jsonl")
        else:
            # As one document: the text of a list with its rows two places in.
            texts = (json.dumps(row, indent=2, ensure_ascii=False, allow_nan=False) for row in rows)
            text = ",\n  ".join(text.replace("\n", "\n  ") for text in texts)
            click.echo(shown_json(("[\n  " if written == 0 else ",\n  ") + text), nl=False)
        written += len(rows)
    if output_format == "json":
        click.echo("\n]" if written else "[]")


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


def echo_table(
    headings: Sequence[str], rows: Sequence[Sequence[str]], *, drop: Sequence[str] = ()
) -> None:
    """A table on stdout: rich on a terminal (plain there where NO_COLOR is set), aligned plain text elsewhere.

    On a terminal no word is broken: where the longest words of all columns are wider than it, columns
    go, and a line on stderr names them.

    Args:
        headings: of the columns; the first names the row and stays.
        rows: their cells.
        drop: headings that go first, in this order; then others go from the right.
    """
    if not sys.stdout.isatty():
        echo(plain_table(headings, rows))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    widths = _least_widths(headings, rows)
    shown = columns_within(dict(zip(headings, widths, strict=True)), terminal_columns(), drop)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    right = number_columns(rows) or [False] * len(headings)
    kept = [i for i, heading in enumerate(headings) if heading in shown]
    natural = [max(len(str(c)) for c in column) for column in zip(headings, *rows, strict=True)]
    room = terminal_columns() - _EDGES - _COLUMN_GAP * (len(kept) - 1)
    given = spread_over([widths[i] for i in kept], [natural[i] for i in kept], room)
    for i, width in zip(kept, given, strict=True):
        justify: Literal["left", "right"] = "right" if right[i] else "left"
        table.add_column(headings[i], width=width, justify=justify)
    for row in rows:
        table.add_row(*(Text(str(row[i])) for i in kept))
    Console(width=terminal_columns(), color_system="auto" if is_terminal() else None).print(table)
    left = [heading for heading in headings if heading not in shown]
    if left:
        talk(f"too narrow for: {', '.join(left)}; a wider terminal shows them, -f json has all")


_COLUMN_GAP = 3
"""Columns between two of rich's SIMPLE_HEAD without outer padding: one on either side of a blank line."""
_EDGES = 2
"""Columns of the outer borders, which are blank."""


def columns_within(widths: Mapping[str, int], room: int, drop: Sequence[str]) -> list[str]:
    """The headings that fit into `room`: those of `drop` go first, then others from the right.

    >>> columns_within({"run": 3, "reduction": 9, "error": 6}, 15, ["reduction"])
    ['run', 'error']
    """
    first, *others = widths
    order = [h for h in drop if h in others]
    order += [h for h in reversed(others) if h not in drop]
    kept = [first, *others]
    while order and sum(widths[h] + _COLUMN_GAP for h in kept) - _COLUMN_GAP + _EDGES > room:
        kept.remove(order.pop(0))
    return kept


def spread_over(least: Sequence[int], natural: Sequence[int], room: int) -> list[int]:
    """Widths between the least and the natural ones: what is left of `room` goes a column at a time.

    >>> spread_over([3, 5, 8], [3, 20, 8], 24)
    [3, 13, 8]
    """
    widths = list(least)
    wanting = [i for i in range(len(widths)) if widths[i] < natural[i]]
    while wanting and sum(widths) < room:
        widths[wanting[0]] += 1
        wanting = [i for i in (*wanting[1:], wanting[0]) if widths[i] < natural[i]]
    return widths


def _least_widths(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """Of each column the width of its longest word, so that no id is broken; a number keeps its unit beside it."""
    columns = zip(headings, *rows, strict=True)
    words = [max(len(w) for c in column for w in [*str(c).split(), ""]) for column in columns]
    whole = [max(len(str(c)) for c in column) for column in zip(*rows, strict=True)]
    numbers = number_columns(rows)
    return [max(w, n) if right else w for w, n, right in zip(words, whole, numbers, strict=True)]
