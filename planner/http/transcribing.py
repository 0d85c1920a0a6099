"""`/v1/transcribe` and `/v1/audio/transcriptions`: recordings in, their text out, where a model is served.

The model comes from outside (`soundscale serve --transcribe`): the planner knows no engine. The second route takes
what OpenAI's clients send and gives what they expect.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Literal, Protocol

from fastapi import APIRouter, HTTPException, Query, Request
from starlette.datastructures import FormData, UploadFile
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from planner.http import openapi
from planner.http.access import TRANSCRIBE_PATHS
from planner.http.schemas import Name
from planner.http.working import busy

N_WAITING = 8
"""Recordings that may wait for the model; more are told to come back."""

MEDIA = {
    "text": "text/plain; charset=utf-8",
    "srt": "text/plain; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
    "json": "application/json",
    "verbose_json": "application/json",
}
"""Format of a transcript -> what it is sent as."""

FIELDS = ("file", "model", "response_format", "temperature", "language", "stream")
"""What the second route reads; a field beside them is refused, as it would have no effect."""

NATIVE, OPENAI = TRANSCRIBE_PATHS


class Transcriber(Protocol):
    """A served model.

    Attributes:
        label: its name.
        languages: codes that it can be asked for; empty: it does not say.
    """

    label: str
    languages: tuple[str, ...]

    def transcribe(self, raw: bytes, name: str, form: str, cut: str | None) -> str:
        """The transcript of a recording's file, as `text`, `srt`, `vtt`, `json` or `openai`-like JSON.

        Raises:
            SoundscaleError: the recording cannot be used.
        """
        ...


class Transcribing:
    """A bounded number of recordings at once, and a bounded queue."""

    def __init__(self, transcriber: Transcriber, at_once: int) -> None:
        self.transcriber, self._most, self._n = transcriber, at_once + N_WAITING, 0
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="transcribe")

    async def run(self, raw: bytes, name: str, form: str, cut: str | None) -> str:
        """The transcript.

        Raises:
            HTTPException: 503 where too many wait.
            SoundscaleError: the recording cannot be used.
        """
        if self._n >= self._most:
            raise busy("too many recordings wait for the model; send it again in a moment")
        self._n += 1
        work = self._pool.submit(self.transcriber.transcribe, raw, name, form, cut)
        # Counted until it ends, whether or not its client still waits.
        work.add_done_callback(self._done)
        return await asyncio.wrap_future(work)

    def _done(self, _work: Any) -> None:
        self._n -= 1

    def close(self) -> None:
        """Stop; what is under way is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _shown(description: str) -> dict[int | str, dict[str, Any]]:
    content: dict[str, Any] = {
        kind.partition(";")[0]: {"schema": {"type": "string"}} for kind in MEDIA.values()
    }
    content["application/json"] = {"schema": {"type": "object", "required": ["text"]}}
    return {200: {"description": description, "content": content}}


def _taken(*kinds: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {k: {"schema": schema} for k in kinds}}}


_FORM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["file"],
    "properties": {name: {"type": "string"} for name in FIELDS[1:]}
    | {FIELDS[0]: {"type": "string", "format": "binary"}},
}


def router() -> APIRouter:
    """The routes of a served model."""
    routes = APIRouter(tags=["transcribe"], responses=openapi.PROBLEMS)

    @routes.post(
        NATIVE, response_class=Response, responses=_shown("The transcript"),
        openapi_extra=_taken("audio/*", schema={"type": "string", "format": "binary"}),
    )  # fmt: skip
    async def native(
        request: Request,
        format: Literal["text", "srt", "vtt", "json"] = "json",
        cut: Annotated[Name | None, Query(description="consecutive, energy or silero")] = None,
        name: Name = "recording",
    ) -> Response:
        """The text of one recording: its file is the body, whatever its rate and length."""
        return await _answer(request, await _body(request), name, format, cut)

    @routes.post(
        OPENAI, response_class=Response, responses=_shown("The transcript"),
        openapi_extra=_taken("multipart/form-data", schema=_FORM_SCHEMA),
    )  # fmt: skip
    async def openai(request: Request) -> Response:
        """The text of one recording, asked for as OpenAI's clients ask."""
        try:
            async with request.form(max_files=1, max_fields=20) as form:
                upload, wanted = _read(form, request.app.state.transcribing.transcriber)
                raw, name = await upload.read(), upload.filename or "recording"
        except ClientDisconnect:
            return Response(status_code=499)
        return await _answer(request, raw, name, wanted, None)

    return routes


async def _body(request: Request) -> bytes:
    if request.headers.get("content-type", "").startswith("multipart/"):
        raise HTTPException(
            415, f"the body must be the recording itself; a form goes to POST {OPENAI}"
        )
    raw = await request.body()
    if not raw:
        raise HTTPException(
            400, f"the body is empty; send the recording: curl --data-binary @speech.wav …{NATIVE}"
        )
    return raw


def _read(form: FormData, transcriber: Transcriber) -> tuple[UploadFile, str]:
    """The file of a form and the format asked for.

    Raises:
        HTTPException: 422; a field is missing, unknown, or asks for what the model cannot do.
    """
    upload, given = form.get("file"), {k: str(v) for k, v in form.items() if k != "file"}
    if not isinstance(upload, UploadFile):
        raise HTTPException(422, "file: the form holds no recording; send it as the file `file`")
    unknown = sorted(set(given) - set(FIELDS))
    if unknown:
        raise HTTPException(
            422, f"{unknown[0][:100]}: not a field that this model takes; leave it out"
        )
    wanted = given.get("response_format", "json")
    if wanted not in MEDIA:
        raise HTTPException(
            422, f"response_format: must be one of {', '.join(MEDIA)}, not {wanted[:50]!r}"
        )
    if given.get("temperature", "0") not in ("", "0", "0.0"):
        raise HTTPException(422, "temperature: the model decodes greedily; leave it out, or send 0")
    if given.get("stream", "false").lower() not in ("", "false", "0"):
        raise HTTPException(422, "stream: texts are sent whole; leave it out, or send false")
    language = given.get("language", "")
    if language and transcriber.languages and language not in transcriber.languages:
        raise HTTPException(
            422,
            f"language: {transcriber.label} writes {', '.join(transcriber.languages)}, "
            f"not {language[:20]!r}; leave it out",
        )
    return upload, "openai_json" if wanted == "json" else wanted


async def _answer(
    request: Request, raw: bytes, name: str, wanted: str, cut: str | None
) -> Response:
    text = await request.app.state.transcribing.run(raw, name, wanted, cut)
    return Response(text, media_type=MEDIA[wanted.removeprefix("openai_")])
