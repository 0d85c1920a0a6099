"""`soundscale compare`: runs side by side on the utterances that they share."""

from __future__ import annotations

import click

from planner.cli.options import db_option, echo, echo_json, echo_rows, format_option


@click.command()
@click.argument("run_id", type=int, nargs=-1, required=True, metavar="RUN RUN [RUN …]")
@click.option("--split", default="test", show_default=True, help="Split that they were scored on.")
@click.option("--level", type=float, default=0.9, show_default=True, help="Of the intervals.")
@db_option
@format_option(("table", "json", "jsonl", "csv"))
def compare(
    run_id: tuple[int, ...], split: str, level: float, db: str | None, output_format: str
) -> None:
    """Runs against the first, paired by utterance and speaker: difference, p, and what decides.

    The runs must be scored on the same utterances with the same normaliser. p is of Student's t on the
    paired differences, adjusted for several runs by Holm; NIST's MAPSSWE and other tests stand beside.

    \b
    Examples:
      soundscale compare 1 4
      soundscale compare 1 4 5 6 -f json
    """
    from planner.report import compare_text
    from planner.service import compare as service

    found = service.compare(db, run_id, split=split, level=level)
    if output_format == "table":
        echo(compare_text.compare_text(found))
    elif output_format == "json":
        echo_json(found)
    else:
        echo_rows(service.rows(found), output_format)
