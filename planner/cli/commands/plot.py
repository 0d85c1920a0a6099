"""`soundscale plot`: charts in the terminal, or as files without a browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from planner.cli.asked import option, study_options
from planner.cli.options import Command, NewFile, db_option, echo, talk
from planner.words.question import FRONTIER

_FILES = ("png", "svg", "html")
COSTS = {"flops": "FLOPs per utterance", "latency_ms": "latency (ms)", "memory_bytes": "bytes"}


def _options(command: Command) -> Command:
    """Whose runs, which database, and where to."""
    for suffix in reversed(_FILES):
        path = NewFile()
        command = click.option(
            f"--{suffix}", type=path, default=None, help=f"Write {suffix.upper()}."
        )(command)
    command = study_options(command)
    return db_option(command)


@click.group()
def plot() -> None:
    """Draw the frontier, a fit or the axes: in the terminal, or as PNG, SVG or HTML."""


def _show(files: dict[str, Path | None], chart: Callable[[], Any], text: Callable[[], str]) -> None:
    """Files where some were named, else the terminal."""
    wanted = {kind: path for kind, path in files.items() if path is not None}
    if not wanted:
        echo(text())
        return
    drawn = chart()
    for kind, path in wanted.items():
        options = {"inline": True} if kind == "html" else {"ppi": 144} if kind == "png" else {}
        drawn.save(str(path), format=kind, **options)
        talk(f"wrote {path}")


@plot.command("frontier")
@option(FRONTIER[0], "cost", type=click.Choice(["flops", "latency", "memory"]))
@_options
def plot_frontier(
    db: str | None, task: str, source: str | None, dataset: str | None, adaptation: str | None,
    test_set: str | None, cost: str, **files: Path | None,
) -> None:  # fmt: skip
    """The frontier with its band, and the runs behind it.

    \b
    Examples:
      soundscale plot frontier --task asr
      soundscale plot frontier --task asr --x latency --png frontier.png --svg frontier.svg
      soundscale plot frontier --task asr --html frontier.html
    """
    from planner.plan.wording import amount
    from planner.report import figures
    from planner.report.terminal_plot import scatter
    from planner.service.frontier import frontier
    from planner.words.question import PlanQuery

    query = PlanQuery(
        task=task, source=source, dataset=dataset, adaptation=adaptation, test_set=test_set
    )
    found = frontier(db, query, cost)
    name, best, runs = found["cost"], found["points"], found["runs"]

    def text() -> str:
        points = [(r[name], r["error"], "·") for r in runs]
        points += [(p[name], p["error"], "●" if p["kind"] == "measured" else "○") for p in best]
        return scatter(
            points, x_title=f"{COSTS[name]}    ● frontier, run   ○ frontier, predicted   · other runs",
            y_title="error", x_shown=lambda v: amount(name, v),
        )  # fmt: skip

    _show(files, lambda: figures.frontier(best, runs, cost=name, title=COSTS[name]), text)


@plot.command("fit")
@_options
def plot_fit(
    db: str | None, task: str, source: str | None, dataset: str | None, adaptation: str | None,
    test_set: str | None, **files: Path | None,
) -> None:  # fmt: skip
    """Each run's measured error against what the law says of it.

    \b
    Examples:
      soundscale plot fit --task asr
      soundscale plot fit --task asr --svg fit.svg
    """
    from planner.report import figures, fit_rows
    from planner.report.terminal_plot import scatter
    from planner.service import fitting
    from planner.store.engine import opened

    with opened(db, must_exist=True) as engine:
        found = fitting.fit(
            engine, task, source=source, dataset=dataset, adaptation=adaptation, test_set=test_set
        )
    rows = fit_rows.fit_rows(found)

    def text() -> str:
        ends = [min(r["predicted"] for r in rows), max(r["predicted"] for r in rows)]
        ratio = ends[1] / ends[0]
        same = [ends[0] * ratio ** (i / 60) for i in range(61)]
        points = [(v, v, "∙") for v in same]
        points += [(r["predicted"], r["error"], _inside(r)) for r in rows]
        title = "predicted    ● within the 90 % interval of a new run   ✕ outside"
        return scatter(points, x_title=title, y_title="measured error", x_shown="{:.1%}".format)

    _show(files, lambda: figures.predicted_and_measured(rows), text)


def _inside(row: dict[str, Any]) -> str:
    return "●" if row["low"] <= row["error"] <= row["high"] else "✕"


@plot.command("axes")
@_options
def plot_axes(
    db: str | None, task: str, source: str | None, dataset: str | None, adaptation: str | None,
    test_set: str | None, **files: Path | None,
) -> None:  # fmt: skip
    """Error along each compute axis, one mark for each run.

    \b
    Examples:
      soundscale plot axes --task asr
      soundscale plot axes --task asr --png axes.png
    """
    from planner.report import figures, fit_rows
    from planner.report.terminal_plot import scatter
    from planner.service import fitting
    from planner.store.engine import opened
    from planner.words.axes import axis

    with opened(db, must_exist=True) as engine:
        found = fitting.fit(
            engine, task, source=source, dataset=dataset, adaptation=adaptation, test_set=test_set
        )
    rows = fit_rows.fit_rows(found)
    names = found.fit.axes

    def chart() -> Any:
        import altair
        import pandas as pd

        runs = pd.DataFrame(rows)
        runs["std_error"] = runs["std_error"].astype(float)
        return altair.hconcat(*(figures.error_by_axis(runs, name) for name in names))

    def text() -> str:
        return "\n\n".join(
            scatter(
                [(r[name], r["error"], "●") for r in rows],
                x_title=f"{axis(name).title} ({axis(name).unit})", y_title="error",
            )
            for name in names
        )  # fmt: skip

    _show(files, chart, text)
