"""Tokens of the HTTP service: kept as SHA-256, compared in constant time, with scopes.

A token made here has 256 random bits, so its hash needs neither salt nor a slow function; a token of
the user's own must be long for the same reason.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, insert, select, update

from planner.errors import InputError, UnknownNameError
from planner.store.clock import NowUtc
from planner.store.schema import api_tokens
from planner.store.transactions import read, write

SCOPES = ("read", "plan", "admin")
"""Each includes those before it: read answers and runs; ask and store; fit and run SQL."""
MIN_CHARACTERS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A stored token; the token itself is not kept anywhere."""

    token_id: int
    name: str
    token_hash: str
    scopes: tuple[str, ...]
    created_utc: str
    revoked_utc: str | None = None

    def allows(self, scope: str) -> bool:
        """Whether one of its scopes includes `scope`."""
        return max(SCOPES.index(s) for s in self.scopes) >= SCOPES.index(scope)


def new_token() -> str:
    """A fresh token: a readable prefix and 256 random bits."""
    return f"ssc_{secrets.token_urlsafe(32)}"


def add(engine: Engine, name: str, token: str, scopes: Sequence[str]) -> None:
    """Store a token's hash under a name.

    Raises:
        InputError: the name is taken, the token is short or not plain text, or no scope is given.
        UnknownNameError: a scope is not one of SCOPES.
    """
    if not name.strip() or len(name) > 100 or not name.isprintable():
        raise InputError(f"a token needs a name of 1 to 100 printable characters, got {name!r}")
    if (
        len(token) < MIN_CHARACTERS
        or not token.isascii()
        or not token.isprintable()
        or " " in token
    ):
        raise InputError(
            f"a token must have at least {MIN_CHARACTERS} printable ASCII characters without "
            "spaces; leave it out and a random one is made"
        )
    for scope in scopes:
        if scope not in SCOPES:
            raise UnknownNameError("scope", scope, SCOPES)
    if not scopes:
        raise InputError(f"a token needs a scope: {', '.join(SCOPES)}")
    values = {"name": name, "token_hash": _hash(token), "scopes": " ".join(scopes)}

    def work(connection: Connection) -> None:
        taken = select(api_tokens.c.name).where(
            (api_tokens.c.name == name) | (api_tokens.c.token_hash == values["token_hash"])
        )
        if connection.execute(taken).first() is not None:
            raise InputError(f"there is a token named {name!r} (or this very token) already")
        connection.execute(insert(api_tokens).values(**values, created_utc=NowUtc()))

    write(engine, work)


def revoke(engine: Engine, name: str) -> None:
    """Make a token useless from now on.

    Raises:
        UnknownNameError: no token in use has the name.
    """
    in_use = (api_tokens.c.name == name) & api_tokens.c.revoked_utc.is_(None)

    def work(connection: Connection) -> None:
        changed = connection.execute(update(api_tokens).where(in_use).values(revoked_utc=NowUtc()))
        if changed.rowcount == 0:
            names = select(api_tokens.c.name).where(api_tokens.c.revoked_utc.is_(None))
            raise UnknownNameError("token", name, connection.execute(names).scalars().all())

    write(engine, work)


def tokens(engine: Engine) -> list[Token]:
    """All tokens, revoked ones too, oldest first."""
    query = select(api_tokens).order_by(api_tokens.c.token_id)

    def work(connection: Connection) -> list[Token]:
        rows = connection.execute(query).mappings().all()
        return [Token(**{**row, "scopes": tuple(row["scopes"].split())}) for row in rows]

    return read(engine, work)


def find(stored: Sequence[Token], token: str) -> Token | None:
    """The token in use that was presented, or None; takes as long whichever it is."""
    given = _hash(token)
    presented = None
    for candidate in stored:
        if hmac.compare_digest(candidate.token_hash, given) and candidate.revoked_utc is None:
            presented = candidate
    return presented


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
