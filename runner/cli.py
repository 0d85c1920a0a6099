"""The runner's commands: `sweep`, `quickstart` and `data`. Each imports its heavy room when it runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from planner.cli.options import db_option, echo, echo_json, echo_rows, format_option, talk
from planner.words import normalisers
from runner.commands import doctor, drain, export, latency, probe, rescore, study, transcribe

SWEEP_COLUMNS = (
    ("label", "trial"),
    ("state", "state"),
    ("attempts", "attempts"),
    ("now", "result"),
)


def register(group: click.Group) -> None:
    """Add the runner's commands to `soundscale` (entry point of the group `soundscale.commands`)."""
    for command in (sweep, study.study, quickstart, data, probe.probe):
        group.add_command(command)
    sweep.add_command(latency.latency)
    sweep.add_command(drain.drain)
    group.add_command(doctor.doctor)
    group.add_command(rescore.rescore)
    export.register(group)
    transcribe.register(group)
    normalisers.provide(_normaliser)
    offers = getattr(group, "offers", None)
    if offers is not None:
        offers["transcriber"] = transcribe.transcriber


def _normaliser(name: str) -> Callable[[str], str]:
    """What `compare` aligns texts by; what it needs is imported when texts are aligned."""
    from runner.data.normalise import normaliser

    return normaliser(name)


ray_option = click.option(
    "--ray",
    "ray_address",
    metavar="local|auto|ADDRESS|none",
    default="local",
    show_default=True,
    help="Where trials run: a cluster of this machine, a running one, or this process alone.",
)
workers_option = click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=None,
    help="Trials at once.  [default: as many as fit]",
)
artifacts_option = click.option(
    "--artifacts",
    metavar="FOLDER|URL",
    default="soundscale-artifacts",
    show_default=True,
    help="Where trained tensors and checkpoints go: a folder, or a URL such as s3://BUCKET/FOLDER.",
)
weights_option = click.option(
    "--weights",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=None,
    help="Folder of pretrained weights; tried before cache, hub and registry.",
)
quiet_option = click.option("--quiet", "-q", is_flag=True, help="No progress, only the answer.")


@click.group()
def sweep() -> None:
    """Run experiments from a sweep file, and see how they stand."""


@sweep.command("run")
@click.argument("spec", type=click.Path(path_type=Path))
@db_option
@ray_option
@workers_option
@artifacts_option
@weights_option
@click.option(
    "--dry-run", is_flag=True, help="List the trials, their time and memory; write nothing."
)
@click.option(
    "--device",
    default=None,
    help="With --dry-run: where to foretell, e.g. h100.  [default: this machine]",
)
@quiet_option
@format_option()
def sweep_run(
    spec: Path,
    db: str | None,
    ray_address: str,
    workers: int | None,
    artifacts: str,
    weights: Path | None,
    dry_run: bool,
    device: str | None,
    quiet: bool,
    output_format: str,
) -> None:
    """Train every trial of SPEC that is not finished; start it again to resume.

    \b
    Example:
      soundscale sweep run asr.toml --dry-run
      soundscale sweep run asr.toml --dry-run --device a100-sxm4-80gb --workers 8
      soundscale sweep run asr.toml --db postgresql://me@host/runs --ray auto
    """
    from runner import sweep_commands

    if dry_run:
        sweep_commands.dry_run(spec, db, output_format, device=device, workers=workers)
        return
    if device is not None:
        raise click.UsageError(
            "--device foretells: it goes with --dry-run; trials run where --ray says"
        )
    request = sweep_commands.RunRequest(
        ray_address=ray_address, workers=workers, artifacts=artifacts, weights=weights, quiet=quiet
    )
    sweep_commands.run(spec, db, request, output_format)


@sweep.command("list")
@db_option
@format_option()
def sweep_list(db: str | None, output_format: str) -> None:
    """All sweeps of the database and how far they are."""
    from runner import sweep_commands

    columns = [(k, k) for k in ("name", "trials", "finished", "running", "queued", "failed")]
    echo_rows(sweep_commands.sweep_rows(db), output_format, columns, empty="no sweep is stored")


@sweep.command("audit")
@click.argument("name")
@db_option
@format_option()
def sweep_audit(name: str, db: str | None, output_format: str) -> None:
    """Whether the history of sweep NAME ever broke a promise; exit code 6 where it did.

    Read from attempts, leases and results, in SQL that shares nothing with what wrote them; at any
    moment, also while the sweep runs.
    """
    from runner import sweep_commands

    sweep_commands.audit(db, name, output_format)


