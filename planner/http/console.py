"""`/v1/sql`: one SELECT, as JSON or CSV."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from planner.http import openapi
from planner.http.query_string import asked, parameters
from planner.http.schemas import SqlQuestion
from planner.http.settings import Settings
from planner.http.working import busy
from planner.http.world import encoded
from planner.report.delimited import csv_text
from planner.store import readonly

N_AT_ONCE = 2
"""Statements at the same time: each has a process or a connection of its own."""

_SHOWN: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Columns and rows",
        "content": {
            "application/json": {
                "schema": {"type": "object", "required": ["columns", "rows", "truncated"]},
                "example": {
                    "columns": ["backbone", "error"], "rows": [["whisper-base", 0.0908]],
                    "truncated": False, "elapsed_ms": 0.7,
                },
            },
            "text/csv": {"schema": {"type": "string"}},
        },
    }
}  # fmt: skip


def router() -> APIRouter:
    """The route of SQL questions."""
    routes = APIRouter(tags=["sql"], responses={**openapi.PROBLEMS, **_SHOWN})

    @routes.get("/v1/sql", response_class=Response, openapi_extra=parameters(SqlQuestion))
    async def by_get(
        request: Request, question: Annotated[SqlQuestion, Depends(asked(SqlQuestion))]
    ) -> Response:
        """One read-only SELECT on the tables and views of the database."""
        return await _answer(request, question)

    @routes.post("/v1/sql", response_class=Response)
    async def by_post(request: Request, question: SqlQuestion) -> Response:
        """One read-only SELECT on the tables and views of the database."""
        return await _answer(request, question)

    return routes


async def _answer(request: Request, question: SqlQuestion) -> Response:
    settings: Settings = request.app.state.settings
    slots: asyncio.Semaphore = request.app.state.sql_slots
    try:
        await asyncio.wait_for(slots.acquire(), 5.0)
    except TimeoutError:
        raise busy("other SQL statements are running; ask again in a moment") from None
    try:
        found = await asyncio.to_thread(
            readonly.query, settings.sql_db or settings.db, question.sql,
            max_rows=settings.sql_rows, max_seconds=settings.sql_seconds, trusted=False,
        )  # fmt: skip
    finally:
        slots.release()
    if question.format == "csv":
        headers = {"Content-Disposition": 'attachment; filename="soundscale.csv"'}
        return Response(
            csv_text(found.columns, found.rows, for_spreadsheet=True),
            media_type="text/csv",
            headers=headers,
        )
    return Response(
        encoded(
            {
                "columns": list(found.columns), "rows": [list(r) for r in found.rows],
                "truncated": found.truncated, "elapsed_ms": found.elapsed_ms,
            }
        ),
        media_type="application/json",
    )  # fmt: skip
