"""Statements compiled once, for what runs thousands of times a second."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, CursorResult, Dialect
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement


class Prepared:
    """A statement of SQLAlchemy Core, compiled on first use for each dialect and handed to the driver.

    Building and keying a statement costs more than SQLite takes to run it (measured: 5 of 6 parts of
    a claim), and the claim holds the one write lock meanwhile. Columns come back as the driver gives
    them, which is right for text and numbers.
    """

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self._compiled: dict[str, tuple[str, dict[str, Any], tuple[str, ...] | None]] = {}

    def run(self, connection: Connection, **values: Any) -> CursorResult[Any]:
        """Run with values for the statement's named parameters."""
        dialect = connection.dialect
        found = self._compiled.get(dialect.name)
        if found is None:
            found = self._compiled[dialect.name] = self._compile(dialect)
        text, fixed, order = found
        given = fixed | values
        if order is None:
            return connection.exec_driver_sql(text, given)
        return connection.exec_driver_sql(text, tuple(given[name] for name in order))

    def _compile(self, dialect: Dialect) -> tuple[str, dict[str, Any], tuple[str, ...] | None]:
        compiled = self._statement.compile(dialect=dialect)
        assert isinstance(compiled, SQLCompiler)
        order = compiled.positiontup if compiled.positional else None
        return compiled.string, dict(compiled.params), None if order is None else tuple(order)
