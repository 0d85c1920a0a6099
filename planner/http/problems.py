"""Errors as RFC 9457 problem details: the same message as the command prints, and its status."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from planner.errors import (
    FitError,
    InfeasibleError,
    InputError,
    MissingResourceError,
    NoLawError,
    OutsideDataError,
    ProbabilityError,
    SoundscaleError,
    StoreError,
)
from planner.http.access import TRANSCRIBE_PATHS

OPENAI = TRANSCRIBE_PATHS[1]
MEDIA_TYPE = "application/problem+json"

STATUS: tuple[tuple[type[SoundscaleError], int, str], ...] = (
    (ProbabilityError, 409, "the probability is too low"),
    (InfeasibleError, 409, "nothing meets the limits"),
    (OutsideDataError, 409, "too far outside the data"),
    (FitError, 409, "no usable fit"),
    (MissingResourceError, 424, "something is missing"),
    (StoreError, 503, "the database cannot be used"),
    (InputError, 422, "the question cannot be asked"),
    (SoundscaleError, 400, "it cannot be done"),
)
"""Error -> HTTP status and title; the first that fits."""

TITLES = {
    400: "the request cannot be read",
    401: "a token is needed",
    403: "not allowed",
    404: "there is nothing here",
    405: "method not allowed",
    406: "format not available",
    408: "the request did not arrive in time",
    413: "the request is too large",
    415: "the body is not JSON",
    421: "not a name of this service",
    422: "the question cannot be asked",
    429: "too many requests",
    500: "a bug",
    503: "not now",
}


def document(status: int, detail: str, path: str = "", **members: Any) -> dict[str, Any]:
    """The members of a problem: type, title, status, detail, and what the kind adds.

    OpenAI's clients print `error.message` and nothing else, so a problem of the route made for them has it too.
    """
    if path == OPENAI:
        members["error"] = {"message": detail, "type": "invalid_request_error", "code": None}
    title = members.pop("title", None) or TITLES.get(status, "a problem")
    kind = members.pop("kind", None) or title.replace(" ", "-")
    return {
        "type": f"urn:soundscale:problem:{kind}",
        "title": title,
        "status": status,
        "detail": detail,
        **members,
    }


def response(
    status: int, detail: str, headers: dict[str, str] | None = None, **members: Any
) -> Response:
    """A problem as a response; ASCII, so that whatever was sent can be named in it."""
    body = json.dumps(document(status, detail, **members), allow_nan=False)
    return Response(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def of_error(error: SoundscaleError, path: str = "") -> dict[str, Any]:
    """The problem of an error raised on purpose."""
    status, title = next((s, t) for kind, s, t in STATUS if isinstance(error, kind))
    members: dict[str, Any] = {"title": title, "exit_code": error.exit_code}
    if isinstance(error, InfeasibleError | NoLawError) and error.details:
        members["answer"] = error.details
    return document(status, str(error), path, **members)


def error_response(error: SoundscaleError, path: str = "") -> Response:
    """An error raised on purpose as a response."""
    found = of_error(error, path)
    headers = {"Retry-After": "5"} if found["status"] == 503 else None
    body = json.dumps(found, allow_nan=False)
    return Response(body, found["status"], media_type=MEDIA_TYPE, headers=headers)


def invalid(errors: Sequence[Any]) -> Response:
    """Fields that were refused, each with why; the values themselves are not sent back."""
    if any(e["type"] == "json_invalid" for e in errors):
        return response(400, 'the body is not JSON; send an object such as {"task": "asr"}')
    listed = [{"field": _field(e), "message": _message(e)} for e in errors[:20]]
    said = "; ".join(f"{e['field']}: {e['message']}" for e in listed[:5])
    return response(422, f"{said}; see /openapi.json", errors=listed)


def _field(error: Any) -> str:
    # The first part says where it was sent; a field may have the same name.
    first, *rest = [str(p) for p in error["loc"]] or ["body"]
    parts = rest if first in ("query", "body", "path") and rest else [first]
    return ".".join(parts)[:200]


def _message(error: Any) -> str:
    if error["type"] == "extra_forbidden":
        return "unknown field"
    if error["type"] in _NOT_AN_OBJECT and len(error["loc"]) == 1:
        return 'must be an object such as {"task": "asr"}'
    text = str(error["msg"])
    return text.removeprefix("Value error, ")[:300]


_NOT_AN_OBJECT = ("model_attributes_type", "model_type", "dict_type")
_JSON = re.compile(r"application/([\w.+-]+\+)?json\s*(;|$)", re.IGNORECASE)


def _sent_otherwise(request: Request, errors: Sequence[Any]) -> Response | None:
    """That a body has another type than JSON; None where that is not what stands in the way."""
    sent = request.headers.get("content-type", "")
    whole = any(e["type"] in _NOT_AN_OBJECT and tuple(e["loc"]) == ("body",) for e in errors)
    if not whole or _JSON.match(sent):
        return None
    said = f"the body is {sent[:80]}" if sent else "the body has no content-type"
    return response(415, f"{said}; send a question as JSON, with Content-Type: application/json")


def methods_of(request: Request, said: str) -> list[str]:
    """The methods of the address that was asked for, by the schema; `said` is what its first route allows.

    A route with GET and one with POST may share an address, and the framework names the first one's alone.
    """
    found = {method.strip() for method in said.split(",") if method.strip()}
    for template, operations in request.app.openapi()["paths"].items():
        pattern = re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, request.url.path):
            found |= {name.upper() for name in operations}
    return sorted(found | ({"HEAD"} if "GET" in found else set()))


def install(app: FastAPI) -> None:
    """Make every error of the application a problem."""

    @app.exception_handler(SoundscaleError)
    async def _on_purpose(request: Request, error: SoundscaleError) -> Response:
        return error_response(error, request.url.path)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        return _sent_otherwise(request, error.errors()) or invalid(error.errors())

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        detail = str(error.detail)
        if detail == "Not Found":
            detail = "no such page or route; the routes are listed in /openapi.json"
        if error.status_code == 405:
            detail = f"{request.method} is not a method of this route; see /openapi.json"
        headers = dict(error.headers or {})
        if error.status_code == 405:
            first = "".join(v for k, v in headers.items() if k.lower() == "allow")
            headers = {k: v for k, v in headers.items() if k.lower() != "allow"}
            headers["Allow"] = ", ".join(methods_of(request, first))
        return response(error.status_code, detail, headers, path=request.url.path)
