"""Workers that cannot reach the database: their own fault or their link's, not the campaign's.

A node whose link was cut for longer than a worker waits for its database tells the driver so as soon as
the link is back. By then its trial's lease has run out, and others may have trained it: the campaign goes
on. Where the database itself is away, the driver hears of it from its own next statement.
"""

from __future__ import annotations

from collections.abc import Callable

from planner.errors import StoreError

MOST_IN_A_ROW = 10
"""Workers that could not reach it, with no trial ended in between, before it counts as everybody's (assumption)."""


def kind_of(problem: StoreError) -> str:
    """Kind of a worker's outcome: `cut-off` where another worker may well reach the database, else `unstored`."""
    from sqlalchemy.exc import DBAPIError

    from planner.store.transactions import transient

    cause = problem.__cause__
    return "cut-off" if isinstance(cause, DBAPIError) and transient(cause) else "unstored"


class CutOff:
    """Counts such workers.

    Args:
        say: told of each, in a line.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._n_in_a_row = say, 0

    def told(self, kind: str, text: str) -> None:
        """An outcome of a worker.

        Raises:
            StoreError: the database cannot take a result, or `MOST_IN_A_ROW` could not reach it.
        """
        if kind in ("finished", "failed", "retry"):
            self._n_in_a_row = 0
        if kind == "cut-off":
            self._n_in_a_row += 1
            self._say(f"{text}; its trial runs again when its lease is over")
        if kind == "unstored" or self._n_in_a_row > MOST_IN_A_ROW:
            raise StoreError(text)
