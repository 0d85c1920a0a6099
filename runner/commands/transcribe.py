"""`soundscale transcribe` and `classify`: parse, one call a file, print."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from planner.cli.options import Command, db_option, echo_json, echo_rows, format_option, talk
from planner.errors import InputError
from planner.words.terminal import shown

if TYPE_CHECKING:
    from runner.engines.runtime import Model, Transcript
    from runner.engines.serving import Served

STDIN = "-"
AUDIO = click.argument(
    "files", nargs=-1, required=True, metavar="FILE…", type=click.Path(path_type=Path)
)


def register(group: click.Group) -> None:
    """Add the commands to `soundscale`."""
    group.add_command(transcribe)
    group.add_command(classify)


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


def _opened(asked: dict[str, Any], say: Callable[[str], None]) -> Model:
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


def transcriber(db: str | None, which: str, say: Callable[[str], None]) -> Served:
    """What `soundscale serve --transcribe` serves: an exported folder, or the model of a run or an answer."""
    from runner.engines.serving import open_served

    folder = Path(which)
    if not folder.is_dir():
        from runner.exports import make

        folder = make.folder_of(db, which, None, None, say)
    return open_served(folder, threads=1)


class _Recordings:
    """Recordings one after another: one that cannot be used is said, and the others go on."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.n, self.n_failed = len(files), 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """Of one file, an error is its own; of several, it is a line."""
        from runner.data.audio import AudioError

        try:
            yield
        except AudioError as problem:
            if self.n == 1:
                raise
            self.n_failed += 1
            talk(f"soundscale: {problem}")

    def end(self) -> None:
        """Raises InputError where a recording could not be used."""
        if self.n_failed:
            raise InputError(f"{self.n_failed} of {self.n} files could not be used; see above")


def _heard(path: Path) -> Any:
    """What a model is given: the path, or the samples of standard input."""
    if str(path) != STDIN:
        return path
    from runner.data.audio import audio_of_bytes

    return audio_of_bytes(sys.stdin.buffer.read(), "stdin")


@click.command()
@AUDIO
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
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Write a file for each recording into this folder.",
)
@click.option(
    "--cut",
    metavar="consecutive|energy|silero",
    default=None,
    help="Into windows: as in scoring, or at silence by level or by Silero.  [default: consecutive]",
)
@click.option(
    "--at-once",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Windows that are decoded together.",
)
def transcribe(
    files: tuple[Path, ...],
    output_format: str,
    out: Path | None,
    cut: str | None,
    quiet: bool,
    at_once: int,
    **asked: Any,
) -> None:
    """The text of audio files of any length and rate, by a trained model; - is standard input.

    \b
    Examples:
      soundscale transcribe speech.wav --answer 7f3a9100ab12
      soundscale transcribe talk.flac --model model -f srt > talk.srt
      soundscale transcribe speech.wav talk.flac --model model -f vtt --out subtitles
    """
    from runner.engines.cutting import DEFAULT_CUT, require_cut

    if output_format in ("srt", "vtt") and len(files) > 1 and out is None:
        raise click.UsageError(f"{output_format} of several files needs --out FOLDER")
    cut = cut or DEFAULT_CUT
    require_cut(cut)
    say = (lambda line: None) if quiet else talk
    model = _opened(asked, say)
    model.require_task("asr")
    to = _Written(output_format, out, several=len(files) > 1)
    began, audio_seconds = time.perf_counter(), 0.0
    recordings = _Recordings(files)
    for path in files:
        with recordings.one():
            report = _progress(path, quiet)
            found = model.transcribe(_heard(path), cut=cut, at_once=at_once, report=report)
            audio_seconds += found.audio_seconds
            to.add(path, found)
    to.end()
    say(_speed(audio_seconds, time.perf_counter() - began, model))
    recordings.end()


class _Written:
    """Where transcripts go: to stdout one after another, or each into a file of a folder."""

    def __init__(self, form: str, folder: Path | None, *, several: bool) -> None:
        self.form, self.folder, self.several = form, folder, several
        self.found: list[dict[str, Any]] = []
        self.names: set[str] = set()
        if folder is not None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as problem:
                raise InputError(
                    f"folder {folder} cannot be made: {problem.strerror}; name another"
                ) from None

    def add(self, path: Path, transcript: Transcript) -> None:
        """One recording's text."""
        from runner.engines import subtitles

        if self.form == "json" and self.folder is None:
            self.found.append(subtitles.as_json(str(path), transcript))
            return
        text = subtitles.written(str(path), transcript, self.form)
        if self.folder is not None:
            self._file(path).write_text(text, encoding="utf-8")
        else:
            head = f"{path}: " if self.several else ""
            click.echo(shown(f"{head}{text}"), nl=False)

    def _file(self, path: Path) -> Path:
        """A name of its own for each recording, also for those of one name in two folders."""
        ending = "txt" if self.form == "text" else self.form
        stem = "stdin" if str(path) == STDIN else path.stem
        name, n = stem, 1
        while name in self.names:
            n += 1
            name = f"{stem}-{n}"
        self.names.add(name)
        assert self.folder is not None
        return self.folder / f"{name}.{ending}"

    def end(self) -> None:
        """JSON is one list of all."""
        if self.form == "json" and self.folder is None:
            echo_json(self.found)


def _speed(audio_seconds: float, seconds: float, model: Model) -> str:
    about = model.about
    return (
        f"{audio_seconds:.1f} s of audio in {seconds:.1f} s, RTFx {audio_seconds / seconds:.1f} · "
        f"{about.label} · {about.engine} {about.precision}"
    )


@click.command()
@AUDIO
@_model_options
@format_option()
def classify(files: tuple[Path, ...], output_format: str, quiet: bool, **asked: Any) -> None:
    """The class of audio files by a trained emotion model; - is standard input.

    \b
    Example:
      soundscale classify speech.wav --run 3
    """
    model = _opened(asked, (lambda line: None) if quiet else talk)
    model.require_task("emotion")
    rows: list[dict[str, Any]] = []
    recordings = _Recordings(files)
    for path in files:
        with recordings.one():
            one = model.classify(_heard(path))
            sure = {f"p_{name}": share for name, share in one.probabilities.items()}
            of = {"file": str(path), "label": one.label, "audio_seconds": one.audio_seconds}
            rows.append(of | {"n_windows": one.n_windows} | sure)
    echo_rows(rows, output_format, empty="no file could be used")
    recordings.end()


def _progress(path: Path, quiet: bool) -> Any:
    """A line on stderr that is drawn again for each batch of windows, on a terminal."""
    if quiet or not sys.stderr.isatty():
        return None

    def report(done: int, n: int) -> None:
        end = "\n" if done == n else ""
        click.echo(f"\r{shown(path.name)}: {done} of {n} windows{end}", nl=False, err=True)

    return report
