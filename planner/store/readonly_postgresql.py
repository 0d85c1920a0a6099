"""One read-only query of PostgreSQL: see `readonly.py`.

The statement becomes the sub-query of a cursor: DECLARE takes one SELECT and nothing else, and the
extended protocol takes one statement alone. The transaction is READ ONLY, each fetch has what is
left of the time limit as its `statement_timeout`, long values are cut on the server, and all of it is
rolled back. Other people's statements (`trusted=False`) also need a role that can only read.
"""

from __future__ import annotations

import time
from typing import Any

from planner.errors import StoreError
from planner.store.engine import connect, redacted

_FIXED_TYPES = frozenset((16, 20, 21, 23, 26, 700, 701, 1082, 1083, 1114, 1184, 1700))
"""OIDs of bool, int8, int2, int4, oid, float4, float8, date, time, timestamp(tz), numeric (pg_type.dat):
short values, which pass as they are."""
_VALUE_CHARACTERS = 100_000
_BATCH = 50

_DANGEROUS_ROLES = (
    "pg_read_server_files", "pg_write_server_files", "pg_execute_server_program",
    "pg_signal_backend", "pg_write_all_data", "pg_checkpoint", "pg_maintain",
    "pg_create_subscription",
)  # fmt: skip

_WRITING_FUNCTIONS = (
    "lo_creat", "lo_create", "lo_from_bytea", "lo_open", "lo_put", "lo_truncate", "lo_truncate64",
    "lo_unlink", "lowrite", "pg_logical_emit_message",
)  # fmt: skip
"""What writes in a read-only transaction: large objects (until PostgreSQL 16) and messages in the log."""

# One row for each thing that the role may do beyond reading, with the role through which it may: itself
# or one that it is a member of, however far away. A member that does not inherit can still SET ROLE.
_MAY_DO_MORE = f"""
WITH reached AS (SELECT * FROM pg_roles WHERE pg_has_role(session_user, oid, 'MEMBER')),
relations AS (
    SELECT c.oid, c.relname, c.relowner, n.nspname FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'v', 'p', 'm', 'f')
    AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_t')
SELECT rolname, 'is an administrator' FROM reached
WHERE rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls
UNION ALL SELECT rolname, 'is a server role' FROM reached
WHERE rolname IN ({", ".join(f"'{r}'" for r in _DANGEROUS_ROLES)})
UNION ALL SELECT rolname, 'can write ' || min(relname) FROM reached, relations
WHERE NOT rolsuper AND (relowner = reached.oid
    OR has_table_privilege(reached.oid, relations.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
    OR has_any_column_privilege(reached.oid, relations.oid, 'INSERT, UPDATE')) GROUP BY rolname
UNION ALL SELECT rolname, 'can read api_tokens' FROM reached, relations
WHERE NOT rolsuper AND relname = 'api_tokens' AND nspname = 'public'
AND has_any_column_privilege(reached.oid, relations.oid, 'SELECT')
"""
_MAY_CALL = f"""
SELECT p.oid::regprocedure::text FROM pg_proc p
WHERE p.pronamespace = 'pg_catalog'::regnamespace
AND p.proname IN ({", ".join(f"'{f}'" for f in _WRITING_FUNCTIONS)})
AND has_function_privilege(session_user, p.oid, 'EXECUTE') ORDER BY 1
"""
_MOST_NAMED = 3


def ask(
    url: str, sql: str, *, max_rows: int, max_seconds: float, max_bytes: int, trusted: bool
) -> dict[str, Any]:
    """Columns, rows, truncated and elapsed_ms; or `error` (`timeout`, `refused`) with its message.

    Raises:
        StoreError: the server cannot be reached, or the role may do more than read.
    """
    import psycopg

    engine = connect(url)
    try:
        raw = engine.raw_connection()
        connection: Any = raw.driver_connection
        try:
            if not trusted:
                _check_reader(connection, redacted(url))
            connection.rollback()
            return _in_cursor(connection, sql, max_rows, max_seconds, max_bytes)
        finally:
            connection.rollback()
            raw.close()
    except psycopg.errors.QueryCanceled:
        return {"error": "timeout"}
    except psycopg.OperationalError as problem:
        if problem.sqlstate is None or problem.sqlstate.startswith(("08", "57P", "28", "3D")):
            raise StoreError(f"cannot use database {redacted(url)}: {_line(problem)}") from None
        return {"error": "refused", "message": _line(problem)}
    except psycopg.Error as problem:
        return {"error": "refused", "message": _line(problem)}
    finally:
        engine.dispose()


