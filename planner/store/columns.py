"""What the tables are made of: names of constraints, kinds of columns and the checks that go with them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    REAL,
    BigInteger,
    CheckConstraint,
    Column,
    Float,
    Integer,
    MetaData,
    Table,
)
from sqlalchemy.schema import SchemaItem

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = MetaData(naming_convention=NAMING)

FINITE_MAX = 9e300
"""Bound of the CHECKs that refuse infinities on both databases (SQLite stores NaN as NULL, which
NOT NULL refuses; PostgreSQL sorts NaN above the bound, which the CHECK refuses)."""

BIG = BigInteger().with_variant(Integer(), "sqlite")
"""64-bit on both: PostgreSQL's INTEGER ends at 2.1e9, and STRICT tables know no BIGINT."""
DOUBLE = Float(53).with_variant(REAL(), "sqlite")


def table(name: str, *items: SchemaItem, rowid: bool = True) -> Table:
    """A table of the database; STRICT on SQLite."""
    return Table(name, metadata, *items, sqlite_strict=True, sqlite_with_rowid=rowid)


def real(name: str, low: float = 0.0, *, nullable: bool = True) -> Column[Any]:
    """A double that is NULL or lies in [low, FINITE_MAX]: NaN and infinities are refused."""
    check = CheckConstraint(f"{name} >= {low} AND {name} <= {FINITE_MAX}", name=name)
    return Column(name, DOUBLE, check, nullable=nullable)


def flag(name: str, *, nullable: bool = False) -> Column[Any]:
    """A truth value, 0 or 1."""
    return Column(name, Integer, CheckConstraint(f"{name} IN (0, 1)", name=name), nullable=nullable)


def one_of(name: str, *words: str) -> CheckConstraint:
    """That a column holds one of the words."""
    listed = ", ".join(f"'{w}'" for w in words)
    return CheckConstraint(f"{name} IN ({listed})", name=name)
