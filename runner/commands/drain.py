"""`soundscale sweep drain`: take a host out of a campaign, and give it back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from planner.cli.options import db_option, echo_rows, format_option, talk

if TYPE_CHECKING:
    from sqlalchemy import Engine

COLUMNS = (("host", "host"), ("drained_utc", "drained since"), ("n_running", "trials running"))

LOOK_SECONDS = 0.5
"""Between two looks at what still runs (s)."""


@click.command()
@click.argument("host", required=False)
@click.option("--undo", is_flag=True, help="Let trials be claimed there again.")
@click.option(
    "--wait",
    "wait_seconds",
    type=click.FloatRange(min=0.0),
    default=0.0,
    metavar="SECONDS",
    help="Return only when nothing runs there any more; exit code 10 when it still does then.",
)
@db_option
@format_option()
def drain(
    host: str | None, undo: bool, wait_seconds: float, db: str | None, output_format: str
) -> None:
    """Run no trial on HOST any more, in any sweep; without HOST, list the drained ones.

    What runs there finishes its step, keeps it and goes back to the queue, uncharged. HOST is a name
    as `sweep status` shows it.

    \b
    Examples:
      soundscale sweep drain node7 --wait 60
      soundscale sweep drain node7 --undo
    """
    from planner.store import host_leases
    from runner.sweep_commands import existing_store

    if host is None and (undo or wait_seconds):
        raise click.UsageError("say which HOST: soundscale sweep drain HOST")
    with existing_store(db) as engine:
        if host is not None and undo:
            host_leases.give_up(engine, host, host_leases.DRAINED)
            talk(f"trials may be claimed on {host} again")
        elif host is not None:
            host_leases.drain(engine, host)
            _wait_until_empty(engine, host, wait_seconds)
        rows = _rows(engine)
    echo_rows(rows, output_format, COLUMNS, empty="no host is drained")


def _rows(engine: Engine) -> list[dict[str, Any]]:
    from planner.store import host_leases

    return [
        {"host": host, "drained_utc": since, "n_running": host_leases.n_running(engine, host)}
        for host, since in sorted(host_leases.drained(engine).items())
    ]


def _wait_until_empty(engine: Engine, host: str, seconds: float) -> None:
    """Say what runs on a drained host, and wait for it as long as was asked for.

    Raises:
        OutageError: trials still run there.
    """
    from planner.errors import OutageError
    from planner.store import host_leases

    end = time.monotonic() + seconds
    n = host_leases.n_running(engine, host)
    talk(
        f"{host} is drained: {n} trials go back to the queue after their step; to undo it: "
        f"soundscale sweep drain {host} --undo"
    )
    while n and seconds:
        if time.monotonic() > end:
            raise OutageError(
                f"{n} trials still run on {host} after {seconds:g} s; it stays drained: wait again "
                f"with the same command, or stop the host, whose trials come back when their leases end"
            )
        time.sleep(LOOK_SECONDS)
        n = host_leases.n_running(engine, host)
