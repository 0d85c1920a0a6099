"""`soundscale sweep report`: parse, one call, print."""

from __future__ import annotations

from typing import Any

from planner.cli.options import echo, echo_json, echo_rows, talk
from planner.service.sets_beside import set_rows
from planner.store import read
from planner.store.engine import opened
from runner.sweep import beside
from runner.sweep import report as sweep_report

SET_COLUMNS = (
    ("test_set", "test set"),
    ("label", "trial"),
    ("metric", "metric"),
    ("error", "error ± se"),
    ("change", "to the untrained, points [90 %]"),
)


def report(db: str | None, name: str, output_format: str) -> None:
    """`sweep report`: what each trial was expected to take, and what it took."""
    with opened(db, must_exist=True) as engine:
        outcomes = sweep_report.report(engine, name)
        outcomes["test_sets"] = set_rows(engine, read.runs(engine, sweep=name, status="finished"))
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
    if outcomes.get("test_sets"):
        echo_rows(list(map(_shown_set, outcomes["test_sets"])), output_format, SET_COLUMNS)
    for row in outcomes["references"]:
        echo(row["verdict"])


def _shown_set(row: dict[str, Any]) -> dict[str, Any]:
    """A row of a further test set for people."""
    spread = "" if row["std_error"] is None else f" ± {100 * row['std_error']:.2f}"
    change = None
    if row["change"] is not None:
        low, high = 100 * row["change_low"], 100 * row["change_high"]
        change = f"{100 * row['change']:+.2f} [{low:+.2f}, {high:+.2f}]"
    return row | {"error": f"{100 * row['error']:.2f} %{spread}", "change": change}
