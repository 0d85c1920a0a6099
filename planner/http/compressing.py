"""Large answers compressed, for clients that take gzip."""

from __future__ import annotations

import re

from starlette.datastructures import Headers
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

COMPRESSED_BYTES = 16 * 1024
"""Answers from this size on are compressed (bytes): curves and candidates of many runs shrink to a seventh, and
answers of a few packets would gain no time."""
_REFUSED = re.compile(r"(?:^|,)\s*gzip\s*;\s*q\s*=\s*0(?:\.0*)?\s*(?:,|$)", re.IGNORECASE)


def takes_gzip(accepted: str) -> bool:
    """Whether who sends this `Accept-Encoding` takes gzip.

    >>> takes_gzip("br, gzip;q=0.5"), takes_gzip("gzip;q=0"), takes_gzip("")
    (True, False, False)
    """
    return "gzip" in accepted and not _REFUSED.search(accepted)


class Compressing:
    """Starlette's GZipMiddleware, but for clients that name gzip with quality 0, which it takes for consent."""

    def __init__(self, app: ASGIApp) -> None:
        self.plain = app
        self.compressed = GZipMiddleware(app, minimum_size=COMPRESSED_BYTES, compresslevel=6)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as ASGI asks."""
        takes = scope["type"] == "http" and takes_gzip(
            Headers(scope=scope).get("accept-encoding", "")
        )
        await (self.compressed if takes else self.plain)(scope, receive, send)
