"""`soundscale fit`: scaling laws from stored runs."""

from __future__ import annotations

import click

from planner.cli_common import db_option, echo_json, echo_rows, format_option


@click.group()
def fit() -> None:
    """Fit scaling laws and look at them."""


@fit.command("run")
@db_option
@click.option("--task", required=True, help="asr or emotion.")
@click.option("--source", default=None, help="measured, published, imported, or a table's name.")
@click.option("--dataset", default=None, help="Only runs on this dataset.")
@click.option("--adaptation", default=None, help="Only runs with this adaptation, e.g. lora:16.")
@click.option("--axes", default=None, help="Comma-separated axes; default: the three compute axes.")
@click.option("--law", default="auto", show_default=True, help="A law by name, or auto.")
@click.option("--loss", default="log", show_default=True, help="log, huber:1e-3 or huber:auto.")
@click.option("--seed", type=int, default=0, show_default=True)
@format_option()
def fit_run(
    db: str | None,
    task: str,
    source: str | None,
    dataset: str | None,
    adaptation: str | None,
    axes: str | None,
    law: str,
    loss: str,
    seed: int,
    output_format: str,
) -> None:
    """Fit a law to the runs of one study, store it and report it on one screen.

    \b
    Examples:
      soundscale fit run --task asr
      soundscale fit run --task asr --source published -f json
    """
    from planner import report, service
    from planner.axes import COMPUTE_AXES

    names = tuple(a.strip() for a in axes.split(",") if a.strip()) if axes else COMPUTE_AXES
    result = service.fit(
        db, task, source=source, dataset=dataset, adaptation=adaptation, axes=names,
        law=law, loss=loss, seed=seed,
    )  # fmt: skip
    if output_format != "table":
        echo_json(report.fit_json(result))
        return
    click.echo(report.fit_text(result))


@fit.command("list")
@db_option
@click.option("--task", default=None, help="Only this task.")
@format_option()
def fit_list(db: str | None, task: str | None, output_format: str) -> None:
    """List stored fits."""
    from planner import listing

    columns = [
        ("fit_id", "fit"), ("task", "task"), ("metric", "metric"), ("law", "law"),
        ("status", "status"), ("n_runs", "runs"), ("objective", "objective"),
        ("created_utc", "created"),
    ]  # fmt: skip
    echo_rows(listing.fits(db, task), output_format, columns, empty="no fit is stored")


@fit.command("show")
@click.argument("fit_id")
@db_option
@format_option()
def fit_show(fit_id: str, db: str | None, output_format: str) -> None:
    """Show a stored fit: formula, parameters with intervals, what it cannot say."""
    from planner import listing, report

    stored = listing.fit(db, fit_id)
    if output_format != "table":
        echo_json(report.stored_fit_json(stored))
        return
    click.echo(report.law_text(stored.fit, stored.fit_id))
