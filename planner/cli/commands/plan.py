"""`soundscale plan`, `frontier`, `whatif`, `answers`: questions to the planner."""

from __future__ import annotations

from typing import Any

import click

from planner.cli.asked import options, query_of
from planner.cli.options import (
    ANSWER_FORMATS,
    NewFile,
    db_option,
    echo,
    echo_json,
    echo_rows,
    format_option,
    talk,
    terminal_columns,
)
from planner.errors import InfeasibleError, NoLawError
from planner.words.question import COSTS, KINDS


@click.group(invoke_without_command=True)
@click.option(
    "--explain", is_flag=True, help="All reasons, alternatives and notes, not one screen."
)
@options(KINDS["plan"])
@db_option
@format_option(ANSWER_FORMATS)
@click.pass_context
def plan(
    ctx: click.Context, /, db: str | None, output_format: str, explain: bool, **question: Any
) -> None:
    """The configuration with the fewest expected errors under a FLOP and latency budget.

    Needs at least one limit. Exit code 3 when nothing meets the limits, with what would; 8 when some
    configuration meets them as expected, but not with the probability asked for; 9 when everything
    lies too far outside the data.

    \b
    Examples:
      soundscale plan --task asr --flops 20G
      soundscale plan --task asr --flops 20G --latency 2s --explain
      soundscale plan --task asr --flops 20G --latency 2s -f json
      soundscale plan --task asr --flops 520G --convention same2026 --measured-only --source published
      soundscale plan --task asr --flops 20G --grid --demand 1e9 --train-flops 5P
      soundscale plan --task asr --latency 3s --engine any
      soundscale plan --task asr --rtfx 2 --price 0.5/h
    """
    if ctx.invoked_subcommand is not None:
        return
    from planner.report import answer_brief, answer_text
    from planner.service import asking

    try:
        answer = asking.plan(db, query_of(question))
    except InfeasibleError as problem:
        if output_format != "table":
            echo_json(problem.details)
        raise
    except NoLawError as problem:
        _echo_measured(problem, output_format)
        return
    if output_format != "table":
        echo_json(answer.json)
        return
    if explain:
        echo(answer_text.plan_text(answer.json))
    else:
        echo(answer_brief.plan_brief(answer.json, terminal_columns()))


def _echo_measured(problem: NoLawError, output_format: str) -> None:
    """Runs too few for a law are an answer too: what they measured.

    Raises:
        InfeasibleError: none of them meets the limits.
    """
    from planner.report.measured_text import measured_text

    found: dict[str, Any] = problem.details
    if output_format != "table":
        echo_json(found)
    else:
        echo(measured_text(found, terminal_columns()))
    if found["best"] is None:
        raise InfeasibleError(
            "nothing that was run meets the limits; relax one, or run more", found
        )


@plan.command("target")
@options(KINDS["plan target"])
@db_option
@format_option(ANSWER_FORMATS)
def plan_target(
    db: str | None, output_format: str, error: float, minimise: str, **question: Any
) -> None:
    """The least of one resource for a quality.

    \b
    Example:
      soundscale plan target --task asr --error 8% --minimise latency
    """
    from planner.report import answer_text
    from planner.service import target

    try:
        found = target.plan_target(db, query_of(question), error, COSTS[minimise])
    except InfeasibleError as problem:
        if output_format != "table":
            echo_json(problem.details)
        raise
    if output_format != "table":
        echo_json(found)
        return
    echo(answer_text.target_text(found))


@plan.command("verify")
@click.argument("answer_id")
@click.option("--run", is_flag=True, help="Run the recommended configuration first, a new seed.")
@db_option
@format_option(ANSWER_FORMATS)
@click.pass_context
def plan_verify(
    ctx: click.Context, answer_id: str, run: bool, db: str | None, output_format: str
) -> None:
    """Book an answer against runs made since: predicted, actual, and the running calibration.

    With --run the recommended configuration is trained and scored now, as the sweep that the answer
    learned from was; without, runs that were made since are found.

    \b
    Example:
      soundscale plan verify 7f3a9100ab12
    """
    from planner.report import answer_text
    from planner.service import verification

    if run:
        _run_recommended(ctx, db, answer_id)
    found = verification.verify(db, answer_id)
    if output_format != "table":
        echo_json(found)
        return
    echo(answer_text.verify_text(found))


