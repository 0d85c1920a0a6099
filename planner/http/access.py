"""Who may do what: tokens read from the database now and then, and the scope of each route."""

from __future__ import annotations

import asyncio
import time

from sqlalchemy import Engine

from planner.store import api_tokens
from planner.store.api_tokens import Token

REFRESH_SECONDS = 2.0
"""A token that is added or revoked counts within so long."""

OPEN_PATHS = frozenset(
    {"/", "/runs", "/fits", "/sql", "/sweeps", "/studies", "/livez", "/readyz", "/favicon.ico"}
)
"""The page's shell holds no data; the health checks say nothing but yes or no."""
ADMIN_PATHS = frozenset({"/v1/sql"})
TRANSCRIBE_PATHS = ("/v1/transcribe", "/v1/audio/transcriptions")
"""They take recordings and a processor's time, so they need a token on loopback too."""


class Access:
    """Tokens of one database, and whether they are needed."""

    def __init__(self, engine: Engine, *, loopback: bool, transcribes: bool = False) -> None:
        self._engine, self._loopback, self._transcribes = engine, loopback, transcribes
        self._known: tuple[Token, ...] = ()
        self._read_at = -1e9
        self._lock = asyncio.Lock()

    @staticmethod
    def scope_for(method: str, path: str) -> str | None:
        """The scope that a route needs; None where nothing is needed."""
        if method in ("GET", "HEAD") and (path in OPEN_PATHS or path.startswith("/static/")):
            return None
        if path in ADMIN_PATHS or (path == "/v1/fits" and method not in ("GET", "HEAD")):
            return "admin"
        return "read" if method in ("GET", "HEAD") else "plan"

    async def needed(self, path: str) -> bool:
        """Whether a request needs a token: off loopback, for recordings, and where the database has tokens."""
        await self._refresh()
        if not self._loopback or (self._transcribes and path in TRANSCRIBE_PATHS):
            return True
        return any(t.revoked_utc is None for t in self._known)

    async def find(self, token: str) -> Token | None:
        """The token in use that was presented."""
        await self._refresh()
        return api_tokens.find(self._known, token)

    async def _refresh(self) -> None:
        if time.monotonic() - self._read_at < REFRESH_SECONDS:
            return
        async with self._lock:
            if time.monotonic() - self._read_at >= REFRESH_SECONDS:
                self._known = tuple(await asyncio.to_thread(api_tokens.tokens, self._engine))
                self._read_at = time.monotonic()
