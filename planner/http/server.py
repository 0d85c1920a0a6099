"""Running the application: uvicorn with clocks on what clients send and take."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from planner.errors import InputError
from planner.http.app import create
from planner.http.connections import PER_ADDRESS, ByAddress, address_of
from planner.http.settings import Settings
from planner.http.telemetry import in_one_form
from planner.http.transcribing import Transcriber
from planner.store import api_tokens
from planner.store.engine import opened

KEEP_ALIVE_SECONDS = 5
BACKLOG = 1024
MAX_HEADER_BYTES = 16 * 1024


class Patient(H11Protocol):
    """HTTP/1.1 that drops clients which send or read too slowly.

    uvicorn ends idle connections between requests; a half-sent request it would hold for ever.

    Attributes:
        receive_seconds: most that a request may take to arrive whole.
        respond_seconds: most that an answer may take to be taken.
        by_address: the connections of each address.
    """

    receive_seconds: float
    respond_seconds: float
    by_address: ByAddress
    _address = "?"
    _phase = "receive"
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """The clock of the first request starts, unless its address holds too many already."""
        super().connection_made(transport)
        self._address = address_of(transport.get_extra_info("peername"))
        if not self.by_address.admit(self._address, self):
            transport.abort()
            return
        self._arm(self.receive_seconds)

    def data_received(self, data: bytes) -> None:
        """Look whether a request is here whole."""
        super().data_received(data)
        self._judge()

    def on_response_complete(self) -> None:
        """Look whether another request has begun."""
        super().on_response_complete()
        self._judge()

    def connection_lost(self, exc: Exception | None) -> None:
        """No clock outlives its connection."""
        self._disarm()
        self.by_address.forget(self._address, self)
        super().connection_lost(exc)

    @property
    def answering(self) -> bool:
        """Whether an answer is being made or sent."""
        return self.cycle is not None and not self.cycle.response_complete

    def _judge(self) -> None:
        """One clock a phase: until a request is here whole, and until its answer is taken."""
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete and not cycle.more_body:
            self._arm(self.respond_seconds, restart=self._phase != "respond", phase="respond")
        elif cycle is not None and cycle.response_complete and not self._unread():
            # Idle between requests: uvicorn's own clock runs.
            self._disarm()
        else:
            self._arm(self.receive_seconds, restart=self._phase != "receive", phase="receive")

    def _unread(self) -> bool:
        return bool(self.conn.trailing_data[0])

    def _arm(self, seconds: float, *, restart: bool = True, phase: str = "receive") -> None:
        if self._deadline is not None and not restart:
            return
        self._disarm()
        self._phase = phase
        self._deadline = self.loop.call_later(seconds, self.drop)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def drop(self) -> None:
        """End the connection at once."""
        self._disarm()
        if not self.transport.is_closing():
            self.transport.abort()


def protocol(
    receive_seconds: float, respond_seconds: float, max_connections: int
) -> type[asyncio.Protocol]:
    """The protocol with those clocks (s) and the limits of an address and of all together.

    The latter lies an eighth below what the server answers 503 from: dropped ones take a moment to go.
    """
    own = {
        "receive_seconds": receive_seconds,
        "respond_seconds": respond_seconds,
        "by_address": ByAddress(max_connections // PER_ADDRESS, max_connections * 7 // 8),
    }
    return type("TimedPatient", (Patient,), own)


def check(settings: Settings) -> None:
    """Refuse to listen where others can reach, or to take recordings, without a token to ask for.

    Raises:
        InputError: so it is, and the database holds no token in use.
    """
    if settings.loopback and settings.upload_bytes is None:
        return
    with opened(settings.db, must_exist=True) as engine:
        in_use = [t for t in api_tokens.tokens(engine) if t.revoked_utc is None]
    if not in_use and settings.loopback:
        raise InputError(
            "--transcribe needs a token to ask clients for, and there is none; "
            "make one with: soundscale tokens add NAME --scope plan"
        )
    if not in_use:
        raise InputError(
            f"--host {settings.host} can be reached from other machines and there is no token to ask "
            "them for; make one with: soundscale tokens add NAME --scope read, or serve on 127.0.0.1"
        )


def listen(settings: Settings) -> socket.socket:
    """A socket on the address; port 0 takes a free one.

    Raises:
        InputError: the address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # asyncio sends small answers at once (TCP_NODELAY) only where the protocol is named; without it
    # an answer of two writes waits 40 ms for the client's delayed acknowledgement.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((settings.host, settings.port))
        # From here on a client waits in the queue instead of being refused.
        found.listen(BACKLOG)
    except OSError as problem:
        found.close()
        raise InputError(
            f"cannot listen on {settings.host} port {settings.port}: {problem.strerror or problem}; "
            "choose another with --port"
        ) from None
    return found


def server(settings: Settings, transcriber: Transcriber | None = None) -> uvicorn.Server:
    """A server that is ready to run on a socket."""
    in_one_form(settings.log_format)
    config = uvicorn.Config(
        create(settings, transcriber), loop="asyncio", ws="none", lifespan="on",
        http=protocol(
            settings.receive_seconds, settings.respond_seconds, settings.max_connections
        ),
        log_config=None, access_log=False, server_header=False, date_header=True,
        proxy_headers=False, timeout_keep_alive=KEEP_ALIVE_SECONDS, backlog=BACKLOG,
        limit_concurrency=settings.max_connections, timeout_graceful_shutdown=5,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
    )  # fmt: skip
    return uvicorn.Server(config)