def _run_recommended(ctx: click.Context, db: str | None, answer_id: str) -> None:
    """Hand the recommended configuration to the runner's own command, its listing on stderr."""
    import contextlib
    import sys
    from pathlib import Path

    from planner.errors import MissingResourceError
    from planner.service import next_runs

    root = ctx.find_root().command
    sweep = root.get_command(ctx, "sweep") if isinstance(root, click.Group) else None
    if sweep is None:
        raise MissingResourceError(
            "running the recommended configuration needs the runner, which is not installed; "
            "run: pip install 'soundscale[runner]'"
        )
    path = Path(f"verify-{answer_id}.toml")
    path.write_text(next_runs.verification_sweep(db, answer_id), encoding="utf-8")
    talk(f"wrote {path}; running it")
    arguments = ["run", str(path), *(["--db", db] if db else [])]
    with contextlib.redirect_stdout(sys.stderr):
        sweep.main(arguments, prog_name="soundscale sweep", standalone_mode=False)


@click.command("frontier")
@options(KINDS["frontier"])
@db_option
@format_option()
def frontier_command(db: str | None, output_format: str, x: str, **question: Any) -> None:
    """The lowest expected error at each cost: the Pareto frontier with its intervals.

    \b
    Example:
      soundscale frontier --task asr --x flops
    """
    from planner.plan.wording import title
    from planner.report import answer_text
    from planner.service.frontier import frontier

    found = frontier(db, query_of(question), x)
    rows = answer_text.frontier_rows(found) if output_format == "table" else found["points"]
    per = f" per {question['per']}" if x in ("flops", "latency") else ""
    columns = [
        ("cost", f"{title(found['cost'])}{per}"), ("wer", "error, 90 % interval"), ("backbone", "backbone"),
        ("audio_seconds", "audio s"), ("reduction", "reduction"), ("kind", "known by"),
    ]  # fmt: skip
    if any("engine" in row for row in rows):
        columns[-1:-1] = [("engine", "engine"), ("precision", "precision")]
    echo_rows(rows, output_format, columns)


@click.command("whatif")
@options(KINDS["whatif"])
@db_option
@format_option(ANSWER_FORMATS)
def whatif_command(
    db: str | None, output_format: str, backbone: str, audio_seconds: float, reduction: str,
    **question: Any,
) -> None:  # fmt: skip
    """One configuration's predicted error, costs and chance of meeting each limit.

    \b
    Example:
      soundscale whatif --task asr --backbone whisper-base --audio-seconds 10 --reduction stem:2
    """
    from planner.report import answer_text
    from planner.service.whatif import whatif

    found = whatif(db, query_of(question), backbone, audio_seconds, reduction)
    if output_format != "table":
        echo_json(found)
        return
    echo(answer_text.option_text(found))


@click.command()
@click.option("--emit", type=NewFile(), default=None, help="Write a sweep file.")
@options(KINDS["suggest"])
@db_option
@format_option(ANSWER_FORMATS)
def suggest(
    db: str | None, output_format: str, hours: float, worth: float, emit: str | None,
    **question: Any,
) -> None:  # fmt: skip
    """Which runs to do next: the value of information about this decision for each hour.

    It may answer that none is worth it. Hours are of one worker, as past runs took them.

    \b
    Example:
      soundscale suggest --task asr --flops 20G --hours 0.5 --emit next.toml
    """
    from pathlib import Path

    from planner.report import answer_text
    from planner.service import next_runs

    found = next_runs.suggest_runs(db, query_of(question), hours, worth)
    if emit and found["suggestions"]:
        path = Path(emit)
        path.write_text(next_runs.sweep_text(db, found, path.stem), encoding="utf-8")
        talk(f"wrote {path}; run it with: soundscale sweep run {path}")
    elif emit:
        talk(f"nothing to run is worth its time: {emit} was not written")
    if output_format != "table":
        echo_json(found)
        return
    echo(answer_text.suggest_text(found, terminal_columns()))
