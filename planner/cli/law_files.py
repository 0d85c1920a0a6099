"""What the commands of anybody's table share: the file that comes in, and the files that a law is written to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from planner.cli.options import Command, Quantity, talk
from planner.errors import InputError

if TYPE_CHECKING:
    from planner.service.own_table import OwnFit

TABLE = click.Path(exists=True, dir_okay=False, allow_dash=True)
"""A CSV or TSV file, or `-` for stdin."""
PICTURES = {".svg": {}, ".png": {"ppi": 144}}


def read_factor(text: str) -> float:
    """A factor like `2x`; the words are imported when one is read."""
    from planner.words.units import parse_factor

    return parse_factor(text)


def read_count(text: str) -> float:
    """A number as tables have them: `1e21`, `39M`, `1,000`."""
    from planner.words.table_text import figure

    return figure(text, "a budget")


def warn_beyond_option(command: Command) -> Command:
    """`--warn-beyond 2x`: how far outside the data a prediction may lie without a warning."""
    return click.option(
        "--warn-beyond",
        type=Quantity("factor", read_factor),
        default="2x",
        show_default=True,
        help="Warn of predictions that lie farther outside the data on an axis.",
    )(command)


def control_options(command: Command) -> Command:
    """`--fix`, `--bounds`, `--prior` of parameters, and `--drop` of rows; each as often as wanted."""
    for names, text in (
        (("--drop",), "Leave rows out by a rule: loss>10, status=diverged; each is said."),
        (("--prior", "priors"), "What is believed of a parameter: alpha_n=0.3+-0.1."),
        (("--bounds",), "Bounds of a parameter, either may be empty: floor=0:0.05."),
        (("--fix",), "Hold a parameter: alpha_n=0.5; alpha means every alpha_AXIS."),
    ):
        command = click.option(*names, multiple=True, help=text)(command)
    return command


def check_picture(path: Path | None) -> None:
    """A picture's suffix, before any work.

    Raises:
        InputError: it is neither .svg nor .png.
    """
    if path is not None and path.suffix.lower() not in PICTURES:
        raise InputError(f"--plot draws FILE.svg or FILE.png, got {path.name!r}")


def write_law_files(found: OwnFit, files: Mapping[str, Path | None]) -> None:
    """Write what was asked for: `page`, `plot`, `save` and `latex`; says so on stderr."""
    law, table = found.law, found.table
    if (page := files["page"]) is not None:
        from planner.report.table_page import table_page

        page.write_text(table_page(table, law, found.to_json(), found.runs()), encoding="utf-8")
    if (plot := files["plot"]) is not None:
        from planner.report.table_charts import chart_of

        kind = plot.suffix.lower()
        chart_of(table, law).save(str(plot), format=kind[1:], **PICTURES[kind])
    if (save := files["save"]) is not None:
        found.found.save(save)
    if (latex := files["latex"]) is not None:
        latex.write_text(found.found.latex(), encoding="utf-8")
    for path in files.values():
        if path is not None:
            talk(f"wrote {path}")
