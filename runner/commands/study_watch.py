"""`study watch`: a study from the database, until it ends; on a terminal in place, else line by line."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, TextIO

from planner.cli.options import talk
from planner.report.study_progress import progress_line, watched_text
from planner.service.study_progress import progress
from planner.store.engine import opened

if TYPE_CHECKING:
    from collections.abc import Iterator

Show = Callable[[dict[str, Any]], None]


def follow(
    db: str | None, name: str, seconds: float, stream: TextIO | None = None,
    wait: Callable[[float], object] = time.sleep,
) -> dict[str, Any]:  # fmt: skip
    """Show the study until it has ended; how it ended (`planner.service.study_progress`).

    Args:
        db: the database.
        name: of the study.
        seconds: between two looks.
        stream: where a screen is drawn, if it is a terminal; None: stderr.
        wait: called with the seconds.

    Raises:
        UnknownNameError: there is no such study.
    """
    to = sys.stderr if stream is None else stream
    live: AbstractContextManager[Show] = _in_place(to) if to.isatty() else nullcontext(_by_line())
    with opened(db, must_exist=True) as engine, live as show:
        while True:
            found = progress(engine, name)
            show(found)
            if found["state"] == "ended":
                return found
            wait(seconds)


def _by_line() -> Show:
    """A line whenever it is another one."""
    said: list[str] = []

    def show(found: dict[str, Any]) -> None:
        line = progress_line(found)
        if said[-1:] != [line]:
            said.append(line)
            talk(line)

    return show


@contextmanager
def _in_place(stream: TextIO) -> Iterator[Show]:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(file=stream)
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        yield lambda found: live.update(Text(watched_text(found, console.width)), refresh=True)
