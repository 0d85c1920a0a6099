"""What a service is started with."""

from __future__ import annotations

from dataclasses import dataclass

from planner.http.access import TRANSCRIBE_PATHS

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the service behaves; every limit has a default that is safe on a shared machine.

    Attributes:
        db: database URL as everywhere; sql_db: the one that `/v1/sql` uses (a role that only reads).
        host: address that is listened on.
        allowed_hosts: further names in the Host header (a load balancer's), lower case.
        max_body_bytes: larger bodies are refused before they are read; upload_bytes: the same for recordings,
            None where no model is served.
        transcribe_at_once: recordings that are transcribed at the same time.
        receive_seconds: a request that has not arrived whole by then is dropped.
        respond_seconds: an answer that has not been taken by then is dropped.
        work_seconds: planner work on one request; then 503 with Retry-After.
        requests_per_second, burst: of one client, 0 for no limit.
        sql_seconds, sql_rows: limits of one SQL statement.
        max_connections: more are answered 503.
        kept_bytes: memory for all tables and answers that are kept; the newest stay in any case.
        answers_an_hour: answers stored for one client; answers_stored: in the database in all.
        fits_waiting: fits that may wait or run; more are answered 429.
        log_format: `json`, `text` or `none`.
    """

    db: str | None = None
    sql_db: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    allowed_hosts: tuple[str, ...] = ()
    max_body_bytes: int = 64 * 1024
    upload_bytes: int | None = None
    transcribe_at_once: int = 1
    receive_seconds: float = 10.0
    respond_seconds: float = 60.0
    work_seconds: float = 20.0
    requests_per_second: float = 50.0
    burst: int = 200
    sql_seconds: float = 1.0
    sql_rows: int = 1000
    max_connections: int = 512
    kept_bytes: int = 2**30
    answers_an_hour: int = 1000
    answers_stored: int = 200_000
    fits_waiting: int = 16
    log_format: str = "json"

    def body_bytes(self, path: str) -> int:
        """Most bytes of a request's body to a path."""
        if path in TRANSCRIBE_PATHS and self.upload_bytes is not None:
            return self.upload_bytes
        return self.max_body_bytes

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        return self.host in LOOPBACK or self.host.startswith("127.")
