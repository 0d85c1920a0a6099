"""Statements compiled once and run by the driver itself, for what happens thousands of times a second."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement


class Prepared:
    """A statement of SQLAlchemy Core, compiled on first use for each dialect.

    Building and keying a statement and its result costs several times what SQLite takes to run it,
    and a claim holds the one write lock meanwhile (notebooks/LOG.md: claims per second). Columns come
    back as the driver gives them, which is right for text and numbers.
    """

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self._compiled: dict[str, tuple[str, dict[str, Any], tuple[str, ...] | None]] = {}

    def count(self, connection: Connection, **values: Any) -> int:
        """Run with values for the statement's named parameters; how many rows it changed."""
        return int(self._run(connection, values).rowcount)

    def first(self, connection: Connection, **values: Any) -> tuple[Any, ...] | None:
        """The first row of the answer, None when it is empty."""
        row = self._run(connection, values).fetchone()
        return None if row is None else tuple(row)

    def _run(self, connection: Connection, values: dict[str, Any]) -> Any:
        dialect = connection.dialect
        found = self._compiled.get(dialect.name)
        if found is None:
            found = self._compiled[dialect.name] = self._compile(dialect)
        text, fixed, order = found
        given: Any = fixed | values
        if order is not None:
            given = tuple(given[name] for name in order)
        driver: Any = connection.connection.driver_connection
        try:
            return driver.execute(text, given)
        except Exception as error:
            raise _wrapped(connection, text, error) from error

    def _compile(self, dialect: Dialect) -> tuple[str, dict[str, Any], tuple[str, ...] | None]:
        compiled = self._statement.compile(dialect=dialect)
        assert isinstance(compiled, SQLCompiler)
        order = compiled.positiontup if compiled.positional else None
        return compiled.string, dict(compiled.params), None if order is None else tuple(order)


def _wrapped(connection: Connection, text: str, error: Exception) -> BaseException:
    """The driver's error as SQLAlchemy's; a broken connection leaves the pool."""
    dialect = connection.dialect
    driver_error = dialect.loaded_dbapi.Error
    if not isinstance(error, driver_error):
        return error
    # Errors are classed by the names that PEP 249 gives them.
    broken = dialect.is_disconnect(error, connection.connection, None)
    if broken:
        connection.invalidate(error)
    return DBAPIError.instance(
        text, {}, error, driver_error, hide_parameters=True,
        connection_invalidated=broken, dialect=dialect,
    )  # fmt: skip
