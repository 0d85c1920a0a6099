"""The application: routes, what they share, and the guard around them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from starlette.responses import Response

from planner import __version__
from planner.errors import SoundscaleError
from planner.http import (
    comparing,
    console,
    lists,
    pages,
    problems,
    questions,
    sheets,
    studies,
    transcribing,
)
from planner.http.access import Access
from planner.http.asked_before import AskedBefore
from planner.http.compressing import Compressing
from planner.http.fitting import Fitting
from planner.http.guard import Guard
from planner.http.heads import Heads
from planner.http.quotas import Quota
from planner.http.settings import Settings
from planner.http.telemetry import Metrics, logger
from planner.http.transcribing import Transcriber, Transcribing
from planner.http.working import Workers
from planner.http.world import World, encoded

DESCRIPTION = """\
Which speech model, how much audio and how many encoder tokens make the fewest errors under a FLOP
and latency budget. The same use cases as the commands, and the same JSON; questions by GET with a
query string (quantities may have units: `flops=520G`) or by POST with the same fields as numbers.
Errors are RFC 9457 problem details. Keys may be added, never renamed.
"""


def create(settings: Settings, transcriber: Transcriber | None = None) -> Guard:
    """The service on one database, as an ASGI application; with a transcriber it takes recordings too.

    Raises:
        StoreError, InputError, MissingResourceError: the database cannot be used.
    """
    metrics = Metrics()
    log = logger(settings.log_format)
    world = World(settings.db, metrics, settings.kept_bytes)
    app = FastAPI(
        title="Soundscale", version=__version__, description=DESCRIPTION, lifespan=_lifespan,
        # The interactive pages would fetch scripts from another host.
        docs_url=None, redoc_url=None, max_body_size=max(settings.max_body_bytes, settings.upload_bytes or 0),
    )  # fmt: skip
    state: Any = app.state
    state.settings, state.world, state.metrics, state.log = settings, world, metrics, log
    state.workers = Workers(settings.work_seconds)
    state.fitting = Fitting(world.engine, log, settings.fits_waiting)
    state.stored_answers = Quota(settings.answers_an_hour, "answers")
    state.sql_slots = asyncio.Semaphore(console.N_AT_ONCE)
    problems.install(app)
    for router in (
        questions.router(),
        lists.router(),
        studies.router(),
        comparing.router(),
        console.router(),
        pages.router(),
    ):
        app.include_router(router)
    state.transcribing = None
    if transcriber is not None:
        state.transcribing = Transcribing(transcriber, settings.transcribe_at_once)
        app.include_router(transcribing.router())
    _health(app)
    access = Access(world.engine, loopback=settings.loopback, transcribes=transcriber is not None)
    answering = Compressing(Heads(AskedBefore(app, world)))
    return Guard(answering, settings, access, metrics, log)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.world.warm_up(app.state.log)
    yield
    app.state.workers.close()
    app.state.fitting.close()
    if app.state.transcribing is not None:
        app.state.transcribing.close()
    app.state.world.close()


def _health(app: FastAPI) -> None:
    @app.get("/livez", tags=["health"], response_class=Response)
    async def livez() -> Response:
        """Whether the process answers."""
        return Response(encoded({"status": "ok"}), media_type="application/json")

    @app.get(
        "/readyz", tags=["health"], response_class=Response,
        responses={
            503: {
                "description": "The database cannot be reached or is not migrated, or the first "
                "tables of candidates are still being made"
            }
        },
    )  # fmt: skip
    async def readyz(request: Request) -> Response:
        """Whether questions can be answered at once: the database is there, the first tables are made."""
        try:
            ready = await asyncio.to_thread(_ready, request.app.state.world)
        except SoundscaleError as problem:
            return problems.error_response(problem)
        if not ready["warm"]:
            detail = "the tables of candidates are being made; ask again in a moment"
            return problems.response(503, detail, {"Retry-After": "1"}, warm=False)
        return Response(encoded(ready), media_type="application/json")

    @app.get("/metrics", tags=["health"], response_class=Response)
    async def metrics(request: Request) -> Response:
        """Numbers for Prometheus."""
        text = request.app.state.metrics.text()
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


def _ready(world: World) -> dict[str, Any]:
    """Raises StoreError where the database is gone."""
    world.state()
    warm = world.warm
    fitted = sheets.usable_fit(world.engine)
    # Without a fit the first question makes one, so that is said and is not an outage.
    return {"status": "ok", "database": "migrated", "usable_fit": fitted, "warm": warm}
