"""The database's clock, in SQL: leases and times never come from a worker's clock.

Both are the wall clock at the moment the statement runs (`clock_timestamp()`, not the start of the
transaction), so that waiting for a lock does not make a lease older than it is.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Double, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

# julianday is as fine as 40 us in a double; unixepoch('subsec') would need SQLite 3.42.
_SQLITE_SECONDS = "((julianday('now') - 2440587.5) * 86400.0)"
_SQLITE_UTC = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
_POSTGRES_SECONDS = "(extract(epoch from clock_timestamp())::double precision)"
_POSTGRES_UTC = """to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""


class NowSeconds(FunctionElement[float]):
    """Seconds since 1970 by the database's clock."""

    type = Double()
    inherit_cache = True


class NowUtc(FunctionElement[str]):
    """ISO 8601 in UTC with milliseconds by the database's clock."""

    type = Text()
    inherit_cache = True


def _text(sqlite: str, postgres: str, compiler: SQLCompiler) -> str:
    if compiler.dialect.name == "sqlite":
        # The driver reads % as the start of a parameter nowhere but on PostgreSQL.
        return sqlite
    return postgres


@compiles(NowSeconds)
def _now_seconds(element: NowSeconds, compiler: SQLCompiler, **kw: Any) -> str:
    return _text(_SQLITE_SECONDS, _POSTGRES_SECONDS, compiler)


@compiles(NowUtc)
def _now_utc(element: NowUtc, compiler: SQLCompiler, **kw: Any) -> str:
    return _text(_SQLITE_UTC, _POSTGRES_UTC, compiler)
