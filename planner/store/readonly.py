"""Questions in SQL that cannot change anything: for `soundscale db query` and the page `/sql`.

A statement is never judged by its text. On SQLite it runs in a process of its own behind an
authorizer, limits and a clock (`readonly_child.py`). On PostgreSQL it is the query of a cursor (which
takes one SELECT alone) in a read-only transaction with a statement timeout, rolled back at the end;
for other people's statements the role must be one that can do nothing but read.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import make_url

from planner.errors import InputError, StoreError
from planner.store.engine import resolve_url, sqlite_path
from planner.store.read_only import sqlite_uri

MAX_ROWS = 1000
MAX_SECONDS = 1.0
MAX_BYTES = 4_000_000
"""Largest answer: rows beyond it are left out, and said to be."""
MAX_SQL_CHARACTERS = 20_000

GRACE_SECONDS = 0.02
"""How long past its limit a process may take to say that it was interrupted, before it is killed."""
START_SECONDS = 10.0

_CHILD = Path(__file__).with_name("readonly_child.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryResult:
    """What a statement gave; `truncated` when rows or bytes beyond the limits were left out."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    truncated: bool
    elapsed_ms: float

    def to_rows(self) -> list[dict[str, Any]]:
        """Rows by column name; a name that comes twice gets a number."""
        names: list[str] = []
        for column in self.columns:
            n = sum(1 for c in names if c.split("#")[0] == column)
            names.append(column if n == 0 else f"{column}#{n + 1}")
        return [dict(zip(names, row, strict=True)) for row in self.rows]


def query(
    db: str | None,
    sql: str,
    *,
    max_rows: int = MAX_ROWS,
    max_seconds: float = MAX_SECONDS,
    trusted: bool = True,
) -> QueryResult:
    """The rows of one SELECT.

    Args:
        db: database URL, as everywhere.
        sql: one statement that gives rows.
        max_rows: rows beyond these are left out.
        max_seconds: after so long the statement is ended.
        trusted: whether the statement is the database owner's own; False (the HTTP service) demands
            a PostgreSQL role that can read alone.

    Raises:
        InputError: the statement is refused or wrong, or took too long.
        StoreError: the database cannot be opened, or the role may do more than read.
    """
    if not sql.strip():
        raise InputError("the SQL statement is empty; e.g. SELECT * FROM v_results LIMIT 10")
    if len(sql) > MAX_SQL_CHARACTERS:
        raise InputError(
            f"the SQL statement has {len(sql)} characters, at most {MAX_SQL_CHARACTERS} are taken"
        )
    if "\x00" in sql:
        raise InputError("the SQL statement holds a NUL character; remove it")
    url = resolve_url(db)
    if url.startswith("sqlite"):
        return _ask_sqlite(url, sql, max_rows, max_seconds)
    from planner.store import readonly_postgresql

    answer = readonly_postgresql.ask(
        url, sql, max_rows=max_rows, max_seconds=max_seconds, max_bytes=MAX_BYTES, trusted=trusted
    )
    return _result(answer, max_seconds)


def _ask_sqlite(url: str, sql: str, max_rows: int, max_seconds: float) -> QueryResult:
    path = sqlite_path(make_url(url))
    if not path.is_file():
        raise StoreError(f"there is no database at {path}; name another with --db")
    request = {
        "uri": sqlite_uri(path) or f"file:{quote(str(path.resolve()))}?mode=ro",
        "sql": sql,
        "max_rows": max_rows,
        "max_seconds": max_seconds,
        "max_bytes": MAX_BYTES,
    }
    return _result(_in_child(request, max_seconds), max_seconds)


def _result(answer: dict[str, Any], max_seconds: float) -> QueryResult:
    if "error" in answer:
        raise _refused(answer, max_seconds)
    return QueryResult(
        columns=tuple(answer["columns"]),
        rows=tuple(tuple(r) for r in answer["rows"]),
        truncated=answer["truncated"],
        elapsed_ms=answer["elapsed_ms"],
    )


def _in_child(request: dict[str, Any], max_seconds: float) -> dict[str, Any]:
    command = [sys.executable, "-I", "-S", str(_CHILD)]
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(json.dumps(request).encode() + b"\n")
        child.stdin.close()
        answer = _read_until(child.stdout.fileno(), START_SECONDS, b"\n")
        if answer.startswith(b"ready\n"):
            answer = answer[len(b"ready\n") :]
            answer += _read_until(child.stdout.fileno(), max_seconds + GRACE_SECONDS, None)
        told: dict[str, Any] = json.loads(answer)
        return told
    except TimeoutError:
        return {"error": "timeout"}
    except ValueError:
        return {"error": "memory"}
    finally:
        child.kill()
        child.wait()
        if child.stdout is not None:
            child.stdout.close()


def _read_until(descriptor: int, seconds: float, end: bytes | None) -> bytes:
    """Bytes of a pipe up to its end, or to the first chunk with `end` in it.

    Raises:
        TimeoutError: they did not come in time.
    """
    deadline = time.monotonic() + seconds
    out = b""
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            raise TimeoutError
        chunk = os.read(descriptor, 1 << 20)
        out += chunk
        if not chunk or (end is not None and end in out):
            return out
        # The answer has begun: the statement is done, only its bytes are still under way.
        deadline = max(deadline, time.monotonic() + 1.0)


def _refused(answer: dict[str, Any], max_seconds: float) -> InputError:
    if answer["error"] == "timeout":
        return InputError(
            f"the SQL statement was ended after {max_seconds:g} s; select less, or add a LIMIT"
        )
    if answer["error"] == "memory":
        return InputError("the SQL statement needs more memory than it may have; select less")
    message = answer["message"]
    remedy = "one SELECT on the tables and views is all that is taken"
    if "no such" in message:
        remedy = "SELECT name FROM sqlite_master lists the tables and views"
    return InputError(f"the SQL statement is refused: {message}; {remedy}")
