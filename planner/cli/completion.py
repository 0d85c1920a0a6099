"""Names from the database, for the shell's completion: read only, the standard library alone, 200 ms.

A database that is not there, is busy or is PostgreSQL (a connection takes longer than a key press may)
completes to nothing.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from typing import Any

import click
from click.shell_completion import CompletionItem

MAX_SECONDS = 0.2
MAX_NAMES = 200
VARIABLE = "_SOUNDSCALE_COMPLETE"

_QUERIES = {
    "device": "SELECT name FROM devices",
    "backbone": "SELECT DISTINCT backbone FROM trials",
    "backbones": "SELECT DISTINCT backbone FROM trials",
    "dataset": "SELECT DISTINCT dataset FROM trials",
    "adaptation": "SELECT DISTINCT adaptation FROM trials",
    "answer_id": "SELECT answer_id FROM plans ORDER BY created_utc DESC",
    "fit_id": "SELECT fit_id FROM law_fits ORDER BY created_utc DESC",
    "run_id": "SELECT run_id FROM runs ORDER BY run_id DESC",
    "sweep": "SELECT name FROM sweeps",
}
"""Parameter of a command -> the names that it takes."""
_FIXED = {"task": ("asr", "emotion")}


def attach(command: click.Command) -> None:
    """Give a command's parameters, and its subcommands', the names of the database."""
    for parameter in command.params:
        if parameter.name in _QUERIES or parameter.name in _FIXED:
            # An instance's own method, as `shell_complete` cannot be given after it was made.
            setattr(parameter, "shell_complete", _completer(parameter.name))  # noqa: B010
    if isinstance(command, click.Group):
        for child in command.commands.values():
            attach(child)


def _completer(name: str) -> Any:
    def complete(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        found = _FIXED.get(name) or names(_QUERIES[name], ctx.params.get("db"))
        return [CompletionItem(n) for n in found if n.startswith(incomplete)]

    return complete


def names(query: str, db: str | None) -> list[str]:
    """First column of a query of a SQLite database; nothing on any trouble."""
    given = db or os.environ.get("SOUNDSCALE_DB") or "soundscale.db"
    path = given.removeprefix("sqlite:///")
    if "://" in path or not os.path.isfile(path):
        return []
    deadline = time.monotonic() + MAX_SECONDS
    quoted = os.path.abspath(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    try:
        with closing(sqlite3.connect(f"file:{quoted}?mode=ro", uri=True, timeout=0.1)) as open_db:
            open_db.set_progress_handler(lambda: time.monotonic() > deadline, 1000)
            return [str(row[0]) for row in open_db.execute(query).fetchmany(MAX_NAMES)]
    except sqlite3.Error:
        return []