@sweep.command("status")
@click.argument("name")
@db_option
@format_option()
def sweep_status(name: str, db: str | None, output_format: str) -> None:
    """Every trial of sweep NAME: its state, result, or why it failed."""
    from runner import sweep_commands

    rows, line = sweep_commands.status_rows(db, name)
    if output_format == "json":
        echo_json({"name": name, "summary": line, "trials": rows})
        return
    talk(line)
    echo_rows(rows, output_format, SWEEP_COLUMNS)


@sweep.command("report")
@click.argument("name")
@db_option
@format_option()
def sweep_report(name: str, db: str | None, output_format: str) -> None:
    """What the trials of sweep NAME were expected to take, and what they took.

    \b
    Example:
      soundscale sweep report quickstart
    """
    from runner.commands import sweep_report

    sweep_report.report(db, name, output_format)


@sweep.command("watch")
@click.argument("name")
@db_option
@click.option("--seconds", type=click.FloatRange(min=0.1), default=1.0, show_default=True)
def sweep_watch(name: str, db: str | None, seconds: float) -> None:
    """Follow sweep NAME until nothing is waiting or running; from any machine."""
    from runner import sweep_commands

    sweep_commands.watch(db, name, seconds)


@sweep.command("retry")
@click.argument("name")
@db_option
@click.option("--failed", is_flag=True, help="Those that failed.")
@click.option("--cancelled", is_flag=True, help="Those that were cancelled.")
def sweep_retry(name: str, db: str | None, failed: bool, cancelled: bool) -> None:
    """Queue trials of sweep NAME again; `sweep run` then trains them."""
    from runner import sweep_commands

    if not failed and not cancelled:
        raise click.UsageError("say which trials to queue again: --failed, --cancelled or both")
    n = sweep_commands.retry(db, name, failed=failed, cancelled=cancelled)
    talk(f"{n} trials of sweep {name!r} are queued again; start them with: soundscale sweep run")


@sweep.command("cancel")
@click.argument("name")
@db_option
def sweep_cancel(name: str, db: str | None) -> None:
    """Cancel what waits or runs in sweep NAME; workers stop at their next heartbeat."""
    from runner import sweep_commands

    n = sweep_commands.cancel(db, name)
    talk(
        f"{n} trials of sweep {name!r} are cancelled; to queue them again: soundscale sweep retry {name} --cancelled"
    )


@click.command()
@db_option
@workers_option
@artifacts_option
@weights_option
@quiet_option
@click.option(
    "--spec",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="Another sweep file than the packaged one.",
)
def quickstart(
    db: str | None,
    workers: int | None,
    artifacts: str,
    weights: Path | None,
    quiet: bool,
    spec: Path | None,
) -> None:
    """The whole path on real speech: train a small sweep, fit the laws, answer a plan.

    Two pretrained Whisper models are fine-tuned on recorded speech at three audio lengths and three
    token rates; minutes on two CPU cores, without a GPU or a model hub.
    """
    from runner.quickstart import run
    from runner.sweep_commands import RunRequest

    request = RunRequest(
        ray_address="local", workers=workers, artifacts=artifacts, weights=weights, quiet=quiet
    )
    run(db, request, spec)


@click.group()
def data() -> None:
    """Look at speech data before anything is trained on it."""


@data.command("check")
@click.argument("source")
@click.option("--task", type=click.Choice(["asr", "emotion"]), default=None)
@format_option()
def data_check(source: str, task: str | None, output_format: str) -> None:
    """What SOURCE holds and every fault of it: a manifest, a folder, or the name of a data set.

    Exit code 2 when a row of a manifest cannot be used, or a file would be left out.

    \b
    Examples:
      soundscale data check train.jsonl
      soundscale data check LibriSpeech -f json
    """
    from planner.errors import InputError
    from runner.data.report import check_source, report_text

    report = check_source(source, task, talk)
    if output_format == "json":
        echo_json(report.to_json())
    elif output_format != "table":
        echo_rows(report.faults, output_format)
    elif report.contents:
        echo(report_text(report.contents))
    rows = report.faulty_rows
    if rows:
        if output_format == "table":
            echo_rows(rows, "table", (("row", "row"), ("problem", "problem")))
        raise InputError(
            f"{len(rows)} rows of {source} cannot be used; correct or drop them, then check again"
        )
    if report.left_out:
        raise InputError(
            f"of {source}: {'; '.join(report.left_out)}; mend or drop them, then check again"
        )
