"""Alembic's entry: the only creator of tables.

The program hands over its own connection, inside a transaction that it began and commits
(`planner.store.migrate`). From the `alembic` command, `-x db=URL` or SOUNDSCALE_DB says which database.
"""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from planner.store.engine import connect, resolve_url
from planner.store.schema import metadata


def _run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
    context.run_migrations()


def _run_from_command() -> None:
    engine = connect(resolve_url(context.get_x_argument(as_dictionary=True).get("db")))
    with engine.begin() as connection:
        _run(connection)
    engine.dispose()


if context.is_offline_mode():
    context.configure(
        url=resolve_url(context.get_x_argument(as_dictionary=True).get("db")),
        target_metadata=metadata,
        literal_binds=True,
        as_sql=True,
    )
    context.run_migrations()
elif (given := context.config.attributes.get("connection")) is not None:
    _run(given)
else:
    _run_from_command()
