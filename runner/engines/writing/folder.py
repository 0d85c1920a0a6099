"""An exported folder appears whole or not at all: it is filled beside its place and renamed."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from planner.errors import InputError


def require_free(out: Path) -> None:
    """Refuse a place that holds something.

    Raises:
        InputError: it does.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} is not an empty folder; name a new one")
    parent = out.absolute().parent
    if not parent.is_dir():
        raise InputError(f"{out} cannot be made: {parent} is no folder; make it first")


@contextmanager
def whole(out: Path) -> Iterator[Path]:
    """A temporary folder beside `out` that takes its name once the block ends well.

    Raises:
        InputError: `out` holds something.
    """
    require_free(out)
    part = out.absolute().parent / f".{out.name}.part-{secrets.token_hex(4)}"
    part.mkdir()
    try:
        yield part
        if out.is_dir():
            out.rmdir()
        part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def size_bytes(folder: Path) -> int:
    """Bytes of all files of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
