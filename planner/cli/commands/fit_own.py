"""`soundscale fit table`, `predict` and `allocate`: laws of anybody's table, with no database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from planner.cli.law_files import (
    TABLE,
    check_picture,
    control_options,
    read_count,
    read_factor,
    warn_beyond_option,
    write_law_files,
)
from planner.cli.options import (
    ANSWER_FORMATS,
    NewFile,
    Quantity,
    echo,
    echo_json,
    echo_rows,
    format_option,
    talk,
)


@click.command("table")
@click.argument("file", type=TABLE)
@click.option("--axes", required=True, help="Columns that the law depends on, comma-separated.")
@click.option("--error", required=True, help="Column of the error to be predicted.")
@click.option("--key", default=None, help="Column that names a row in listings.")
@click.option(
    "--group", default=None, help="Column that marks dependent rows (seeds of one trial)."
)
@click.option(
    "--group-law",
    default=None,
    help="Column of many curves: one law each, what they share is borrowed.",
)
@click.option("--weight", default=None, help="Column of relative row weights.")
@click.option("--std-error", default=None, help="Column of each error's standard error.")
@click.option(
    "--cost", default=None, help="Column by which selection holds out the costliest rows."
)
@click.option(
    "--law",
    default="auto",
    show_default=True,
    help='A law by name, a formula ("E + A*n^-a"), or auto.',
)
@click.option(
    "--also", multiple=True, help="A law of one's own, or a formula, that auto tries too."
)
@control_options
@click.option(
    "--loss", default="auto", show_default=True, help="log, huber:1e-3, huber:auto, auto."
)
@click.option(
    "--bootstrap", type=click.IntRange(0), default=0, show_default=True, help="Replicates."
)
@click.option("--level", type=float, default=0.9, show_default=True, help="Of all intervals.")
@click.option(
    "--link", default="log", show_default=True, help="log, odds (metric in [0, 1]), signed."
)
@click.option("--predict", type=TABLE, help="Predict these rows.")
@warn_beyond_option
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--report", "page", type=NewFile(), help="Also write an HTML page with all charts.")
@click.option("--plot", type=NewFile(), help="Also draw the charts: FILE.svg or FILE.png.")
@click.option("--save", type=NewFile(), help="Also save the law: fit predict needs no data.")
@click.option("--latex", type=NewFile(), help="Also write formula and parameters as LaTeX.")
@click.option(
    "--rows",
    type=click.Choice(["predictions", "runs", "parameters", "forms"]),
    help="What csv and parquet list.  [default: predictions, or runs where none are asked for]",
)
@format_option()
def fit_table_command(file: str, axes: str, **asked: Any) -> None:
    """Fit anybody's table, with no database: any number of axes; `-` reads stdin.

    Cells may be written 39M, 1,000 or 30%. Runs are listed with residual, leverage and the move of the law
    without them.

    \b
    Examples:
      soundscale fit table runs.csv --axes params,tokens --error loss
      soundscale fit table runs.csv --axes params,tokens --error loss --loss huber:1e-3 --predict next.csv -f json
      soundscale fit table runs.csv --axes params,tokens --error loss --law additive --rows runs -f csv
      soundscale fit table runs.csv --axes params,tokens --error loss --save law.json --latex law.tex
      soundscale fit table runs.csv --axes params,tokens --error loss --fix alpha_tokens=0.3 --bounds floor=1.5:2
      soundscale fit table runs.csv --axes params,tokens --error loss --prior "alpha=0.3+-0.1" --drop "loss>10"
      soundscale fit table curves.csv --axes params --error wer --group-law set --predict ahead.csv
    """
    from planner.report import answer_text
    from planner.service import own_table

    output_format, rows = asked.pop("output_format"), asked.pop("rows")
    files = {name: asked.pop(name) for name in ("page", "plot", "save", "latex")}
    check_picture(files["plot"])
    names = [a.strip() for a in axes.split(",") if a.strip()]
    column = asked.pop("group_law")
    if column is not None:
        _fit_groups(
            file, names, column, asked, rows, output_format, [k for k, v in files.items() if v]
        )
        return
    found = own_table.fit_file(file, names, **asked)
    write_law_files(found, files)
    if output_format in ANSWER_FORMATS and output_format != "table":
        echo_json(found.to_json())
    elif output_format == "table":
        echo(answer_text.table_text(found.to_json()))
    else:
        for warning in found.warnings:
            talk(warning["message"])
        echo_rows(found.listing(rows), output_format)


def _fit_groups(
    file: str, axes: list[str], column: str, asked: dict[str, Any], rows: str | None,
    output_format: str, files: list[str],
) -> None:  # fmt: skip
    """One law for many curves; what it has no use for is refused, not ignored."""
    from planner.report.group_text import group_text
    from planner.service.own_groups import group_file

    usual = {"key": None, "group": None, "std_error": None, "cost": None, "bootstrap": 0}
    given = [k for k, v in usual.items() if asked.pop(k) != v]
    given += [
        k
        for k, v in (("law", ("auto", "additive")), ("loss", ("auto", "log")))
        if asked.pop(k) not in v
    ]
    given += [k for k in ("also", "fix", "bounds", "priors", "drop") if asked.pop(k)] + files
    if given:
        said = {"page": "report", "priors": "prior"}
        words = ", ".join(f"--{said.get(k, k).replace('_', '-')}" for k in given)
        raise click.UsageError(
            f"--group-law fits an additive law by least squares to every curve; it takes no {words}"
        )
    found = group_file(file, axes, column, **asked)
    if output_format == "table":
        echo(group_text(found.to_json()))
    elif output_format in ANSWER_FORMATS:
        echo_json(found.to_json())
    else:
        for warning in found.warnings:
            talk(warning["message"])
        echo_rows(found.listing(rows), output_format)


@click.command("predict")
@click.argument("law", type=click.Path(exists=True, dir_okay=False))
@click.argument("file", type=TABLE)
@click.option("--key", default=None, help="Column that names a row.")
@warn_beyond_option
@format_option()
def fit_predict(
    law: str, file: str, key: str | None, warn_beyond: float, output_format: str
) -> None:
    """Predict a table's rows from a saved law, with no data and no database.

    \b
    Example:
      soundscale fit predict law.json next.csv
    """
    from planner.service import own_table

    rows, warnings = own_table.predict_file(law, file, key=key, warn_beyond=warn_beyond)
    for warning in warnings:
        talk(warning["message"])
    echo_rows(rows, output_format)


@click.command("allocate")
@click.argument("file", type=TABLE)
@click.option("--axes", required=True, help="Two or three columns, what a budget buys last.")
@click.option("--error", required=True, help="Column of the error to be predicted.")
@click.option(
    "--cost",
    required=True,
    help='Formula of the axes ("6*n*d"), a column of costs, or flops:FAMILY: FLOPs as counted here.',
)
@click.option(
    "--budget",
    "budgets",
    type=Quantity("cost", read_count),
    multiple=True,
    help="What may be spent, in the cost's unit.  [default: three over the table's costs]",
)
@click.option(
    "--beyond",
    type=Quantity("factor", read_factor),
    default="1x",
    show_default=True,
    help="How far outside the table's costs a budget may lie.",
)
@click.option("--group", default=None, help="Column that marks dependent rows.")
@click.option("--weight", default=None, help="Column of relative row weights.")
@click.option("--std-error", default=None, help="Column of each error's standard error.")
@click.option("--law", default="auto", show_default=True, help="Of approach 3: a law, or auto.")
@control_options
@click.option(
    "--loss", default="auto", show_default=True, help="log, huber:1e-3, huber:auto, auto."
)
@click.option(
    "--bootstrap", type=click.IntRange(0), default=1000, show_default=True, help="Resamples."
)
@click.option(
    "--draws", type=click.IntRange(2), default=1000, show_default=True, help="Of the law."
)
@click.option(
    "--slice",
    "slice_width",
    type=Quantity("factor", read_factor),
    default="1.2x",
    show_default=True,
    help="Of approach 2: how far costs of one slice may differ.",
)
@click.option("--level", type=float, default=0.9, show_default=True, help="Of all intervals.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--replicates", type=NewFile(), help="Also write every replicate's exponents, as CSV."
)
@format_option()
def fit_allocate(
    file: str, axes: str, replicates: Path | None, output_format: str, **asked: Any
) -> None:
    """Where a budget should go: envelope, isoFLOP parabolas and parametric law side by side.

    Exponents N_opt ~ C^a with intervals of the bootstrap and of draws from the law, what each budget should buy,
    the parabolas' bias on this table, and the price of being off the optimum. A budget outside the table's costs
    is refused unless --beyond allows it. csv and parquet list the optima.

    \b
    Examples:
      soundscale fit allocate runs.csv --axes params,tokens --error loss --cost "6*params*tokens"
      soundscale fit allocate runs.csv --axes params,tokens --error loss --cost params*tokens --budget 1e17 --beyond 9x
      soundscale fit allocate wer.csv --axes n_params,audio_seconds --error wer --cost flops:whisper
    """
    from planner.laws.allocate.allocation import Resampling
    from planner.report.allocation_text import allocation_text
    from planner.service.own_allocation import allocate_file

    of_resampling = ("beyond", "bootstrap", "draws", "slice_width", "seed")
    how = Resampling(**{name: asked.pop(name) for name in of_resampling})
    names = [a.strip() for a in axes.split(",") if a.strip()]
    found = allocate_file(file, names, how=how, **asked)
    if replicates is not None:
        from planner.report.delimited import csv_text

        rows = found.replicates()
        columns = list(rows[0])
        text = csv_text(columns, ([row[c] for c in columns] for row in rows))
        replicates.write_text(text, encoding="utf-8")
        talk(f"wrote {replicates}")
    if output_format == "table":
        echo(allocation_text(found.to_json()))
    elif output_format in ANSWER_FORMATS:
        echo_json(found.to_json())
    else:
        echo_rows(found.optima(), output_format)
