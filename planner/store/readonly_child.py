"""One read-only query of a SQLite file, in a process of its own: `python -I -S readonly_child.py`.

Imports the standard library alone. Reads one JSON request from stdin and writes one JSON answer to
stdout. What holds a statement back, from the outside in:

- the process has limits on memory, CPU and file size, and the parent kills it after the time limit
  (a single function call such as a hostile LIKE cannot be interrupted from inside SQLite);
- the connection is opened `mode=ro` with `query_only` and small limits on lengths and depth;
- an authorizer allows SELECT on the tables and views of the file, and nothing else: `mode=ro` alone
  would let ATTACH create files and PRAGMA change the connection;
- a progress handler ends it at the time limit, and rows and bytes of the answer are counted.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sqlite3
import sys
import time
from collections.abc import Callable
from typing import Any

MEMORY_BYTES = 1 << 30
"""Address space of the process (assumption: a sort of a million runs takes a tenth of it)."""
FILE_BYTES = 256 << 20
"""Largest temporary file of a sort."""
VALUE_BYTES = 2_000_000
"""Longest string, blob or row; a stored fit has at most some 100 kB."""
HANDLER_STEPS = 1000

ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE}
SECRET_TABLES = {"api_tokens"}
VIRTUAL_TABLES = ("json_each", "json_tree")
CATALOGUE_TABLES = ("sqlite_master", "sqlite_schema")
REFUSED_FUNCTIONS = {
    "load_extension", "readfile", "writefile", "edit", "fts3_tokenizer", "sqlite_log", "zeroblob",
    "randomblob", "sqlite_compileoption_get", "sqlite_compileoption_used", "sqlite_source_id",
}  # fmt: skip


def limit_process(cpu_seconds: int) -> None:
    """Bounds that hold whatever SQLite does."""
    for name, value in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, cpu_seconds),
    ):
        # macOS refuses a bound on the address space; the other bounds and the parent's clock stay.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(name, (value, value))


def authorizer(modules: set[str]) -> Callable[..., int]:
    """Allow SELECT on ordinary tables and views; deny everything else, whatever the text looks like.

    Names of virtual-table modules are denied too: `sqlite_dbpage` reads raw pages of the file. What is
    left is a real table, or a name that the statement itself defines (WITH).
    """

    def readable(name: str) -> bool:
        if name in VIRTUAL_TABLES or name in CATALOGUE_TABLES:
            return True
        hidden = name in SECRET_TABLES or name in modules
        return not hidden and not name.startswith(("sqlite_", "pragma_"))

    def decide(
        action: int, first: str | None, second: str | None, database: object, trigger: object
    ) -> int:
        if action in ALLOWED:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_READ and readable((first or "").lower()):
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() not in REFUSED_FUNCTIONS:
            return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_DENY

    return decide


def opened(uri: str, deadline: float) -> sqlite3.Connection:
    """A connection that can read and do nothing else; the URI says `mode=ro`."""
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=1)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cache_size = -8000")
    modules = {str(row[0]).lower() for row in connection.execute("PRAGMA module_list")}
    for name in VIRTUAL_TABLES:
        # A virtual table is declared at its first use, which the authorizer would refuse.
        connection.execute(f"SELECT count(*) FROM {name}('[]')").fetchone()
    for limit, value in (
        (sqlite3.SQLITE_LIMIT_LENGTH, VALUE_BYTES),
        (sqlite3.SQLITE_LIMIT_SQL_LENGTH, 20_000),
        (sqlite3.SQLITE_LIMIT_COLUMN, 200),
        (sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 100),
        (sqlite3.SQLITE_LIMIT_COMPOUND_SELECT, 20),
        (sqlite3.SQLITE_LIMIT_FUNCTION_ARG, 20),
        (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
        (sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 200),
        (sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 1),
    ):
        connection.setlimit(limit, value)
    connection.set_progress_handler(lambda: time.monotonic() > deadline, HANDLER_STEPS)
    connection.set_authorizer(authorizer(modules))
    return connection


def plain(value: Any) -> Any:
    """A cell that JSON can carry: bytes as hex, what is not finite as text."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    return value


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Columns and rows of the query, or what was wrong with it."""
    started = time.monotonic()
    deadline = started + request["max_seconds"]
    connection = opened(request["uri"], deadline)
    # The parent's clock starts here: it kills a statement that the handler cannot end.
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    cursor = connection.execute(request["sql"])
    if cursor.description is None:
        return {"error": "refused", "message": "not a statement that gives rows"}
    columns = [d[0] for d in cursor.description]
    rows: list[list[Any]] = []
    size, truncated = 0, False
    for row in cursor:
        if len(rows) >= request["max_rows"] or size > request["max_bytes"]:
            truncated = True
            break
        cells = [plain(v) for v in row]
        size += sum(len(c) if isinstance(c, str) else 8 for c in cells)
        rows.append(cells)
    elapsed = 1000 * (time.monotonic() - started)
    return {"columns": columns, "rows": rows, "truncated": truncated, "elapsed_ms": elapsed}


def main() -> None:
    """One request, one answer."""
    request = json.loads(sys.stdin.readline())
    limit_process(int(request["max_seconds"]) + 2)
    try:
        found = answer(request)
    except (sqlite3.Error, sqlite3.Warning, MemoryError, OverflowError, ValueError) as problem:
        kind = "timeout" if "interrupted" in str(problem) else "refused"
        if isinstance(problem, MemoryError):
            kind = "memory"
        found = {"error": kind, "message": str(problem).split("\n")[0] or type(problem).__name__}
    sys.stdout.write(json.dumps(found))
    sys.stdout.flush()
    # No clean-up: a hostile statement must not hold the process in a finaliser.
    os._exit(0)


if __name__ == "__main__":
    main()
