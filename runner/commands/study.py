"""`soundscale study`: parse, one call, print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from planner.cli.options import (
    ANSWER_FORMATS,
    db_option,
    echo,
    echo_json,
    echo_rows,
    format_option,
    talk,
)
from planner.errors import FitError, InfeasibleError

LIST_COLUMNS = (
    ("name", "study"),
    ("state", "state"),
    ("hours", "hours"),
    ("allowed_hours", "of"),
    ("n_rounds", "rounds"),
    ("answer_id", "answer"),
    ("verdict", "ended because"),
)

EXIT_CODES = {"infeasible": InfeasibleError.exit_code, "no-law": FitError.exit_code}
"""Of a study that ends without an answer, as of `plan`."""


class _ByFile(click.Group):
    """A group whose first word is a file unless it is a command: `study asr.toml` is `study run asr.toml`."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; a TOML file stands for the one that runs it."""
        named = super().get_command(ctx, cmd_name)
        return self.commands["run"] if named is None and cmd_name.endswith(".toml") else named

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands:
            args = ["run", *args]
        return super().resolve_command(ctx, args)


@click.group(cls=_ByFile)
def study() -> None:
    """A study that runs itself from a file and a budget to a defended answer: `soundscale study FILE --hours 2`.

    It chooses, trains, fits and chooses again until the hours are spent, a better choice could save no
    more than --until, or no run is worth its time. Started again, it goes on from the database.

    \b
    Examples:
      soundscale study asr.toml --hours 2
      soundscale study asr.toml --until 'regret<=0.2pt' --ray auto --db postgresql://me@host/lab
    """


@study.command("run")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--hours",
    type=float,
    default=None,
    help="Hours of runs to spend, all workers together.  [default: the file's]",
)
@click.option(
    "--gpu-hours",
    type=float,
    default=None,
    help="The same, counted a GPU that a run uses, in place of --hours.",
)
@click.option(
    "--until",
    metavar="'regret<=0.2pt'",
    default=None,
    help="Enough once a better choice could save no more (95 %).  [default: the file's]",
)
@click.option(
    "--report",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("soundscale-reports"),
    show_default=True,
    help="Folder of the report, NAME.html and NAME.md.",
)
@db_option
@click.option(
    "--ray",
    "ray_address",
    metavar="local|auto|ADDRESS|none",
    default="local",
    show_default=True,
    help="Where runs are made: a cluster of this machine, a running one, or this process alone.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=None,
    help="Runs at once.  [default: as many as fit]",
)
@click.option(
    "--artifacts",
    metavar="FOLDER|URL",
    default="soundscale-artifacts",
    show_default=True,
    help="Where trained tensors and checkpoints go.",
)
@click.option(
    "--weights",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=None,
    help="Folder of pretrained weights; tried before cache, hub and registry.",
)
@click.option("--quiet", "-q", is_flag=True, help="No progress, only the answer.")
@format_option(ANSWER_FORMATS)
def study_run(
    file: Path, hours: float | None, gpu_hours: float | None, until: str | None, report: Path,
    db: str | None, ray_address: str, workers: int | None, artifacts: str, weights: Path | None,
    quiet: bool, output_format: str,
) -> None:  # fmt: skip
    """Run the study of FILE to its end; start it again to go on.

    Exit code 3: nothing met the limits; 4: its runs carry no law. The report is printed all the same.

    \b
    Example:
      soundscale study asr.toml --hours 2
    """
    from planner.report.study_text import study_text
    from runner import study as driver
    from runner.sweep.study_spend import Spending, parse_until
    from runner.sweep_commands import RunRequest

    run = RunRequest(
        ray_address=ray_address, workers=workers, artifacts=artifacts, weights=weights, quiet=quiet
    )
    spending = Spending(
        hours=hours, gpu_hours=gpu_hours, until_regret=None if until is None else parse_until(until)
    )
    asked = driver.StudyRequest(run=run, spending=spending, report=report)
    found = driver.execute(file, db, asked)
    driver.write_report(found, report)
    if output_format == "table":
        echo(study_text(found))
    else:
        echo_json(found)
    # Reports of before do not say it.
    if code := EXIT_CODES.get(found.get("outcome", "answer")):
        click.get_current_context().exit(code)


@study.command("list")
@db_option
@format_option()
def study_list(db: str | None, output_format: str) -> None:
    """All studies of the database: how far they are and how they ended."""
    from planner.service import studies

    echo_rows(
        studies.listed(db), output_format, LIST_COLUMNS, empty="no study is stored",
        drop=("ended because", "of"),
    )  # fmt: skip


@study.command("show")
@click.argument("name")
@click.option(
    "--report",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Also write NAME.html and NAME.md into this folder.",
)
@db_option
@format_option(ANSWER_FORMATS)
def study_show(name: str, report: Path | None, db: str | None, output_format: str) -> None:
    """The report of study NAME: answer, spending, how the regret fell, what was ruled out, what is next."""
    from planner.report.study_text import study_text
    from planner.service import studies

    found = studies.shown(db, name)
    if report is not None:
        from runner.study import write_report

        write_report(found, report)
    if output_format != "table":
        echo_json(found)
        return
    echo(study_text(found))


@study.command("watch")
@click.argument("name")
@db_option
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.1),
    default=2.0,
    show_default=True,
    help="Between two looks.",
)
def study_watch(name: str, db: str | None, seconds: float) -> None:
    """Follow study NAME until it ends, from any machine: the answer so far, what is next and why.

    \b
    Example:
      soundscale study watch prompts
    """
    from planner.report.study_progress import headline_now
    from runner.commands import study_watch as following

    found = following.follow(db, name, seconds)
    echo(f"study {name}: {headline_now(found)}")
    talk(f"study {name!r} ended: {found['verdict']}; see soundscale study show {name}")


@study.command("explain")
@click.argument("name")
@db_option
@format_option(ANSWER_FORMATS)
def study_explain(name: str, db: str | None, output_format: str) -> None:
    """Why each run of study NAME was made: its value for the decision, or what needed it first."""
    from planner.report.study_text import EXPLAIN_COLUMNS, explained_rows
    from planner.service import studies

    found: dict[str, Any] = studies.explained(db, name)
    if output_format != "table":
        echo_json(found)
        return
    echo_rows(explained_rows(found), "table", EXPLAIN_COLUMNS, empty="no run was chosen yet")
    ended = f"ended: {found['verdict']}" if found["verdict"] else "goes on"
    talk(f"study {name!r} {ended}")
