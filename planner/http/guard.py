"""What every request passes before any route sees it: name, origin, size, token, rate.

A plain ASGI layer outside the framework, so that a refused request costs nothing: no body is read, no
JSON parsed. It also gives each request its id, its line in the log and its place in the metrics.

- Host must be a name of this service (a web page that rebinds its own name to 127.0.0.1 is refused);
  Origin, where a browser sends one, must be this very service.
- A body may have 64 KB (a recording, where a model is served, its own limit), by its Content-Length or as it
  arrives.
- Where tokens are needed (another address than loopback, or the database holds tokens), every route
  but the page's empty shell and the health checks asks for one.
- A token bucket for each client.
"""

from __future__ import annotations

import ipaddress
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from planner.errors import SoundscaleError
from planner.http import problems
from planner.http.access import Access
from planner.http.settings import LOOPBACK, Settings
from planner.http.telemetry import REQUEST_ID, Metrics

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (
        b"content-security-policy",
        # img-src data: is the favicon and exported charts; nothing comes from another host.
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
        b"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
]
MAX_CLIENTS = 10_000
MAX_TARGET_BYTES = 8192


class _Refused(Exception):  # noqa: N818
    """A request that goes no further; carries the problem."""

    def __init__(
        self, status: int, reason: str, detail: str, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.reason, self.detail, self.headers = status, reason, detail, headers


class Guard:
    """The ASGI layer around the application."""

    def __init__(
        self, app: App, settings: Settings, access: Access, metrics: Metrics, log: Any
    ) -> None:
        self._app, self._settings, self._access = app, settings, access
        self._metrics, self._log = metrics, log
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or hand on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        await _Exchange(self, scope, receive, send).run()

    async def check(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        """Raises _Refused unless the request may go on."""
        self._check_host(headers)
        self._check_origin(scope, headers)
        self._check_size(scope, headers)
        client = await self._check_token(scope, headers)
        scope.setdefault("state", {})["client"] = client
        self._check_rate(client)

    def _check_host(self, headers: dict[bytes, bytes]) -> None:
        host = headers.get(b"host", b"").decode("latin-1").lower()
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        name = name.strip("[]").rstrip(".")
        settings = self._settings
        if name in (*LOOPBACK, *settings.allowed_hosts, settings.host):
            return
        if settings.host in ("0.0.0.0", "::") and not settings.allowed_hosts and _is_address(name):
            return
        raise _Refused(
            421, "host", f"host {host[:100]!r} is not a name of this service; "
            "start it with --allow-host NAME to add one"
        )  # fmt: skip

    def _check_origin(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        origin = headers.get(b"origin")
        if origin is not None:
            ours = headers.get(b"host", b"").decode("latin-1").lower()
            parts = urlsplit(origin.decode("latin-1").lower())
            if parts.scheme not in ("http", "https") or parts.netloc != ours:
                raise _Refused(403, "origin", "requests from other web pages are not answered")
        site = headers.get(b"sec-fetch-site")
        if site == b"cross-site" and headers.get(b"sec-fetch-mode") != b"navigate":
            raise _Refused(403, "origin", "requests from other web pages are not answered")

    def _check_size(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        most = self._settings.body_bytes(scope["path"])
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length[:20]) > most:
            raise _Refused(413, "size", f"the body may have {most} bytes at most; send less")
        if len(scope.get("raw_path", b"")) + len(scope["query_string"]) > MAX_TARGET_BYTES:
            raise _Refused(413, "size", f"the URL may have {MAX_TARGET_BYTES} bytes at most")

    async def _check_token(self, scope: Scope, headers: dict[bytes, bytes]) -> str:
        """Who asks: the name of the token, else the address."""
        address = (scope.get("client") or ("?",))[0]
        wanted = self._access.scope_for(scope["method"], scope["path"])
        if wanted is None or not await self._access.needed(scope["path"]):
            return str(address)
        given = headers.get(b"authorization", b"").decode("latin-1")
        kind, _, token = given.partition(" ")
        found = await self._access.find(token.strip()) if kind.lower() == "bearer" else None
        if found is None:
            # A guess costs a request of the address's own budget, as everything does.
            self._check_rate(str(address))
            raise _Refused(
                401, "token", "a token is needed: send Authorization: Bearer TOKEN "
                "(soundscale tokens add makes one)", {"WWW-Authenticate": "Bearer"}
            )  # fmt: skip
        if not found.allows(wanted):
            raise _Refused(
                403, "scope", f"token {found.name!r} has the scope {' '.join(found.scopes)}, "
                f"and {wanted} is needed here"
            )  # fmt: skip
        return f"token:{found.name}"

    def _check_rate(self, client: str) -> None:
        rate, burst = self._settings.requests_per_second, float(self._settings.burst)
        if rate <= 0:
            return
        now = time.monotonic()
        left, since = self._buckets.pop(client, (burst, now))
        left = min(burst, left + rate * (now - since))
        if left < 1:
            self._buckets[client] = (left, now)
            wait = f"{max((1 - left) / rate, 1):.0f}"
            raise _Refused(429, "rate", f"more than {rate:g} requests a second; wait {wait} s",
                           {"Retry-After": wait})  # fmt: skip
        self._buckets[client] = (left - 1, now)
        while len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class _Exchange:
    """One request and its answer."""

    def __init__(self, guard: Guard, scope: Scope, receive: Receive, send: Send) -> None:
        self._guard, self._scope, self._receive, self._send = guard, scope, receive, send
        self._headers: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            self._headers[name] = value
        given = self._headers.get(b"x-request-id", b"").decode("latin-1")
        self._request_id = given if REQUEST_ID.match(given) else secrets.token_hex(8)
        self._status = 0
        self._read = 0
        self._closed = False

    async def run(self) -> None:
        guard, scope = self._guard, self._scope
        scope.setdefault("state", {})["request_id"] = self._request_id
        metrics = guard._metrics
        started = time.perf_counter()
        metrics.in_progress.inc()
        reason = None
        try:
            await guard.check(scope, self._headers)
            await guard._app(scope, self._receive_some, self._answer)
        except _Refused as refused:
            reason = refused.reason
            metrics.refused.labels(refused.reason).inc()
            if not self._status:
                await self._refuse(refused.status, refused.detail, refused.headers)
        except SoundscaleError as problem:
            # Of the checks themselves, which read tokens from the database; the application answers its own.
            if not self._status:
                response = problems.error_response(problem, scope["path"])
                await response(scope, self._receive, self._answer)
        except Exception as bug:
            guard._log.error(
                "bug", request_id=self._request_id, error=type(bug).__name__, exc_info=bug
            )
            if not self._status:
                await self._refuse(500, f"a bug; it is in the log under {self._request_id}", None)
        finally:
            metrics.in_progress.dec()
            self._record(time.perf_counter() - started, reason)

    async def _receive_some(self) -> Message:
        message = await self._receive()
        self._read += len(message.get("body", b""))
        most = self._guard._settings.body_bytes(self._scope["path"])
        if self._read > most:
            # Answered here: the framework would turn an exception while reading into its own 400.
            self._guard._metrics.refused.labels("size").inc()
            if not self._status:
                await self._refuse(413, f"the body may have {most} bytes at most; send less", None)
            self._closed = True
            return {"type": "http.disconnect"}
        return message

    async def _answer(self, message: Message) -> None:
        if self._closed:
            return
        if message["type"] == "http.response.start":
            self._status = message["status"]
            message["headers"] = [
                *message.get("headers", []), *HEADERS,
                (b"x-request-id", self._request_id.encode()),
            ]  # fmt: skip
        await self._send(message)

    async def _refuse(self, status: int, detail: str, headers: dict[str, str] | None) -> None:
        extra = {**(headers or {})}
        if status == 413:
            # What is still under way of the body is not read.
            extra["Connection"] = "close"
        response = problems.response(
            status, detail, extra, path=self._scope["path"], request_id=self._request_id
        )
        await response(self._scope, self._receive, self._answer)

    def _record(self, seconds: float, reason: str | None) -> None:
        route = getattr(self._scope.get("route"), "path", None) or "(none)"
        method = self._scope["method"]
        method = method if method in ("GET", "HEAD", "POST") else "other"
        metrics = self._guard._metrics
        metrics.requests.labels(route, method, str(self._status)).inc()
        metrics.seconds.labels(route).observe(seconds)
        more = {k: v for k, v in self._scope["state"].items() if k in ("answer_id", "fit_id")}
        if reason:
            more["refused"] = reason
        self._guard._log.info(
            "request", request_id=self._request_id, method=method, path=self._scope["path"][:200],
            status=self._status, ms=round(1000 * seconds, 2), **more,
        )  # fmt: skip
