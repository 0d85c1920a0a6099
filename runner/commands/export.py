"""`soundscale export`, `transcribe` and `classify`: parse, one call, print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from planner.cli.options import (
    ANSWER_FORMATS,
    Command,
    db_option,
    echo,
    echo_json,
    echo_rows,
    format_option,
    talk,
)
from planner.words.terminal import shown


def register(group: click.Group) -> None:
    """Add the commands to `soundscale`."""
    for command in (export, transcribe, classify):
        group.add_command(command)


@click.command()
@click.argument("which", metavar="RUN|ANSWER_ID")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--to", required=True, metavar="FORMAT", help="onnx, openvino, ctranslate2 or hf.")
@click.option(
    "--precision", default=None, metavar="fp32|int8|…", help="Of the weights.  [default: fp32]"
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


def _model_options(command: Command) -> Command:
    """Which model: an answer's, a run's, or that of a folder."""
    options = (
        click.option("--answer", default=None, metavar="ID", help="What this answer recommends."),
        click.option(
            "--run", "run_id", type=int, default=None, metavar="N", help="This run's model."
        ),
        click.option(
            "--model",
            type=click.Path(file_okay=False, path_type=Path),
            default=None,
            help="An exported folder; needs no database, and no torch.",
        ),
        click.option(
            "--to", default=None, metavar="FORMAT", help="With --run or --answer: the engine's."
        ),
        click.option(
            "--precision", default=None, metavar="fp32|int8|…", help="With --run or --answer."
        ),
        click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True),
        click.option("--quiet", "-q", is_flag=True, help="No progress, only the answer."),
        db_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


def _opened(asked: dict[str, Any], say: Any) -> Any:
    """The model that the options name.

    Raises:
        UsageError: none or several are named.
    """
    from runner.engines.runtime import open_folder

    named = [asked[k] for k in ("answer", "run_id", "model") if asked[k] is not None]
    if len(named) != 1:
        raise click.UsageError("name one model: --answer ID, --run N or --model FOLDER")
    folder = asked["model"]
    if folder is None:
        from runner.exports import make

        folder = make.folder_of(asked["db"], str(named[0]), asked["to"], asked["precision"], say)
    return open_folder(folder, asked["threads"])


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE…", type=click.Path(path_type=Path))
@_model_options
@click.option(
    "-f",
    "--format",
    "output_format",
    type=click.Choice(("text", "srt", "vtt", "json")),
    default="text",
    show_default=True,
)
@click.option(
    "--at-once",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Windows that are decoded together.",
)
def transcribe(
    files: tuple[Path, ...], output_format: str, quiet: bool, at_once: int, **asked: Any
) -> None:
    """The text of audio files of any length and rate, by a trained model.

    \b
    Examples:
      soundscale transcribe speech.wav --answer 7f3a9100ab12
      soundscale transcribe talk.flac --model model -f srt > talk.srt
    """
    import time

    from runner.engines import subtitles

    say = (lambda line: None) if quiet else talk
    model = _opened(asked, say)
    began, heard, found = time.perf_counter(), 0.0, []
    for path in files:
        transcript = model.transcribe(path, at_once=at_once, report=_progress(path, quiet))
        heard += transcript.audio_seconds
        if output_format == "json":
            found.append(subtitles.as_json(str(path), transcript))
        else:
            click.echo(shown(subtitles.written(transcript, output_format)), nl=False)
    if output_format == "json":
        echo_json(found)
    seconds = time.perf_counter() - began
    about = model.about
    say(
        f"{heard:.1f} s of audio in {seconds:.1f} s, RTFx {heard / seconds:.1f} · {about.label} · "
        f"{about.engine} {about.precision}"
    )


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE…", type=click.Path(path_type=Path))
@_model_options
@format_option()
def classify(files: tuple[Path, ...], output_format: str, quiet: bool, **asked: Any) -> None:
    """The class of audio files by a trained emotion model.

    \b
    Example:
      soundscale classify speech.wav --run 3
    """
    model = _opened(asked, (lambda line: None) if quiet else talk)
    rows = []
    for path in files:
        one = model.classify(path)
        sure = {f"p_{name}": share for name, share in one.probabilities.items()}
        rows.append({"file": str(path), "label": one.label, "n_windows": one.n_windows} | sure)
    echo_rows(rows, output_format)


def _progress(path: Path, quiet: bool) -> Any:
    """A line on stderr that is drawn again for each batch of windows, on a terminal."""
    import sys

    if quiet or not sys.stderr.isatty():
        return None

    def report(done: int, n: int) -> None:
        end = "\n" if done == n else ""
        click.echo(f"\r{shown(path.name)}: {done} of {n} windows{end}", nl=False, err=True)

    return report
