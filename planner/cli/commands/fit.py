"""`soundscale fit`: scaling laws from stored runs."""

from __future__ import annotations

from pathlib import Path

import click

from planner.cli.asked import study_options
from planner.cli.commands.fit_difference import fit_difference
from planner.cli.commands.fit_own import fit_allocate, fit_predict, fit_table_command
from planner.cli.options import (
    ANSWER_FORMATS,
    NewFile,
    db_option,
    echo,
    echo_json,
    echo_rows,
    format_option,
    talk,
)


@click.group()
def fit() -> None:
    """Fit scaling laws and look at them."""


@fit.command("run")
@db_option
@study_options
@click.option("--axes", default=None, help="Comma-separated axes; default: the three compute axes.")
@click.option("--law", default="auto", show_default=True, help="A law by name, or auto.")
@click.option("--loss", default="log", show_default=True, help="log, huber:1e-3 or huber:auto.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--report",
    "page",
    type=NewFile(),
    default=None,
    help="Also write its diagnostics as one HTML page.",
)
@format_option(ANSWER_FORMATS)
def fit_run(
    db: str | None,
    task: str,
    source: str | None,
    dataset: str | None,
    adaptation: str | None,
    test_set: str | None,
    axes: str | None,
    law: str,
    loss: str,
    seed: int,
    page: Path | None,
    output_format: str,
) -> None:
    """Fit a law to the runs of one study, store it and report it on one screen.

    \b
    Examples:
      soundscale fit run --task asr
      soundscale fit run --task asr --source published -f json
      soundscale fit run --task asr --report fit.html
    """
    from planner.report import answer_text
    from planner.service import fitting
    from planner.store.engine import opened
    from planner.words.axes import COMPUTE_AXES

    names = tuple(a.strip() for a in axes.split(",") if a.strip()) if axes else COMPUTE_AXES
    with opened(db, must_exist=True) as engine:
        result = fitting.fit(
            engine, task, source=source, dataset=dataset, adaptation=adaptation, axes=names,
            law=law, loss=loss, seed=seed, test_set=test_set,
        )  # fmt: skip
    if page is not None:
        from planner.report.fit_page import write_page

        write_page(result, page)
        talk(f"wrote {page}")
    if output_format != "table":
        echo_json(answer_text.fit_json(result))
        return
    echo(answer_text.fit_text(result))


fit.add_command(fit_table_command)
fit.add_command(fit_predict)
fit.add_command(fit_allocate)
fit.add_command(fit_difference)


@fit.command("compare")
@db_option
@study_options
@format_option()
def fit_compare(
    db: str | None, task: str, source: str | None, dataset: str | None, adaptation: str | None,
    test_set: str | None, output_format: str,
) -> None:  # fmt: skip
    """Every form that was tried on the runs of one study, with scores, weights and reasons.

    \b
    Example:
      soundscale fit compare --task asr
    """
    from planner.report import answer_text
    from planner.service import fitting
    from planner.store.engine import opened

    with opened(db, must_exist=True) as engine:
        result = fitting.fit(
            engine, task, source=source, dataset=dataset, adaptation=adaptation, test_set=test_set
        )
    if output_format == "table":
        echo(answer_text.compare_text(result))
        return
    echo_rows(answer_text.compare_rows(result), output_format)


@fit.command("list")
@db_option
@click.option("--task", default=None, help="Only this task.")
@format_option()
def fit_list(db: str | None, task: str | None, output_format: str) -> None:
    """List stored fits.

    \b
    Examples:
      soundscale fit list
      soundscale fit list --task asr -f json
    """
    from planner.service import lists

    columns = [
        ("fit_id", "fit"), ("task", "task"), ("metric", "metric"), ("law", "law"),
        ("status", "status"), ("n_runs", "runs"), ("objective", "objective"),
        ("created_utc", "created"),
    ]  # fmt: skip
    echo_rows(lists.fits(db, task), output_format, columns, empty="no fit is stored")


@fit.command("show")
@click.argument("fit_id")
@db_option
@format_option(ANSWER_FORMATS)
def fit_show(fit_id: str, db: str | None, output_format: str) -> None:
    """Show a stored fit: formula, parameters with intervals, what it cannot say.

    \b
    Example:
      soundscale fit show f7802f7f3f76
    """
    from planner.report import answer_text
    from planner.service import lists

    stored = lists.fit(db, fit_id)
    if output_format != "table":
        echo_json(answer_text.stored_fit_json(stored))
        return
    echo(answer_text.stored_fit_text(stored))
