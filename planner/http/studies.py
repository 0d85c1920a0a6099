"""Routes of studies: the list, and one as it is now."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request
from starlette.responses import Response

from planner.errors import UnknownNameError
from planner.http import openapi
from planner.http.lists import LAST_ROW, Limit, only_known, page_of, respond
from planner.http.schemas import PLAIN_TEXT
from planner.http.world import World
from planner.report.study_progress import headline_now, progress_sections
from planner.service.studies import line_of
from planner.service.study_progress import progress
from planner.store import studies
from planner.words.records import to_json


def router() -> APIRouter:
    """The routes of studies."""
    routes = APIRouter(
        tags=["stored"], responses=openapi.PROBLEMS, dependencies=[Depends(only_known)]
    )
    example = {"name": "prompts", "state": "open", "hours": 0.31, "allowed_hours": 0.5}

    @routes.get("/v1/studies", responses=openapi.listed(example), response_class=Response)
    async def listed(
        request: Request,
        limit: Limit = 100,
        after: Annotated[int | None, Query(ge=0, le=LAST_ROW)] = None,
    ) -> Response:
        """Studies, oldest first: how far they are and how they ended."""

        def work(world: World) -> tuple[list[dict[str, Any]], str | None]:
            found = [r for r in studies.all_studies(world.engine) if r.study_id > (after or 0)]
            following = str(found[limit - 1].study_id) if len(found) > limit else None
            return [line_of(world.engine, one) for one in found[:limit]], following

        return await page_of(request, work)

    @routes.get(
        "/v1/studies/{name}", responses=openapi.shown(["name", "state", "sections"]),
        response_class=Response,
    )  # fmt: skip
    async def one(
        request: Request,
        name: Annotated[str, Path(min_length=1, max_length=200, pattern=PLAIN_TEXT)],
    ) -> Response:
        """A study now: answer, spending, how the regret fell, what was ruled out, what is next, and why."""
        return await respond(request, lambda world: _shown(world, name))

    return routes


def _shown(world: World, name: str) -> dict[str, Any]:
    try:
        found = progress(world.engine, name)
    except UnknownNameError as problem:
        raise HTTPException(404, str(problem)) from None
    told = {"headline": headline_now(found), "sections": to_json(progress_sections(found))}
    return {**found, **told}
