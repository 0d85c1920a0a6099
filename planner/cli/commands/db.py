"""`soundscale db`: the database itself, and questions to it in SQL."""

from __future__ import annotations

from pathlib import Path

import click

from planner.cli.options import ANSWER_FORMATS, db_option, echo_json, echo_rows, format_option, talk


@click.group()
def db() -> None:
    """Create, upgrade and describe the database."""


@db.command()
@db_option
@format_option(ANSWER_FORMATS)
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


@db.command("query")
@click.argument("sql")
@db_option
@click.option(
    "--rows", type=click.IntRange(1, 1_000_000), default=10_000, show_default=True, help="At most."
)
@click.option(
    "--seconds",
    type=click.FloatRange(0.1, 3600),
    default=30.0,
    show_default=True,
    help="The statement is ended after so long.",
)
@format_option()
def query(sql: str, db: str | None, rows: int, seconds: float, output_format: str) -> None:
    """The rows of one SELECT on the tables and views; nothing can be changed with it.

    \b
    Examples:
      soundscale db query "SELECT backbone, error FROM v_results ORDER BY error LIMIT 5"
      soundscale db query "SELECT * FROM v_costs" -f csv > costs.csv
      soundscale db query "SELECT * FROM v_utterances" -f parquet > utterances.parquet
    """
    from planner.store import readonly

    found = readonly.query(db, sql, max_rows=rows, max_seconds=seconds)
    echo_rows(found.to_rows(), output_format, empty="no row")
    if found.truncated:
        talk(f"only the first {len(found.rows)} rows are shown; see --rows")


@db.command("export")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@db_option
@click.option("--views", is_flag=True, help="Also a file for each view.")
@format_option()
def export(folder: Path, db: str | None, views: bool, output_format: str) -> None:
    """Write every table as Parquet into a new FOLDER, with a schema file; tokens stay behind.

    \b
    Examples:
      soundscale db export backup
      soundscale db export for-analysis --views
    """
    from planner.store import exchange
    from planner.store.engine import opened

    with opened(db, must_exist=True) as engine:
        counts = exchange.export(engine, folder, views=views)
    echo_rows([{"table": t, "rows": n} for t, n in counts.items()], output_format)
    talk(f"wrote {folder}")


@db.command("import")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@db_option
@format_option()
def import_(folder: Path, db: str | None, output_format: str) -> None:
    """Bring an export into a new database, which may be of the other kind; ids are kept.

    \b
    Example:
      soundscale db import backup --db copy.db
    """
    from planner.store import exchange
    from planner.store.engine import opened

    with opened(db) as engine:
        counts = exchange.load(engine, folder)
    echo_rows([{"table": t, "rows": n} for t, n in counts.items()], output_format)
