"""`soundscale design`: a sweep before any run."""

from __future__ import annotations

import click

from planner.cli.asked import levels, option
from planner.cli.options import ANSWER_FORMATS, echo, echo_json, format_option
from planner.words.asked import named
from planner.words.question import STUDY


@click.command()
@option(named(STUDY, "task"))
@click.option("--runs", type=click.IntRange(1), required=True, help="How many runs to spend.")
@click.option(
    "--kind",
    type=click.Choice(["star", "grid", "isoflop", "optimal"]),
    default="optimal",
    show_default=True,
)
@levels("backbone", "backbones", "A level of x_N; may be repeated.")
@levels("audio_seconds", "audio_seconds", "A level of x_T; may be repeated.")
@levels("reduction", "reductions", "A level of x_V; may be repeated.")
@click.option("--sigma", type=float, default=0.05, show_default=True, help="Scatter of ln error.")
@option(named(STUDY, "level"), help="Of the widths.")
@format_option(ANSWER_FORMATS)
def design(
    task: str, runs: int, kind: str, backbones: tuple[str, ...], audio_seconds: tuple[float, ...],
    reductions: tuple[str, ...], sigma: float, level: float, output_format: str,
) -> None:  # fmt: skip
    """A sweep before any run: its points, and the interval widths to expect from it.

    \b
    Examples:
      soundscale design --task asr --runs 24 --kind star
      soundscale design --task asr --runs 24 --backbone whisper-tiny --backbone whisper-small
    """
    from planner.report.design_text import design_text
    from planner.service import design

    found = design.design_sweep(
        task, runs, kind, backbones=backbones, audio_seconds=audio_seconds,
        reductions=reductions, sigma=sigma, level=level,
    )  # fmt: skip
    if output_format != "table":
        echo_json(found)
        return
    echo(design_text(found))
