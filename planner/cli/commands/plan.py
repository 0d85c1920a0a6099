"""`soundscale plan`, `frontier`, `whatif`, `answers`: questions to the planner."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from planner.cli.options import (
    ANSWER_FORMATS,
    BYTES,
    ERROR,
    FLOPS,
    LATENCY_MS,
    Command,
    db_option,
    echo_json,
    echo_rows,
    format_option,
    talk,
)
from planner.errors import InfeasibleError

if TYPE_CHECKING:
    from planner.plan.question import PlanQuery

_QUESTION: list[Callable[[Any], Any]] = [
    click.option("--task", default=None, help="asr or emotion.  [required]"),
    click.option("--convention", default="exact", show_default=True, help="How FLOPs are counted."),
    click.option("--device", default=None, help="Device that latency is meant on."),
    click.option(
        "--quantile", default="p95", show_default=True, help="Latency quantile: p50, p95."
    ),
    click.option(
        "--per",
        type=click.Choice(["utterance", "window"]),
        default="utterance",
        show_default=True,
        help="FLOPs and latency of a whole utterance, or of one encoder window.",
    ),
    click.option("--utterance-seconds", type=float, default=None, help="Length of an utterance."),
    click.option("--output-tokens", type=float, default=None, help="Output tokens an utterance."),
    click.option("--demand", type=float, default=None, help="Utterances to spread training over."),
    click.option(
        "--measured-only", is_flag=True, help="Choose among configurations that were run."
    ),
    click.option("--grid", is_flag=True, help="Also choose between the levels that were run."),
    click.option(
        "--candidates",
        type=click.Path(exists=True, dir_okay=False),
        default=None,
        help="Choose among the lines of this file: backbone,audio_seconds,reduction[,adaptation].",
    ),
    click.option("--extrapolate", is_flag=True, help="Answer further than 4x outside the data."),
    click.option(
        "--source", default=None, help="measured, published, imported, or a table's name."
    ),
    click.option("--dataset", default=None, help="Only learn from runs on this dataset."),
    click.option("--adaptation", default=None, help="Only this adaptation, e.g. lora:16."),
    click.option("--level", type=float, default=0.9, show_default=True, help="Of the intervals."),
    click.option("--accept-status", is_flag=True, help="Plan from a law that did not converge."),
]
_LIMITS: list[Callable[[Any], Any]] = [
    click.option("--flops", type=FLOPS, default=None, help="Most FLOPs, e.g. 400G."),
    click.option("--latency", "latency_ms", type=LATENCY_MS, default=None, help="E.g. 250ms."),
    click.option("--memory", "memory_bytes", type=BYTES, default=None, help="E.g. 4GiB."),
    click.option("--train-flops", type=FLOPS, default=None, help="Most training FLOPs, e.g. 5P."),
    click.option(
        "--min-prob",
        type=float,
        default=0.9,
        show_default=True,
        help="Least probability of meeting all limits together.",
    ),
]


COST_NAMES = {
    "flops": "flops", "latency": "latency_ms", "memory": "memory_bytes", "train-flops": "train_flops",
}  # fmt: skip


def _query(question: dict[str, Any]) -> PlanQuery:
    """The question as a record; a missing task is a usage error."""
    from planner.plan.question import PlanQuery

    if question["task"] is None:
        raise click.UsageError("missing option --task: say asr or emotion")
    path = question.pop("candidates", None)
    lines = () if path is None else _candidate_lines(path)
    return PlanQuery(**question, candidates=lines)


def _candidate_lines(path: str) -> tuple[str, ...]:
    """The configurations of a file: one a line, a header and `#` comments left out."""
    from pathlib import Path

    from planner.errors import InputError

    lines = [s.strip() for s in Path(path).read_text(encoding="utf-8").splitlines()]
    found = tuple(s for s in lines if s and not s.startswith(("#", "backbone,")))
    if not found:
        raise InputError(f"{path} lists no configuration; write backbone,audio_seconds,reduction")
    return found


def _with(options: list[Callable[[Any], Any]]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


@click.group(invoke_without_command=True)
@_with(_LIMITS)
@_with(_QUESTION)
@db_option
@format_option(ANSWER_FORMATS)
@click.pass_context
def plan(ctx: click.Context, /, db: str | None, output_format: str, **question: Any) -> None:
    """The configuration with the fewest expected errors under a FLOP and latency budget.

    Needs at least one limit. Exit code 3 when nothing meets the limits, with what would; 8 when some
    configuration meets them as expected, but not with the probability asked for; 9 when everything
    lies too far outside the data.

    \b
    Examples:
      soundscale plan --task asr --flops 20G
      soundscale plan --task asr --flops 20G --latency 2s -f json
      soundscale plan --task asr --flops 520G --convention same2026 --measured-only --source published
      soundscale plan --task asr --flops 20G --grid --demand 1e9 --train-flops 5P
    """
    if ctx.invoked_subcommand is not None:
        return
    from planner.report import answer_text
    from planner.service import asking

    try:
        answer = asking.plan(db, _query(question))
    except InfeasibleError as problem:
        if output_format != "table":
            echo_json(problem.details)
        raise
    if output_format != "table":
        echo_json(answer.json)
        return
    click.echo(answer_text.plan_text(answer.json))


@plan.command("target")
@click.option("--wer", "--error", "max_error", type=ERROR, required=True, help="E.g. 8% or 0.08.")
@click.option(
    "--minimise",
    type=click.Choice(list(COST_NAMES)),
    default="flops",
    show_default=True,
    help="The resource to spend least of.",
)
@_with(_LIMITS)
@_with(_QUESTION)
@db_option
@format_option(ANSWER_FORMATS)
def plan_target(
    db: str | None, output_format: str, max_error: float, minimise: str, **question: Any
) -> None:
    """The least of one resource for a quality.

    \b
    Example:
      soundscale plan target --task asr --wer 8% --minimise latency
    """
    from planner.report import answer_text
    from planner.service import asking

    try:
        found = asking.plan_target(db, _query(question), max_error, COST_NAMES[minimise])
    except InfeasibleError as problem:
        if output_format != "table":
            echo_json(problem.details)
        raise
    if output_format != "table":
        echo_json(found)
        return
    click.echo(answer_text.target_text(found))


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
    click.echo(answer_text.verify_text(found))


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


@click.command()
@click.option(
    "--x",
    "cost",
    type=click.Choice(list(COST_NAMES)),
    default="flops",
    show_default=True,
    help="The cost to trade against error.",
)
@_with(_QUESTION)
@db_option
@format_option()
def frontier(db: str | None, output_format: str, cost: str, **question: Any) -> None:
    """The lowest expected error at each cost: the Pareto frontier with its intervals.

    \b
    Example:
      soundscale frontier --task asr --x flops
    """
    from planner.errors import InputError
    from planner.plan.frontier import pareto
    from planner.plan.wording import amount
    from planner.report import answer_text
    from planner.service import asking

    _, table, _ = asking.candidates_for(db, _query(question))
    name = COST_NAMES[cost]
    if name not in table.costs:
        raise InputError(asking.why_unknown(table, name))
    rows = answer_text.frontier_rows(table, pareto(table, name), name)
    if output_format == "table":
        for row in rows:
            row["cost"] = amount(name, row[name])
            row["wer"] = (
                f"{answer_text.percent(row['error'])} [{100 * row['low']:.2f}, {100 * row['high']:.2f}]"
            )
    columns = [
        ("cost", cost), ("wer", "error, 90 % interval"), ("backbone", "backbone"),
        ("audio_seconds", "audio s"), ("reduction", "reduction"), ("kind", ""),
    ]  # fmt: skip
    echo_rows(rows, output_format, columns)


@click.command()
@click.option("--backbone", required=True, help="Backbone of the configuration.")
@click.option("--audio-seconds", type=float, required=True, help="Seconds in a window (x_T).")
@click.option("--reduce", "reduction", default="none", show_default=True, help="E.g. stem:2 (x_V).")
@_with(_LIMITS)
@_with(_QUESTION)
@db_option
@format_option(ANSWER_FORMATS)
def whatif(
    db: str | None, output_format: str, backbone: str, audio_seconds: float, reduction: str,
    **question: Any,
) -> None:  # fmt: skip
    """One configuration's predicted error, costs and chance of meeting each limit.

    \b
    Example:
      soundscale whatif --task asr --backbone whisper-base --audio-seconds 10 --reduce stem:2
    """
    from planner.report import answer_text
    from planner.service import asking

    found = asking.whatif(db, _query(question), backbone, audio_seconds, reduction)
    if output_format != "table":
        echo_json(found)
        return
    click.echo(answer_text.option_text(found))


@click.command()
@click.option("--hours", "--gpu-hours", "--cpu-hours", type=float, required=True, help="To spend.")
@click.option("--worth", type=ERROR, default=1e-4, help="Least gain in error.  [default: 0.01%]")
@click.option("--emit", type=click.Path(dir_okay=False), default=None, help="Write a sweep file.")
@_with(_LIMITS)
@_with(_QUESTION)
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

    found = next_runs.suggest_runs(db, _query(question), hours, worth)
    if emit and found["suggestions"]:
        path = Path(emit)
        path.write_text(next_runs.sweep_text(db, found, path.stem), encoding="utf-8")
        talk(f"wrote {path}; run it with: soundscale sweep run {path}")
    if output_format != "table":
        echo_json(found)
        return
    click.echo(answer_text.suggest_text(found))
