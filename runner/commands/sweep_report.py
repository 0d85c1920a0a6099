"""`soundscale sweep report`: parse, one call, print."""

from __future__ import annotations

from typing import Any

from planner.cli.options import echo, echo_json, echo_rows, talk
from planner.store.engine import opened
from runner.sweep import beside
from runner.sweep import report as sweep_report


def report(db: str | None, name: str, output_format: str) -> None:
    """`sweep report`: what each trial was expected to take, and what it took."""
    with opened(db, must_exist=True) as engine:
        outcomes = sweep_report.report(engine, name)
    if output_format == "json":
        echo_json(outcomes)
        return
    rows = outcomes["trials"]
    if output_format == "table":
        rows = [sweep_report.shown_outcome(row) for row in rows]
    echo_rows(rows, output_format, sweep_report.REPORT_COLUMNS)
    echo_beside(outcomes, output_format)
    talk(sweep_report.summary_line(outcomes["summary"]))
    for stage in outcomes["latency_stages"]:
        talk(sweep_report.stage_line(stage))


def echo_beside(outcomes: dict[str, Any], output_format: str) -> None:
    """What the runs came to in engines, and the untrained checkpoints, where a table is for people."""
    if output_format != "table":
        return
    if outcomes["engines"]:
        shown = [beside.shown_engine(row) for row in outcomes["engines"]]
        echo_rows(shown, output_format, beside.ENGINE_COLUMNS)
    for row in outcomes["references"]:
        echo(row["verdict"])
