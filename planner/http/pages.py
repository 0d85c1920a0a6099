"""The page and its files, read once and served from memory: no path of a request touches the disk."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import resources

from fastapi import APIRouter, HTTPException, Request
from starlette.responses import Response

from planner.http.compressing import takes_gzip
from planner.words import question

_KINDS = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}
PAGES = {
    "/": "index.html", "/runs": "runs.html", "/fits": "fits.html", "/sql": "sql.html",
    "/sweeps": "sweeps.html", "/studies": "studies.html",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    packed: bytes
    kind: str
    etag: str


def _read_all() -> dict[str, _File]:
    out = {}
    folder = resources.files("planner.http") / "web"
    for sub in ("", "vendor"):
        for entry in (folder / sub if sub else folder).iterdir():
            kind = _KINDS.get(entry.name.rpartition(".")[2])
            if kind is None or not entry.is_file():
                continue
            name = f"{sub}/{entry.name}" if sub else entry.name
            out[name] = _file(entry.read_bytes(), kind)
    out["question.js"] = _file(_question_module().encode(), _KINDS["js"])
    return out


def _file(body: bytes, kind: str) -> _File:
    etag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
    return _File(body, gzip.compress(body, 9, mtime=0), kind, etag)


def _question_module() -> str:
    """The fields of a question as a module of the page, from their one description."""
    fields = {one["name"]: one for one in question.as_json()}
    text = json.dumps(fields, ensure_ascii=False, allow_nan=False, indent=1)
    return (
        f"// Made by the service from planner/words/question.py.\nexport const FIELDS = {text};\n"
    )


Handler = Callable[[Request], Awaitable[Response]]


def router() -> APIRouter:
    """The pages and their files."""
    routes = APIRouter(include_in_schema=False)
    files = _read_all()

    def serving(name: str | None) -> Handler:
        async def send(request: Request) -> Response:
            return _sent(files, request, name or request.path_params["name"])

        return send

    for path, name in PAGES.items():
        routes.add_route(path, serving(name), methods=["GET"])
    routes.add_route("/favicon.ico", serving("favicon.svg"), methods=["GET"])
    routes.add_route("/static/{name:path}", serving(None), methods=["GET"])
    return routes


def _sent(files: dict[str, _File], request: Request, name: str) -> Response:
    found = files.get(name)
    if found is None:
        raise HTTPException(404, "no such file")
    # A vendored file does not change between versions; the page's own are asked for again.
    age = "public, max-age=86400" if name.startswith("vendor/") else "no-cache"
    headers = {"ETag": found.etag, "Cache-Control": age, "Vary": "Accept-Encoding"}
    if request.headers.get("if-none-match") == found.etag:
        return Response(status_code=304, headers=headers)
    if takes_gzip(request.headers.get("accept-encoding", "")):
        headers["Content-Encoding"] = "gzip"
        return Response(found.packed, media_type=found.kind, headers=headers)
    return Response(found.body, media_type=found.kind, headers=headers)
