"""Metrics (Prometheus) and structured logs: one line a request, on stderr, no secrets in it."""

from __future__ import annotations

import logging
import re
import sys
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from planner.words.secrets import redacted
from planner.words.terminal import shown

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}$")
"""A request id that a load balancer may give; anything else is replaced by our own."""


class Metrics:
    """The numbers of one service; a registry of its own, so that two can live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "soundscale_requests", "Requests answered", ["route", "method", "status"],
            registry=self.registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "soundscale_request_seconds", "Time to answer", ["route"],
            buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        self.refused = Counter(
            "soundscale_refused", "Requests refused before any work", ["reason"],
            registry=self.registry,
        )  # fmt: skip
        self.in_progress = Gauge(
            "soundscale_requests_in_progress", "Requests under way", registry=self.registry
        )
        self.cache = Counter(
            "soundscale_cache", "Answers and tables found ready or made", ["what", "outcome"],
            registry=self.registry,
        )  # fmt: skip

    def text(self) -> bytes:
        """All of them in Prometheus' text format."""
        return generate_latest(self.registry)


def logger(log_format: str) -> Any:
    """A logger that writes `json` lines, `text` lines or (`none`) nothing; to stderr."""
    if log_format == "none":
        return structlog.wrap_logger(structlog.ReturnLogger(), processors=[_drop])
    last: Any = structlog.processors.JSONRenderer()
    if log_format == "text":
        last = structlog.dev.ConsoleRenderer(colors=False)
    return structlog.wrap_logger(
        structlog.WriteLogger(sys.stderr),
        processors=[
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _without_passwords,
            _nothing_that_steers,
            last,
        ],
    )


class OneForm(logging.Handler):
    """What uvicorn says of itself, in the form of all other lines: a collector of JSON reads every one."""

    def __init__(self, log: Any) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a line on, its exception below its own key."""
        self._log.warning(
            record.getMessage(), **({"exc_info": record.exc_info} if record.exc_info else {})
        )


def in_one_form(log_format: str) -> None:
    """Let the server's own lines leave as `logger(log_format)` writes them."""
    own = logging.getLogger("uvicorn")
    own.handlers, own.propagate = [OneForm(logger(log_format))], False


def _without_passwords(logger: Any, name: str, event: Any) -> Any:
    """Whatever a driver puts into its message, a password in a URL does not reach the log."""
    return {k: redacted(v) if isinstance(v, str) else v for k, v in event.items()}


def _nothing_that_steers(logger: Any, name: str, event: Any) -> Any:
    """A path or a name of a request writes on its own line of the log and nowhere else."""
    return {
        k: shown(v, one_line=k != "exception") if isinstance(v, str) else v
        for k, v in event.items()
    }


def _drop(logger: Any, name: str, event: Any) -> Any:
    raise structlog.DropEvent
