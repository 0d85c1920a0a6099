"""`soundscale fit difference`: are the laws of a table's groups different."""

from __future__ import annotations

from typing import Any

import click

from planner.cli.law_files import TABLE, read_factor
from planner.cli.options import (
    ANSWER_FORMATS,
    Quantity,
    echo,
    echo_json,
    echo_rows,
    format_option,
    talk,
)


@click.command("difference")
@click.argument("file", type=TABLE)
@click.option("--axes", required=True, help="Columns that the law depends on, comma-separated.")
@click.option("--error", required=True, help="Column of the error to be predicted.")
@click.option("--by", required=True, help="Column whose equal values make a group.")
@click.option("--reference", help="The group that all others are compared with.  [default: all pairs]")  # fmt: skip
@click.option("--along", help="Axis on which curves may cross.  [default: the first]")
@click.option("--at", multiple=True, help="Another axis there, tokens=1e10.  [default: its middle]")  # fmt: skip
@click.option(
    "--beyond",
    type=Quantity("factor", read_factor),
    default="1x",
    show_default=True,
    help="How far outside the data a crossing is looked for.",
)
@click.option("--law", default="additive", show_default=True, help="A law by name, or auto.")
@click.option(
    "--loss", default="auto", show_default=True, help="log, huber:1e-3, huber:auto, auto."
)
@click.option("--link", default="log", show_default=True, help="log, odds (metric in [0, 1]).")
@click.option("--group", default=None, help="Column that marks dependent rows.")
@click.option("--weight", default=None, help="Column of relative row weights.")
@click.option("--drop", multiple=True, help="Leave rows out by a rule: loss>10.")
@click.option("--level", type=float, default=0.9, show_default=True, help="Of all intervals.")
@click.option("--seed", type=int, default=0, show_default=True)
@format_option()
def fit_difference(file: str, axes: str, by: str, output_format: str, **asked: Any) -> None:
    """Are the laws of a table's groups different: in a parameter, in exponents, as whole curves.

    Differences with intervals, p values (Holm's for many pairs), evidence for values of their own over shared ones, and
    where the curves cross, with an interval.

    \b
    Examples:
      soundscale fit difference curves.csv --axes params --error wer --by set --law log-linear
      soundscale fit difference curves.csv --axes params --error wer --by set --law log-linear --reference a -f json
    """
    from planner.report.difference_text import difference_text
    from planner.service.own_difference import difference_file

    names = [a.strip() for a in axes.split(",") if a.strip()]
    found = difference_file(file, names, by, **asked)
    if output_format == "table":
        echo(difference_text(found.to_json()))
    elif output_format in ANSWER_FORMATS:
        echo_json(found.to_json())
    else:
        for warning in found.to_json()["warnings"]:
            talk(warning["message"])
        echo_rows(found.listing(), output_format)
