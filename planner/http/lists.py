"""Routes of what is stored: runs, fits, sweeps, devices, answers; and fitting as a job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import Response

from planner.errors import InputError
from planner.http import openapi, sheets
from planner.http.fitting import Fitting, job_json
from planner.http.schemas import PLAIN_TEXT, FitQuestion
from planner.http.working import workers
from planner.http.world import World, encoded
from planner.report import answer_text
from planner.service import lists
from planner.store import jobs, list_pages, read
from planner.store.row_types import TrialStatus
from planner.words.records import to_json

MAX_ITEMS = 500

Text = Annotated[str | None, Query(min_length=1, max_length=200, pattern=PLAIN_TEXT)]
Limit = Annotated[int, Query(ge=1, le=MAX_ITEMS, description="items of one page")]
After = Annotated[
    str | None, Query(min_length=1, max_length=400, pattern=r"^[A-Za-z0-9_-]+$",
                      description="`next` of the page before")
]  # fmt: skip
Key = Annotated[str, Path(pattern=r"^[0-9a-f]{8,64}$")]
LAST_ROW = 2**31 - 1


async def respond(request: Request, work: Callable[[World], Any]) -> Response:
    """JSON of what `work` gives on the database."""
    world: World = request.app.state.world
    body = await workers(request).run(lambda: encoded(work(world)))
    return Response(body, media_type="application/json")


async def page_of(
    request: Request, work: Callable[[World], tuple[list[dict[str, Any]], str | None]]
) -> Response:
    """A page of a list, with a link to the next."""
    world: World = request.app.state.world

    def made() -> tuple[bytes, str | None]:
        items, following = work(world)
        return encoded({"items": items, "next": following}), following

    body, following = await workers(request).run(made)
    headers = {}
    if following is not None:
        query = urlencode({**dict(request.query_params), "after": following})
        headers["Link"] = f'<{request.url.path}?{query}>; rel="next"'
    return Response(body, media_type="application/json", headers=headers)


def _or_404(work: Callable[[], Any]) -> Any:
    """A thing named in the path that is not there is 404, not a wrong question."""
    try:
        return work()
    except InputError as problem:
        raise HTTPException(404, str(problem)) from None


def only_known(request: Request) -> None:
    """Refuse parameters that the route does not have: a misspelt filter would list everything.

    Raises:
        RequestValidationError: names the first.
    """
    known = {parameter.alias for parameter in request.scope["route"].dependant.query_params}
    for name in request.query_params:
        if name not in known:
            raise RequestValidationError([{"type": "extra_forbidden", "loc": ("query", name)}])


def router() -> APIRouter:
    """The routes of stored things."""
    routes = APIRouter(
        tags=["stored"], responses=openapi.PROBLEMS, dependencies=[Depends(only_known)]
    )
    _runs(routes)
    _fits(routes)
    _fitting(routes)
    _sweeps(routes)
    _answers(routes)
    return routes


def _runs(routes: APIRouter) -> None:
    example = {"run_id": 27, "backbone": "whisper-base", "audio_seconds": 5.0, "error": 0.1038}

    @routes.get("/v1/runs", responses=openapi.listed(example), response_class=Response)
    async def runs(
        request: Request,
        task: Text = None,
        sweep: Text = None,
        status: Text = None,
        source: Text = None,
        limit: Limit = 100,
        after: Annotated[int | None, Query(ge=0, le=LAST_ROW)] = None,
    ) -> Response:
        """Runs in the order of their ids, with error, FLOPs and latency."""

        def work(world: World) -> tuple[list[dict[str, Any]], str | None]:
            found = lists.runs(
                world.db, task=task, sweep=sweep, status=status, provenance=source,
                limit=limit + 1, after=after,
            )  # fmt: skip
            following = str(found[limit - 1]["run_id"]) if len(found) > limit else None
            return found[:limit], following

        return await page_of(request, work)

    @routes.get(
        "/v1/runs/{run_id}", responses=openapi.shown(["run_id", "trial"]), response_class=Response
    )
    async def run(
        request: Request,
        run_id: Annotated[int, Path(ge=1, le=LAST_ROW)],
        utterances: bool = False,
    ) -> Response:
        """One run: the trial, its numbers, how they were taken, or why it failed."""
        return await respond(
            request,
            lambda w: _or_404(lambda: lists.run_detail(w.db, run_id, utterances=utterances)),
        )


def _fits(routes: APIRouter) -> None:
    example = {"fit_id": "aa80ff9e9a95", "task": "asr", "law": "additive", "status": "converged"}

    @routes.get("/v1/fits", responses=openapi.listed(example), response_class=Response)
    async def fits(
        request: Request, task: Text = None, limit: Limit = 100, after: After = None
    ) -> Response:
        """Stored fits, oldest first."""

        def work(world: World) -> tuple[list[dict[str, Any]], str | None]:
            rows, following = list_pages.fits(world.engine, task=task, limit=limit, after=after)
            return [lists.fit_line(r) for r in rows], following

        return await page_of(request, work)

    @routes.get(
        "/v1/fits/{fit_id}", responses=openapi.shown(["fit_id", "law"]), response_class=Response
    )
    async def fit(request: Request, fit_id: Key) -> Response:
        """One stored fit: formula, parameters with intervals, what it cannot say."""

        def work(world: World) -> Any:
            return answer_text.stored_fit_json(lists.fit(world.db, fit_id))

        return await respond(request, lambda w: _or_404(lambda: work(w)))


def _fitting(routes: APIRouter) -> None:
    @routes.post(
        "/v1/fits", status_code=202, response_class=Response,
        responses={202: {"description": "A job to poll; its address is in Location"}},
    )  # fmt: skip
    async def start_fit(request: Request, question: FitQuestion) -> Response:
        """Fit a law to the runs of one study; takes seconds, so it answers with a job."""
        fitting: Fitting = request.app.state.fitting
        job = await workers(request).run(lambda: fitting.start(question))
        headers = {"Location": f"/v1/jobs/{job.job_id}", "Retry-After": "1"}
        body = encoded(job_json(job))
        return Response(body, 202, media_type="application/json", headers=headers)

    @routes.get(
        "/v1/jobs/{job_id}", responses=openapi.shown(["job_id", "state"]), response_class=Response
    )
    async def job(request: Request, job_id: Key) -> Response:
        """A job: queued, running, finished with its result, or failed with the problem."""
        return await respond(
            request, lambda w: _or_404(lambda: job_json(jobs.job(w.engine, job_id)))
        )


def _sweeps(routes: APIRouter) -> None:
    example = {"name": "quickstart", "n_trials": 24, "n_finished": 21, "n_running": 2}

    @routes.get("/v1/sweeps", responses=openapi.listed(example), response_class=Response)
    async def sweeps(
        request: Request,
        limit: Limit = 100,
        after: Annotated[int | None, Query(ge=0, le=LAST_ROW)] = None,
    ) -> Response:
        """Sweeps, oldest first, with their trials in each state."""

        def work(world: World) -> tuple[list[dict[str, Any]], str | None]:
            found = [r for r in read.sweeps(world.engine) if r.sweep_id > (after or 0)]
            following = str(found[limit - 1].sweep_id) if len(found) > limit else None
            return [to_json(r) for r in found[:limit]], following

        return await page_of(request, work)

    @routes.get(
        "/v1/sweeps/{name}", responses=openapi.shown(["name", "trials"]), response_class=Response
    )
    async def sweep(
        request: Request,
        name: Annotated[str, Path(min_length=1, max_length=200, pattern=PLAIN_TEXT)],
    ) -> Response:
        """A sweep now: each trial's state, progress, result, or why it failed."""
        return await respond(
            request, lambda w: _or_404(lambda: _sweep(read.sweep_status(w.engine, name)))
        )

    @routes.get(
        "/v1/devices", responses=openapi.listed({"name": "h100", "n_latencies": 12}),
        response_class=Response,
    )  # fmt: skip
    async def devices(request: Request) -> Response:
        """Devices with latency measurements."""
        return await page_of(request, lambda w: (lists.devices(w.db), None))

    @routes.get(
        "/v1/overview", responses=openapi.shown(["tasks", "devices"]), response_class=Response
    )
    async def overview(request: Request) -> Response:
        """What can be asked of this database."""
        return await respond(request, sheets.overview)


