"""Pages of long lists by their keys: never by OFFSET, which a list that grows would shift.

A page ends with the key of its last row; the next one is what sorts after it.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Engine, RowMapping, Table, select, tuple_

from planner.errors import InputError
from planner.store import schema
from planner.store.row_types import FitRow, PlanRow
from planner.store.transactions import read


def fits(
    engine: Engine, *, task: str | None, limit: int, after: str | None
) -> tuple[list[FitRow], str | None]:
    """Stored fits without their runs, oldest first; and the key of the next page, if there is one."""
    table = schema.law_fits
    where = [] if task is None else [table.c.task == task]
    rows, following = _page(
        engine, table, (table.c.created_utc, table.c.fit_id), where, limit, after
    )
    return [FitRow(**row) for row in rows], following


def plans(
    engine: Engine, *, task: str | None, limit: int, after: str | None
) -> tuple[list[PlanRow], str | None]:
    """Stored answers, oldest first; and the key of the next page, if there is one."""
    table = schema.plans
    where = [] if task is None else [table.c.task == task]
    keys = (table.c.created_utc, table.c.answer_id)
    rows, following = _page(engine, table, keys, where, limit, after)
    return [PlanRow(**row) for row in rows], following


def _page(
    engine: Engine,
    table: Table,
    keys: Sequence[Column[Any]],
    where: Sequence[Any],
    limit: int,
    after: str | None,
) -> tuple[list[RowMapping], str | None]:
    query = select(table).where(*where).order_by(*keys).limit(limit + 1)
    if after is not None:
        query = query.where(tuple_(*keys) > tuple_(*decoded(after, len(keys))))
    rows = read(engine, lambda c: list(c.execute(query).mappings().all()))
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1]
    return rows[:limit], encoded([last[k.name] for k in keys])


def encoded(key: Sequence[str]) -> str:
    """A key as an opaque word that fits into a URL."""
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def decoded(word: str, n: int) -> list[str]:
    """The key of such a word.

    Raises:
        InputError: it is not one that `encoded` gave.
    """
    try:
        key = json.loads(base64.urlsafe_b64decode(word + "=" * (-len(word) % 4)))
    except (ValueError, binascii.Error):
        key = None
    good = isinstance(key, list) and len(key) == n
    if not good or not all(isinstance(k, str) and k.isprintable() for k in key):
        raise InputError(
            f"after {word[:40]!r} is not a page's key; take `next` of the page before it"
        )
    return [str(k) for k in key]
