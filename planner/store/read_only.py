"""Databases that may only be read: a file or folder without the right to write, a role, a replica.

Reading works on all of them. On SQLite a file in a folder that nobody may write to is opened as one that cannot
change (`immutable`), as no shared index of its log can be made there.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

from sqlalchemy.exc import DBAPIError

from planner.errors import StoreError

_POSTGRES_STATES = ("25006", "42501")
"""A transaction that may only read (replica, default_transaction_read_only); a right that the role lacks."""


def sqlite_uri(path: Path) -> str | None:
    """The URI by which a file that may only be read is opened; None for one that may be written, or is not there.

    Raises:
        StoreError: its write-ahead log holds what the file does not, and cannot be read there.
    """
    if not path.is_file() or not os.access(path, os.R_OK):
        return None
    folder_too = os.access(path.parent, os.W_OK)
    if os.access(path, os.W_OK) and folder_too:
        return None
    uri = f"file:{quote(str(path.resolve()))}?mode=ro"
    log, index = (path.with_name(path.name + end) for end in ("-wal", "-shm"))
    if folder_too or (index.exists() and log.exists()):
        return uri
    if log.exists() and log.stat().st_size:
        raise StoreError(
            f"database {path} can only be read here, and its log {log.name} holds changes that the file does "
            "not; copy both into a folder that you may write to, or end the program that writes it"
        )
    return f"{uri}&immutable=1"


def refused(error: DBAPIError) -> bool:
    """Whether the database refused to write because it may only be read here."""
    if str(getattr(error.orig, "sqlite_errorname", "")).startswith("SQLITE_READONLY"):
        return True
    return getattr(error.orig, "sqlstate", None) in _POSTGRES_STATES
