"""Statements compiled once and run by the driver itself, for what happens thousands of times a second."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Dialect
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement

from planner.store.dialects import Plain, run_by_driver


class PreparedStatement:
    """A statement of SQLAlchemy Core, compiled on first use for each dialect.

    Building and keying a statement and its result costs several times what SQLite takes to run it,
    and a claim holds the one write lock meanwhile (notebooks/LOG.md: claims per second). Columns come
    back as the driver gives them, which is right for text and numbers.
    """

    def __init__(self, statement: ClauseElement) -> None:
        self._statement = statement
        self._compiled: dict[str, tuple[str, dict[str, Any], tuple[str, ...] | None]] = {}

    def count(self, connection: Connection | Plain, **values: Any) -> int:
        """Run with values for the statement's named parameters; how many rows it changed."""
        return int(self._run(connection, values).rowcount)

    def first(self, connection: Connection | Plain, **values: Any) -> tuple[Any, ...] | None:
        """The first row of the answer, None when it is empty."""
        row = self._run(connection, values).fetchone()
        return None if row is None else tuple(row)

    def all(self, connection: Connection | Plain, **values: Any) -> list[tuple[Any, ...]]:
        """All rows of the answer."""
        return [tuple(row) for row in self._run(connection, values).fetchall()]

    def _run(self, connection: Connection | Plain, values: dict[str, Any]) -> Any:
        text, fixed, order = self.compiled(connection.dialect)
        given: Any = fixed | values
        if order is not None:
            given = tuple(given[name] for name in order)
        return run_by_driver(connection, text, given)

    def compiled(self, dialect: Dialect) -> tuple[str, dict[str, Any], tuple[str, ...] | None]:
        """Text for the driver, the values that the statement brings, and the order of parameters by place."""
        found = self._compiled.get(dialect.name)
        if found is None:
            found = self._compiled[dialect.name] = self._compile(dialect)
        return found

    def _compile(self, dialect: Dialect) -> tuple[str, dict[str, Any], tuple[str, ...] | None]:
        compiled = self._statement.compile(dialect=dialect)
        assert isinstance(compiled, SQLCompiler)
        order = compiled.positiontup if compiled.positional else None
        return compiled.string, dict(compiled.params), None if order is None else tuple(order)
