"""`soundscale doctor`: is everything here that a campaign stands on?"""

from __future__ import annotations

import dataclasses

import click

from planner.cli.options import db_option, echo_rows, format_option
from planner.errors import MissingResourceError

COLUMNS = (("what", "looked at"), ("state", "state"), ("found", "found"), ("remedy", "what to do"))


@click.command()
@db_option
@click.option(
    "--ray", "ray_address", default=None, metavar="auto|ADDRESS", help="Look at this cluster too."
)
@click.option(
    "--artifacts",
    default="soundscale-artifacts",
    show_default=True,
    metavar="FOLDER|URL",
    help="Written to and read back.",
)
@format_option()
def doctor(db: str | None, ray_address: str | None, artifacts: str, output_format: str) -> None:
    """Look at versions, database, clocks, TLS, leases, artifacts, GPU and Ray's nodes; exit code 5 where one is bad.

    \b
    Example:
      soundscale doctor --db postgresql://me@host/runs --ray auto --artifacts s3://bucket/runs
    """
    from runner.campaign.artifacts import absolute
    from runner.campaign.doctor import examine
    from runner.campaign.drive import absolute_db

    findings = examine(absolute_db(db), absolute(artifacts), ray_address)
    echo_rows([dataclasses.asdict(f) for f in findings], output_format, COLUMNS)
    bad = [f.what for f in findings if f.state == "bad"]
    if bad:
        raise MissingResourceError(f"{', '.join(bad)}: a sweep would fail here; see the table")
