"""`soundscale runs`: what was trained and scored."""

from __future__ import annotations

from typing import Any

import click

from planner.cli.options import (
    ANSWER_FORMATS,
    STREAMED,
    db_option,
    echo,
    echo_json,
    echo_pages,
    echo_rows,
    format_option,
    talk,
)

NEWEST = 50
"""Runs that are listed where no other number is asked for (assumption: a screen or two)."""

_COLUMNS = [
    ("run_id", "run"),
    ("backbone", "backbone"),
    ("audio_seconds", "audio s"),
    ("tokens_per_second", "tokens/s"),
    ("reduction", "reduction"),
    ("adaptation", "adaptation"),
    ("train_hours", "audio h"),
    ("metric", "metric"),
    ("scorer", "scorer"),
    ("error_shown", "error ± se"),
    ("gflops", "GFLOPs/window"),
    ("latency_p50_ms", "p50 ms"),
    ("status", "status"),
    ("provenance", "from"),
    ("told_apart", "told apart by"),
]
_NARROW_WITHOUT = ("scorer", "adaptation", "metric", "from", "GFLOPs/window", "reduction")
"""What a narrow terminal goes without, in this order; the error stays."""

_PARTS = {
    "latencies": [
        ("device", "device"), ("p95_is_of", "of"), ("request_p50_ms", "request p50 ms"),
        ("request_p95_ms", "p95 ms"), ("window_p50_ms", "window p50 ms"), ("window_p95_ms", "p95 ms "),
        ("noise_floor", "A/A"), ("load", "load"), ("n_samples", "samples"), ("method", "method"),
    ],
    "utterances": [
        ("utterance_id", "utterance"), ("n_errors", "errors"), ("n_units", "of"), ("reference", "said"),
        ("hypothesis", "heard"), ("speaker", "speaker"), ("audio_seconds", "s"),
        ("failure_text", "not scored"),
    ],
    "test_sets": [
        ("test_set", "test set"), ("metric", "metric"), ("error", "error"), ("std_error", "se"),
        ("n_units", "units"), ("n_utterances", "utterances"), ("untrained_run_id", "untrained run"),
        ("change", "change"), ("change_low", "from"), ("change_high", "to"),
    ],
}  # fmt: skip
"""Columns of a run's lists for people; `-f json` has all."""
_PARTS_NARROW = {
    "latencies": ("method", "samples", "A/A", "load", "of"),
    "utterances": ("not scored", "speaker", "s"),
    "test_sets": ("units", "utterances", "untrained run"),
}
"""What a narrow terminal goes without."""


@click.group()
def runs() -> None:
    """List, show and import runs."""


@runs.command("list")
@db_option
@click.option("--task", default=None, help="Only this task: asr or emotion.")
@click.option("--sweep", default=None, help="Only the runs of this sweep.")
@click.option("--status", default=None, help="Only runs with this status, e.g. finished.")
@click.option("--source", default=None, help="Only measured, published or imported runs.")
@click.option("--limit", type=click.IntRange(1), default=None, help="At most so many runs.")
@click.option("--after", type=int, default=None, help="Only runs with a larger id (next page).")
@click.option("--all", "every", is_flag=True, help="All runs, however many.")
@format_option()
def list_runs(
    db: str | None, task: str | None, sweep: str | None, status: str | None, source: str | None,
    limit: int | None, after: int | None, every: bool, output_format: str,
) -> None:  # fmt: skip
    """List runs with error, FLOPs, latency and parameters: the newest 50, or those asked for.

    Runs whose rows would be printed alike say what tells them apart.

    \b
    Examples:
      soundscale runs list --task asr
      soundscale runs list --status finished --all -f csv
    """
    from planner.service import lists

    filters = {"task": task, "sweep": sweep, "status": status, "provenance": source}
    if every and (limit is not None or after is not None):
        raise click.UsageError("--all lists every run; leave out --limit and --after")
    if every and output_format in STREAMED:
        echo_pages(lists.all_runs(db, **filters), output_format)
        return
    newest = None if every or limit is not None or after is not None else NEWEST
    rows = lists.runs(db, **filters, limit=limit, after=after, newest=newest)
    columns = _COLUMNS
    if output_format == "table":
        # Columns that most databases have nothing to say in.
        said = {name for name in ("told_apart", "train_hours") if any(r[name] for r in rows)}
        columns = [c for c in columns if c[0] in said or c[0] not in ("told_apart", "train_hours")]
        shown = [_for_people(r) for r in rows]
    else:
        shown = rows
    echo_rows(shown, output_format, columns, empty="no run matches", drop=_NARROW_WITHOUT)
    if newest is not None and len(rows) == newest:
        n = lists.n_runs(db, **filters)
        if n > newest:
            talk(
                f"the newest {newest} of {n:,} runs; all of them: --all, from the first: --limit {newest} --after 0"
            )


def _for_people(row: dict[str, Any]) -> dict[str, Any]:
    error, se = row["error"], row["std_error"]
    shown = None if error is None else f"{100 * error:.2f} %"
    if error is not None and se is not None:
        shown = f"{100 * error:.2f} % ± {100 * se:.2f}"
    flops = row["flops"]
    return {**row, "error_shown": shown, "gflops": None if flops is None else f"{flops / 1e9:.1f}"}


