"""`soundscale sweep latency`: parsing and printing; the stage itself is in runner.probing.stage."""

from __future__ import annotations

from typing import Any

import click

from planner.cli.options import db_option, echo_json, echo_rows, format_option, talk

COLUMNS = (
    ("label", "configuration"),
    ("request_p50_ms", "p50 ms"),
    ("request_p95_ms", "p95 ms"),
    ("share_above_p95", "above p95"),
    ("p50_ms", "a window, p50 ms"),
    ("noise_floor", "A/A"),
    ("contention", "contention"),
    ("quiet", "quiet"),
)


@click.command()
@click.argument("name")
@db_option
@click.option(
    "--ray",
    "ray_address",
    metavar="none|auto|ADDRESS",
    default="none",
    show_default=True,
    help="Where: on this host, or on each host of a running cluster what was trained there.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.0),
    default=None,
    help="Time to take.  [default: a tenth of what the training took]",
)
@click.option(
    "--engine",
    "engines",
    multiple=True,
    help="Also the exports for this engine, in the same turns; `any`: for all. May be given again.",
)
@click.option("--again", is_flag=True, help="Also what was measured alone before.")
@click.option("--quiet", "-q", is_flag=True, help="No progress, only the answer.")
@format_option()
def latency(name: str, db: str | None, output_format: str, quiet: bool, **asked: Any) -> None:
    """Measure the latency of sweep NAME's finished runs: alone on this host, in turns.

    No trial is claimed here meanwhile, and those that run are waited for. Stopped, it goes on where
    it was.

    \b
    Example:
      soundscale sweep latency quickstart --again
      soundscale sweep latency quickstart --engine any
    """
    from runner import sweep_latency
    from runner.campaign.drive import absolute_db
    from runner.sweep import prepare
    from runner.sweep.report import stage_row

    prepare.require_runner()
    say = (lambda line: None) if quiet else talk
    request = sweep_latency.LatencyRequest(sweep=name, **asked)
    outcomes = sweep_latency.run(absolute_db(db), request, say)
    rows = sweep_latency.rows(absolute_db(db), name)
    stages = [stage_row(one.stage) for one in outcomes if one.stage is not None]
    if not stages:
        say("nothing to measure: every finished run was measured alone before; --again does it")
    if output_format == "json":
        echo_json({"name": name, "latency_stages": stages, "runs": rows})
        return
    echo_rows(rows, output_format, COLUMNS, empty="no latency is stored")
