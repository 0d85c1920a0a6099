"""The route that compares runs on the utterances they share."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from planner.http import openapi
from planner.http.lists import LAST_ROW, only_known, respond
from planner.http.schemas import PLAIN_TEXT
from planner.service import compare

RunId = Annotated[int, Query(ge=1, le=LAST_ROW)]
Runs = Annotated[
    list[RunId],
    Query(
        min_length=2,
        max_length=compare.MAX_RUNS,
        description="runs by their ids; the first is what the others are compared with",
    ),
]


def router() -> APIRouter:
    """`/v1/compare`."""
    routes = APIRouter(
        tags=["stored"], responses=openapi.PROBLEMS, dependencies=[Depends(only_known)]
    )

    @routes.get(
        "/v1/compare", responses=openapi.shown(["runs", "comparisons"]), response_class=Response
    )
    async def compare_runs(
        request: Request,
        run: Runs,
        split: Annotated[str, Query(min_length=1, max_length=200, pattern=PLAIN_TEXT)] = "test",
        level: Annotated[float, Query(ge=0.5, le=0.999, description="of the intervals")] = 0.9,
    ) -> Response:
        """Runs against the first, paired by utterance: difference, p, and what decides."""
        return await respond(
            request, lambda w: compare.compare(w.db, run, split=split, level=level)
        )

    return routes
