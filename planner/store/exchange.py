"""A whole database as Parquet files with a schema file, and back: backup, and from SQLite to PostgreSQL.

A folder holds `TABLE.parquet` for each table and `schema.json`, written last: the revision, and each
table's columns, keys, rows and SHA-256. Tokens and jobs of the service and leases of hosts stay
behind. An import goes into a database without results and keeps every id, so that an export of it is
the same again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, Table

from planner import __version__
from planner.errors import InputError, StoreError
from planner.store.parquet import parquet_bytes, pyarrow
from planner.store.schema import SCHEMA_REVISION, metadata
from planner.store.transactions import read, write
from planner.store.views import VIEWS

SCHEMA_FILE = "schema.json"
LEFT_BEHIND = frozenset({"api_tokens", "jobs", "host_leases"})
"""The service's own: secrets, and work of a process that is gone."""
BATCH_ROWS = 10_000

TABLES: tuple[Table, ...] = tuple(t for t in metadata.sorted_tables if t.name not in LEFT_BEHIND)
"""In an order in which each comes after those that it refers to."""


def export(engine: Engine, folder: Path, *, views: bool = False) -> dict[str, int]:
    """Write every table into a new or empty folder, from one snapshot of the database.

    Args:
        engine: the database.
        folder: where to; made if it is not there.
        views: also a file for each view, for readers; an import leaves them out.

    Returns:
        Rows of each file.

    Raises:
        InputError: the folder holds something already.
        MissingResourceError: pyarrow is not installed.
    """
    pyarrow()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is not an empty folder; name a new one")
    folder.mkdir(parents=True, exist_ok=True)
    if engine.dialect.name == "postgresql":
        engine = engine.execution_options(isolation_level="REPEATABLE READ")
    counts = read(engine, lambda connection: _write_all(connection, folder, views))
    described = {
        "format": "soundscale-export/1",
        "revision": SCHEMA_REVISION,
        "version": __version__,
        "tables": {t.name: _described(t, counts[t.name], folder) for t in TABLES},
    }
    (folder / SCHEMA_FILE).write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    return counts


def _write_all(connection: Connection, folder: Path, views: bool) -> dict[str, int]:
    counts = {table.name: _write_table(connection, folder, table) for table in TABLES}
    for name in VIEWS if views else ():
        counts[name] = _write_view(connection, folder, name)
    return counts


def _write_view(connection: Connection, folder: Path, name: str) -> int:
    rows = [dict(r) for r in connection.execute(sa.text(f"SELECT * FROM {name}")).mappings()]
    (folder / f"{name}.parquet").write_bytes(parquet_bytes(rows))
    return len(rows)


def _write_table(connection: Connection, folder: Path, table: Table) -> int:
    arrow, schema = pyarrow(), _arrow_schema(table)
    select = sa.select(table).order_by(*table.primary_key)
    found = connection.execution_options(yield_per=BATCH_ROWS).execute(select)
    count = 0
    with arrow.parquet.ParquetWriter(_file(folder, table), schema, compression="zstd") as out:
        for rows in found.partitions(BATCH_ROWS):
            columns = zip(schema, zip(*rows, strict=True), strict=True)
            arrays = [arrow.array(cells, field.type) for field, cells in columns]
            out.write_table(arrow.Table.from_arrays(arrays, schema=schema))
            count += len(rows)
    return count


def _file(folder: Path, table: Table) -> Path:
    return folder / f"{table.name}.parquet"


def _arrow_schema(table: Table) -> Any:
    arrow = pyarrow()
    kinds = {int: arrow.int64(), float: arrow.float64(), str: arrow.string()}
    return arrow.schema(
        [
            arrow.field(c.name, kinds[c.type.python_type], nullable=bool(c.nullable))
            for c in table.columns
        ]
    )


def _described(table: Table, count: int, folder: Path) -> dict[str, Any]:
    columns = []
    for c in table.columns:
        one: dict[str, Any] = {
            "name": c.name,
            "type": {int: "int64", float: "float64", str: "string"}[c.type.python_type],
            "nullable": bool(c.nullable),
        }
        one |= {"primary_key": True} if c.primary_key else {}
        for key in c.foreign_keys:
            one["refers_to"] = key.target_fullname
        columns.append(one)
    return {"rows": count, "sha256": _digest(_file(folder, table)), "columns": columns}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load(engine: Engine, folder: Path) -> dict[str, int]:
    """Bring an export into a database without results, in one transaction.

    Returns:
        Rows of each table.

    Raises:
        InputError: the folder is no export, is of another revision, or a file is not what was written.
        StoreError: the database holds results already.
    """
    pyarrow()
    described = _read_schema(folder)
    for table in TABLES:
        known = described["tables"].get(table.name, {})
        path = _file(folder, table)
        if not path.is_file() or _digest(path) != known.get("sha256"):
            raise InputError(f"{path} is not the file that was exported; export again")
    return write(engine, lambda connection: _load_all(connection, folder))


def _read_schema(folder: Path) -> dict[str, Any]:
    path = folder / SCHEMA_FILE
    if not path.is_file():
        raise InputError(
            f"{folder} is no export: it has no {SCHEMA_FILE}; make one with: soundscale db export DIR"
        )
    try:
        described: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        revision = described["revision"]
        described["tables"].keys()
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{path} cannot be read as the schema of an export") from None
    if revision != SCHEMA_REVISION:
        raise InputError(
            f"the export in {folder} is of revision {revision}, this version reads "
            f"{SCHEMA_REVISION}; upgrade the database that it came from and export again"
        )
    return described


def _load_all(connection: Connection, folder: Path) -> dict[str, int]:
    for table in TABLES:
        if connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first():
            raise StoreError(
                f"the database has rows in {table.name}, and an import keeps ids; "
                "name a new database with --db"
            )
    return {t.name: _load_one(connection, t, folder) for t in TABLES}


def _load_one(connection: Connection, table: Table, folder: Path) -> int:
    count = 0
    for rows in _batches(_file(folder, table)):
        connection.execute(sa.insert(table), rows)
        count += len(rows)
    key = table.primary_key.columns.values()[0]
    if count and connection.dialect.name == "postgresql" and key.type.python_type is int:
        # Ids were given, so the sequence has to be told where to go on; a key without one is NULL.
        sequence = sa.func.pg_get_serial_sequence(table.name, key.name)
        connection.execute(
            sa.select(sa.func.setval(sequence, sa.select(sa.func.max(key)).scalar_subquery()))
        )
    return count


def _batches(path: Path) -> Iterator[list[dict[str, Any]]]:
    with pyarrow().parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(BATCH_ROWS):
            yield batch.to_pylist()