@runs.command("show")
@click.argument("run_id", type=int)
@db_option
@click.option("--utterances", is_flag=True, help="Also every scored utterance.")
@format_option(ANSWER_FORMATS)
def show_run(run_id: int, db: str | None, utterances: bool, output_format: str) -> None:
    """Show one run: the trial, its numbers, how they were taken, or why it failed.

    \b
    Example:
      soundscale runs show 3 --utterances
    """
    import json

    from planner.service import lists

    detail = lists.run_detail(db, run_id, utterances=utterances)
    if output_format != "table":
        echo_json(detail)
        return
    for key, value in detail.items():
        if isinstance(value, list) and value:
            echo(f"\n{key.replace('_', ' ')}")
            echo_rows(value, "table", _PARTS.get(key), drop=_PARTS_NARROW.get(key, ()))
        elif isinstance(value, list):
            continue
        elif value is not None:
            said = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value
            echo(f"{key:22s} {said}")
    if detail["status"] == "finished" and detail["provenance"] == "measured":
        talk(f"beside another on the same utterances: soundscale compare {run_id} RUN")


@runs.command("import")
@click.argument("table")
@click.argument("file", required=False)
@db_option
@click.option(
    "--errors-in",
    type=click.Choice(["fraction", "percent"]),
    default=None,
    help="Unit of error and std_error; default: by the column's name, else a fraction.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be stored, and store nothing.")
@format_option(ANSWER_FORMATS)
def import_runs(
    table: str,
    file: str | None,
    db: str | None,
    errors_in: str | None,
    dry_run: bool,
    output_format: str,
) -> None:
    """Store a published table (same2026) or your own CSV as finished runs.

    Public tables that are not shipped are read from a FILE: open-asr-leaderboard, emobox.

    A CSV needs the columns task, backbone, audio_seconds and error (a fraction; error_percent in percent).
    A corrected file replaces its own earlier rows; the runs before are kept as removed.

    \b
    Examples:
      soundscale runs import same2026
      soundscale runs import results.csv --db lab.db
      soundscale runs import open-asr-leaderboard leaderboard.csv
    """
    import dataclasses

    from planner.service import fitting

    report = fitting.import_results(db, table, errors_in=errors_in, dry_run=dry_run, file=file)
    if output_format != "table":
        echo_json(dataclasses.asdict(report))
        return
    would = "would be stored" if dry_run else "stored"
    for line in report.dry_run:
        click.echo(line)
    talk(
        f"{report.n_new} runs of {report.name} {would} as {report.provenance}, "
        f"{report.n_known} were there already"
    )
    for line in report.changes:
        talk(f"changed: {line}")
    for line in report.notes:
        talk(f"note: {line}")
    for line in report.left_out:
        talk(f"left out: {line}")


@runs.command("remove")
@click.argument("run_ids", type=int, nargs=-1, metavar="[RUN]…")
@click.option(
    "--import", "imported", metavar="FILE", default=None,
    help="All runs of an import, by its file or the published table's name.",
)  # fmt: skip
@click.option("--why", required=True, help="The reason, which is kept with the run.")
@click.option("--who", default=None, help="Who takes it out; default: the user's name.")
@db_option
def remove_runs(
    run_ids: tuple[int, ...], imported: str | None, why: str, who: str | None, db: str | None
) -> None:
    """Take runs out: no law learns from them any more. They are kept, with who, when and why.

    \b
    Example:
      soundscale runs remove 3 4 --why "typed in percent"
      soundscale runs remove --import results.csv --why "another test set"
    """
    import getpass

    from planner.service import fitting

    n_removed = fitting.remove_runs(
        db, run_ids, who=who or getpass.getuser(), why=why, imported=imported
    )
    talk(f"{n_removed} runs removed; soundscale runs show RUN still shows them")


@runs.command("rescore")
@click.argument("run_ids", type=int, nargs=-1, metavar="[RUN]…")
@click.option(
    "--scorer",
    "scorers",
    multiple=True,
    metavar="NAME",
    help="By name; may be given again.  [default: all]",
)
@db_option
@format_option()
@click.pass_context
def rescore_runs(
    context: click.Context,
    run_ids: tuple[int, ...],
    scorers: tuple[str, ...],
    db: str | None,
    output_format: str,
) -> None:
    """Score stored texts by other named scorers, without audio; no law learns from these numbers.

    Without RUN all finished runs of speech recognition. `soundscale runs show` lists what was scored.

    \b
    Examples:
      soundscale runs rescore --scorer english-digits
      soundscale runs rescore 3 7 --scorer leaderboard --scorer raw
    """
    from planner.errors import MissingResourceError
    from planner.words.scorers import SCORERS, plain

    chosen = tuple(plain(name) for name in scorers) or tuple(SCORERS)
    group = context.find_root().command
    found = group.get_command(context, "rescore-texts") if isinstance(group, click.Group) else None
    if found is None:
        raise MissingResourceError(
            "texts are scored by the runner, which is not installed; run: pip install 'soundscale[runner]'"
        )
    context.invoke(found, run_ids=run_ids, scorers=chosen, db=db, output_format=output_format)
