"""Routes of questions: each by GET with a query string and by POST with JSON.

A GET changes nothing. A POST of a plan also stores the answer under its id, as the command does, so
that `/v1/answers/{id}` shows it and `soundscale answers replay` makes it again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import Scope

from planner.http import openapi, sheets
from planner.http import schemas as s
from planner.http.query_string import asked, parameters
from planner.http.quotas import too_many
from planner.http.settings import Settings
from planner.http.working import workers
from planner.http.world import Made, Ready, World
from planner.service import asking, frontier, next_runs, target, whatif
from planner.service.fitting import check_task
from planner.service.prepared import Prepared
from planner.words.question import COSTS, PlanQuery


@dataclass(frozen=True, slots=True, kw_only=True)
class _UseCase:
    """One kind of question.

    Attributes:
        make: the answer as a JSON object from what was prepared and what is asked beside its query.
        check: refuses a question before any work.
        keep: stores the answer of a POST.
    """

    path: str
    model: type[s.Question]
    summary: str
    make: Callable[..., dict[str, Any]]
    check: Callable[[PlanQuery], PlanQuery] = lambda query: query
    keep: bool = False
    post: bool = True


def _plan(world: World, prepared: Prepared) -> dict[str, Any]:
    return asking.answer_from(prepared).json


def _target(world: World, prepared: Prepared, error: float, minimise: str) -> dict[str, Any]:
    return target.target_from(prepared, error, COSTS[minimise])


def _frontier(world: World, prepared: Prepared, x: str) -> dict[str, Any]:
    return frontier.frontier_from(prepared, x)


def _whatif(world: World, prepared: Prepared, **configuration: Any) -> dict[str, Any]:
    return whatif.whatif_from(world.engine, prepared.query, prepared.report, **configuration)


def _suggest(world: World, prepared: Prepared, hours: float, worth: float) -> dict[str, Any]:
    return next_runs.suggest_from(prepared, hours, worth)


def _candidates(world: World, prepared: Prepared) -> dict[str, Any]:
    return sheets.candidates(prepared)


def _curves(world: World, prepared: Prepared, **configuration: Any) -> dict[str, Any]:
    return sheets.drawn(prepared, **configuration)


USE_CASES: tuple[_UseCase, ...] = (
    _UseCase(
        path="/v1/plan", model=s.LimitedQuestion, make=_plan, check=asking.check_limits, keep=True,
        summary="The configuration with the fewest expected errors under limits",
    ),
    _UseCase(
        path="/v1/plan/target", model=s.TargetQuestion, make=_target,
        summary="The least of one resource for a quality",
    ),
    _UseCase(
        path="/v1/frontier", model=s.FrontierQuestion, make=_frontier,
        summary="The lowest expected error at each cost",
    ),
    _UseCase(
        path="/v1/whatif", model=s.WhatIfQuestion, make=_whatif,
        summary="One configuration's error, costs and chance of meeting each limit",
    ),
    _UseCase(
        path="/v1/suggest", model=s.SuggestQuestion, make=_suggest,
        summary="The runs that would improve this decision most",
    ),
    _UseCase(
        path="/v1/candidates", model=s.StudyQuestion, make=_candidates, post=False,
        summary="Every configuration with its error and costs, for charts",
    ),
    _UseCase(
        path="/v1/curves", model=s.CurvesQuestion, make=_curves, post=False,
        summary="The law along each axis through one configuration, and at equal FLOPs",
    ),
)  # fmt: skip


async def answer(request: Request, case: _UseCase, question: s.Question, *, keep: bool) -> Response:
    """The answer as JSON: what is ready at once, what has to be made on a thread."""
    world: World = request.app.state.world
    settings: Settings = request.app.state.settings
    query = question.to_query()
    check_task(query.task)
    query = case.check(query)
    beside = question.beside_query()
    state = world.known_state()
    if state is None:
        state = await asyncio.to_thread(world.state)
    if keep:
        request.app.state.stored_answers.take(str(request.scope["state"]["client"]))
    made = None if keep else world.found(state, case.path, query, _key(beside))
    if made is None:
        made = await workers(request).run(
            lambda: _worked_out(
                world, state, case, query, beside, most=settings.answers_stored if keep else None
            )
        )
    headers = {}
    if made.answer_id is not None:
        request.scope["state"]["answer_id"] = headers["X-Answer-Id"] = made.answer_id
    if request.method == "GET":
        ready = Ready(made.body, headers, request.scope["route"])
        world.remember(state, words(request.scope), ready)
    return Response(made.body, media_type="application/json", headers=headers)


def words(scope: Scope) -> Hashable:
    """What a question by GET says, as it was written."""
    return scope["path"], scope["query_string"]


def _key(beside: dict[str, Any]) -> Hashable:
    """What is asked beside a query, as part of the key of its answer."""
    return tuple(sorted(beside.items()))


def _worked_out(
    world: World,
    state: str,
    case: _UseCase,
    query: PlanQuery,
    beside: dict[str, Any],
    *,
    most: int | None,
) -> Made:
    """The answer; where `most` is given, stored as one of at most so many."""
    if most is not None and asking.n_stored(world.engine) >= most:
        raise too_many(
            f"the database holds {most} answers, as many as the service may store there; ask by GET, "
            "which stores nothing",
            3600,
        )
    made = world.answer(
        state, case.path, query, _key(beside), lambda p: case.make(world, p, **beside)
    )
    if most is not None:
        asking.keep(world.engine, json.loads(made.body))
    return made


def router() -> APIRouter:
    """The routes of all questions."""
    routes = APIRouter(tags=["questions"], responses=openapi.PROBLEMS)
    for case in USE_CASES:
        _add(routes, case)
    return routes


def _add(routes: APIRouter, case: _UseCase) -> None:
    model: type[BaseModel] = case.model
    name = case.path.removeprefix("/v1/").replace("/", "_")

    async def by_get(request: Request, question: Any) -> Response:
        return await answer(request, case, question, keep=False)

    async def by_post(request: Request, question: Any) -> Response:
        return await answer(request, case, question, keep=case.keep)

    # The framework reads the types of a route's parameters; these are known only here.
    by_get.__annotations__["question"] = Annotated[model, Depends(asked(model))]
    by_post.__annotations__["question"] = model
    shown: dict[int | str, dict[str, Any]] = {200: openapi.answered(case.path)}
    routes.add_api_route(
        case.path, by_get, methods=["GET"], summary=case.summary, operation_id=f"get_{name}",
        response_class=Response, responses=shown, openapi_extra=parameters(model),
    )  # fmt: skip
    if case.post:
        more = " The answer is stored under its id." if case.keep else ""
        routes.add_api_route(
            case.path, by_post, methods=["POST"], summary=case.summary,
            operation_id=f"post_{name}", description=f"The same question as JSON.{more}",
            response_class=Response, responses=shown,
        )  # fmt: skip