def _answers(routes: APIRouter) -> None:
    example = {"answer_id": "7b030ae8ee9d", "task": "asr", "best": "whisper-base · 5 s window · …"}

    @routes.get("/v1/answers", responses=openapi.listed(example), response_class=Response)
    async def answers(
        request: Request, task: Text = None, limit: Limit = 100, after: After = None
    ) -> Response:
        """Stored answers, oldest first."""

        def work(world: World) -> tuple[list[dict[str, Any]], str | None]:
            rows, following = list_pages.plans(world.engine, task=task, limit=limit, after=after)
            return lists.answer_lines(world.engine, rows), following

        return await page_of(request, work)

    @routes.get(
        "/v1/answers/{answer_id}", responses=openapi.shown(["answer_id", "best"]),
        response_class=Response,
    )  # fmt: skip
    async def answer(request: Request, answer_id: Key) -> Response:
        """A stored answer, as it was given."""
        return await respond(request, lambda w: _or_404(lambda: lists.answer(w.db, answer_id)))


def _sweep(status: Any) -> dict[str, Any]:
    counts: dict[str, int] = {}
    for row in status.rows:
        counts[row.state] = counts.get(row.state, 0) + 1
    return {
        "name": status.name,
        "created_utc": status.created_utc,
        "now_utc": status.now_utc,
        "counts": counts,
        "trials": [_trial(row) for row in status.rows],
    }


def _trial(row: TrialStatus) -> dict[str, Any]:
    keys = (
        "trial_id", "state", "n_attempts", "max_attempts", "run_id", "host", "phase", "step",
        "n_steps", "loss", "elapsed_seconds", "metric", "error", "std_error", "failure_class",
        "failure_text",
    )  # fmt: skip
    return {"label": row.trial.label, **{k: getattr(row, k) for k in keys}}
