"""`soundscale db`: the database itself."""

from __future__ import annotations

import click

from planner.cli_common import db_option, echo_json, format_option, talk


@click.group()
def db() -> None:
    """Create, upgrade and describe the database."""


@db.command()
@db_option
@format_option()
def upgrade(db: str | None, output_format: str) -> None:
    """Bring a database to this version's revision; a new one is created.

    \b
    Example:
      soundscale db upgrade --db soundscale.db
    """
    import planner.store.engine as engine

    before, after = engine.upgrade(db)
    where = engine.redacted(engine.resolve_url(db))
    if output_format == "json":
        echo_json({"db": where, "before": before, "after": after})
        return
    change = "is already at" if before == after else f"went from {before or 'empty'} to"
    talk(f"{where} {change} revision {after}")
