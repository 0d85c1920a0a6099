"""Rows as Parquet and back, through pyarrow where it is installed (the extra `parquet`)."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from planner.errors import MissingResourceError


def pyarrow() -> Any:
    """The library.

    Raises:
        MissingResourceError: it is not installed; says what brings it.
    """
    try:
        import pyarrow as arrow
        import pyarrow.parquet
    except ImportError:
        raise MissingResourceError(
            "Parquet needs pyarrow, which is not installed; run: pip install 'soundscale[parquet]', "
            "or take -f csv"
        ) from None
    return arrow


def parquet_bytes(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Rows as one Parquet file: numbers as 64-bit, truth as truth, what is nested as JSON text.

    A column that is empty in every row is text; one that mixes kinds is text too.
    """
    arrow = pyarrow()
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: _column(arrow, [row.get(name) for row in rows]) for name in names}
    out = io.BytesIO()
    arrow.parquet.write_table(arrow.table(columns), out, compression="zstd")
    return out.getvalue()


def _column(arrow: Any, values: list[Any]) -> Any:
    kinds = {type(v) for v in values if v is not None}
    if kinds == {bool}:
        return arrow.array(values, arrow.bool_())
    if kinds == {int}:
        return arrow.array(values, arrow.int64())
    if kinds and kinds <= {int, float}:
        return arrow.array([None if v is None else float(v) for v in values], arrow.float64())
    return arrow.array([None if v is None else _text(v) for v in values], arrow.string())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
