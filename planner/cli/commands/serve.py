"""`soundscale serve` and `tokens`: the HTTP service and who may use it."""

from __future__ import annotations

import gc
import sys
from typing import Any, TextIO

import click

from planner.cli.options import (
    ANSWER_FORMATS,
    Quantity,
    db_option,
    echo,
    echo_json,
    echo_rows,
    format_option,
    talk,
)
from planner.errors import InputError, MissingResourceError
from planner.words.units import parse_bytes


@click.command()
@db_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True,
              help="Port to listen on; 0 takes a free one.")  # fmt: skip
@click.option("--allow-host", multiple=True, metavar="NAME", help="Another name of this service.")
@click.option("--sql-db", default=None, metavar="URL",
              help="PostgreSQL role that only reads, for the SQL page.")  # fmt: skip
@click.option("--rate", type=click.FloatRange(min=0), default=50.0, show_default=True,
              help="Requests a second of one client; 0 for no limit.")  # fmt: skip
@click.option("--transcribe", "transcribe", default=None, metavar="ANSWER|RUN|FOLDER",
              help="Also transcribe recordings by this model, for those with a token.")  # fmt: skip
@click.option("--upload", "upload_bytes", type=Quantity("size", parse_bytes), default="25MB",
              show_default=True, help="Largest recording's file.")  # fmt: skip
@click.option("--at-once", type=click.IntRange(1), default=1, show_default=True,
              help="Recordings transcribed at the same time; each takes a thread.")  # fmt: skip
@click.option("--log", "log_format", type=click.Choice(["json", "text", "none"]), default=None,
              help="Log on stderr, one line a request.  [default: text on a terminal, else json]")  # fmt: skip
def serve(
    db: str | None, host: str, port: int, allow_host: tuple[str, ...], sql_db: str | None,
    rate: float, transcribe: str | None, upload_bytes: float, at_once: int, log_format: str | None,
) -> None:  # fmt: skip
    """Serve the planner page and the HTTP API.

    Only this machine can reach it unless --host says otherwise, and then every request needs a token
    (soundscale tokens add). With --transcribe, POST /v1/transcribe takes a recording and
    /v1/audio/transcriptions what OpenAI's clients send; both need a token of scope plan.

    \b
    Examples:
      soundscale serve
      soundscale serve --db lab.db --port 8080
      soundscale serve --host 0.0.0.0 --allow-host plan.example.org
      soundscale serve --transcribe model
    """
    try:
        from planner.http import server
        from planner.http.settings import Settings
    except ImportError:
        raise MissingResourceError(
            "the service needs FastAPI and uvicorn, which are not installed; "
            "run: pip install 'soundscale[service]'"
        ) from None
    receive_seconds, respond_seconds = CLOCKS[transcribe is not None]
    settings = Settings(
        db=db, host=host, port=port, allowed_hosts=tuple(h.lower() for h in allow_host),
        sql_db=sql_db, requests_per_second=rate, log_format=log_format or ("text" if sys.stderr.isatty() else "json"),
        upload_bytes=None if transcribe is None else round(upload_bytes),
        transcribe_at_once=at_once, receive_seconds=receive_seconds, respond_seconds=respond_seconds,
    )  # fmt: skip
    server.check(settings)
    transcriber = None if transcribe is None else _transcriber(db, transcribe)
    running = server.server(settings, transcriber)
    socket = server.listen(settings)
    from planner.store.engine import redacted, resolve_url

    shown = f"[{host}]" if ":" in host else host
    if transcriber is not None:
        talk(f"transcribing by {transcriber.label}")
    talk(f"serving {redacted(resolve_url(db))} on http://{shown}:{socket.getsockname()[1]}/")
    # What was loaded stays: looked through again and again for cycles it would hold up every thread.
    gc.collect()
    gc.freeze()
    running.run(sockets=[socket])


CLOCKS = {False: (10.0, 60.0), True: (60.0, 600.0)}
"""Most that a request may take to arrive and its answer to be taken (s), without a served model and with one: an
upload of 25 MB on a slow line, and an hour of audio at 6 times its speed."""


def _transcriber(db: str | None, which: str) -> Any:
    """The model that an installed plug-in opens.

    Raises:
        MissingResourceError: no plug-in offers to.
        SoundscaleError: there is no such model.
    """
    offers = getattr(click.get_current_context().find_root().command, "offers", {})
    if "transcriber" not in offers:
        raise MissingResourceError(
            "--transcribe needs the runner, which is not installed; run: pip install 'soundscale[onnx]'"
        )
    return offers["transcriber"](db, which, talk)


@click.group()
def tokens() -> None:
    """Tokens of the HTTP service: who may ask, and what."""


@tokens.command("add")
@click.argument("name")
@db_option
@click.option("--scope", "scopes", type=click.Choice(["read", "plan", "admin"]), multiple=True,
              default=("read",), show_default=True, help="Each includes those before it.")  # fmt: skip
@click.option("--from", "source", type=click.File("r"), default=None, metavar="FILE",
              help="Take the token from a file, - for stdin; else a random one is made.")  # fmt: skip
def add_token(name: str, db: str | None, scopes: tuple[str, ...], source: TextIO | None) -> None:
    """Store a token under NAME and print it, once; the database keeps its hash alone.

    \b
    Examples:
      soundscale tokens add ci --scope read > ci.token
      soundscale tokens add lab --scope admin --from lab.token
    """
    from planner.store import api_tokens as store
    from planner.store.engine import opened

    given = None if source is None else source.read(4096).strip()
    if given == "":
        raise InputError("the file holds no token; leave --from out and a random one is made")
    token = given or store.new_token()
    with opened(db, must_exist=True) as engine:
        store.add(engine, name, token, scopes)
    if given is None:
        echo(token)
        talk(f"token {name!r} with scope {' '.join(scopes)}; it is not shown again")
    else:
        talk(f"token {name!r} with scope {' '.join(scopes)} stored")


@tokens.command("list")
@db_option
@format_option()
def list_tokens(db: str | None, output_format: str) -> None:
    """List tokens by name; the tokens themselves are not stored.

    \b
    Example:
      soundscale tokens list
    """
    from planner.store import api_tokens as store
    from planner.store.engine import opened

    with opened(db, must_exist=True) as engine:
        rows = [
            {
                "name": t.name, "scopes": " ".join(t.scopes), "created_utc": t.created_utc,
                "revoked_utc": t.revoked_utc,
            }
            for t in store.tokens(engine)
        ]  # fmt: skip
    echo_rows(rows, output_format, empty="no token is stored")


@tokens.command("revoke")
@click.argument("name")
@db_option
@format_option(ANSWER_FORMATS)
def revoke_token(name: str, db: str | None, output_format: str) -> None:
    """Make the token NAME useless from now on.

    \b
    Example:
      soundscale tokens revoke ci
    """
    from planner.store import api_tokens as store
    from planner.store.engine import opened

    with opened(db, must_exist=True) as engine:
        store.revoke(engine, name)
    if output_format != "table":
        echo_json({"name": name, "revoked": True})
        return
    talk(f"token {name!r} is revoked")