def _line(problem: Exception) -> str:
    return (str(problem).splitlines() or [type(problem).__name__])[0]


def _in_cursor(
    connection: Any, sql: str, max_rows: int, max_seconds: float, max_bytes: int
) -> dict[str, Any]:
    started = time.monotonic()
    connection.execute("BEGIN READ ONLY")
    connection.execute("SET LOCAL lock_timeout = '200ms'")
    _set_timeout(connection, max_seconds)
    # A comment at the end of the statement must not swallow what follows it.
    text = sql.strip().rstrip(";") + "\n"
    described = _single(connection, f"SELECT * FROM (\n{text}) AS q LIMIT 0")
    columns = [described.fname(i).decode() for i in range(described.nfields)]
    shown = [
        f"c{i}" if described.ftype(i) in _FIXED_TYPES else f"left(c{i}::text, {_VALUE_CHARACTERS})"
        for i in range(len(columns))
    ]
    names = ", ".join(f"c{i}" for i in range(len(columns)))
    select = f"SELECT {', '.join(shown)} FROM (\n{text}) AS q({names})"
    _single(connection, f"DECLARE answer NO SCROLL CURSOR FOR {select}")
    rows, truncated = _fetch(connection, started, max_rows, max_seconds, max_bytes)
    elapsed = 1000 * (time.monotonic() - started)
    return {"columns": columns, "rows": rows, "truncated": truncated, "elapsed_ms": elapsed}


def _fetch(
    connection: Any, started: float, max_rows: int, max_seconds: float, max_bytes: int
) -> tuple[list[list[Any]], bool]:
    rows: list[list[Any]] = []
    size = 0
    while True:
        _set_timeout(connection, max_seconds - (time.monotonic() - started))
        found = connection.execute(f"FETCH {_BATCH} FROM answer").fetchall()
        for row in found:
            if len(rows) >= max_rows or size > max_bytes:
                return rows, True
            cells = [_plain(v) for v in row]
            size += sum(len(c) if isinstance(c, str) else 8 for c in cells)
            rows.append(cells)
        if len(found) < _BATCH:
            return rows, False


def _set_timeout(connection: Any, seconds: float) -> None:
    connection.execute(f"SET LOCAL statement_timeout = '{max(round(1000 * seconds), 1)}ms'")


def _single(connection: Any, text: str) -> Any:
    """Run exactly one statement by the extended protocol.

    Raises:
        psycopg.Error: the server refuses it.
    """
    import psycopg
    from psycopg.pq import DiagnosticField, ExecStatus

    result = connection.pgconn.exec_params(text.encode(), [])
    if result.status in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        return result
    state = (result.error_field(DiagnosticField.SQLSTATE) or b"").decode()
    message = (result.error_field(DiagnosticField.MESSAGE_PRIMARY) or b"refused").decode()
    raise psycopg.errors.lookup(state)(message) if state else psycopg.OperationalError(message)


def _plain(value: Any) -> Any:
    """A cell that JSON can carry."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    if type(value).__name__ == "Decimal":
        return float(value) if value.is_finite() else str(value)
    return str(value)


def _check_reader(connection: Any, shown: str) -> None:
    """Refuse a role that could do more than read: a read-only transaction does not hold it back.

    Inside one, a superuser can still run programs and read files, any role can end the connections
    of its own name, and everybody may write large objects unless that was revoked.
    """
    role = connection.execute("SELECT session_user").fetchone()[0]
    problems = [
        can if by == role else f"{can} as a member of {by} (GRANT {by} TO {role})"
        for by, can in connection.execute(_MAY_DO_MORE).fetchall()
    ]
    if problems:
        more = len(problems) - _MOST_NAMED
        said = " and ".join(problems[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
        raise StoreError(
            f"role {role} of {shown} {said}, and SQL from the service runs "
            "only as a role that can do nothing but read; make one (GRANT SELECT on the tables and "
            "views, not on api_tokens) and name it with --sql-db"
        )
    functions = [name for (name,) in connection.execute(_MAY_CALL).fetchall()]
    if functions:
        raise StoreError(
            f"role {role} of {shown} may call functions that write in a read-only transaction; as an "
            f"administrator run in that database: REVOKE EXECUTE ON FUNCTION {', '.join(functions)} "
            "FROM PUBLIC"
        )
