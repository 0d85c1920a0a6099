"""`soundscale export`: parse, one call, print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from planner.cli.options import (
    ANSWER_FORMATS,
    db_option,
    echo,
    echo_json,
    format_option,
    talk,
)


def register(group: click.Group) -> None:
    """Add the command to `soundscale`."""
    group.add_command(export)


@click.command()
@click.argument("which", metavar="RUN|ANSWER_ID")
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--to",
    default=None,
    metavar="FORMAT",
    help="onnx, openvino, ctranslate2, ggml, pt2 (torch.export), hf or peft.  [default: of the answer's engine]",
)
@click.option(
    "--precision",
    default=None,
    metavar="fp32|int8|…",
    help="Of the weights.  [default: the answer's in its engine, else fp32]",
)
@click.option("--no-parity", is_flag=True, help="Do not score the folder in its engine.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option(
    "--weights",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=None,
    help="Folder of pretrained weights; tried before cache, hub and registry.",
)
@click.option("--quiet", "-q", is_flag=True, help="No progress, only the answer.")
@db_option
@format_option(ANSWER_FORMATS)
def export(db: str | None, output_format: str, quiet: bool, no_parity: bool, **asked: Any) -> None:
    """Write the model of a run, or of an answer, to a folder that an engine runs.

    The folder holds window, token reduction, merged adapters, tokenizer and decoding, and is scored in
    its engine on the run's own test clips.

    \b
    Examples:
      soundscale export 10 --to onnx --precision int8 model
      soundscale export 7f3a9100ab12 model
      soundscale export 7f3a9100ab12 --to ctranslate2 model
    """
    from runner.exports import make, text

    found = make.export(
        db,
        make.ExportRequest(parity=not no_parity, **asked),
        (lambda line: None) if quiet else talk,
    )
    if output_format != "table":
        echo_json(found)
        return
    for line in text.lines(found):
        echo(line)
