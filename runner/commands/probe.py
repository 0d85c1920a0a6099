"""`soundscale probe`: parse, one call, print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from planner.cli.asked import levels
from planner.cli.options import db_option, echo_rows, format_option, talk


@click.command()
@levels("backbone", "backbones", "May be given again.")
@levels("audio_seconds", "audio_seconds", "x_T; may be given again.")
@levels("reduction", "reductions", "x_V, e.g. stem:2; may be given again.")
@click.option("--batch-size", "batch_sizes", type=click.IntRange(1), multiple=True, default=(1,))
@click.option(
    "--task",
    type=click.Choice(["asr", "emotion"]),
    default=None,
    help="[default: the backbone's own]",
)
@click.option("--output-tokens", "n_output_tokens", type=click.IntRange(min=1), default=None)
@click.option(
    "--points",
    type=click.IntRange(min=1),
    default=None,
    help="Choose so many of the combinations.  [default: 12 where no backbone is named, else all]",
)
@click.option(
    "--seconds", type=float, default=90.0, show_default=True, help="Time, where points are chosen."
)
@click.option(
    "--processes", "n_processes", type=click.IntRange(min=1), default=3, show_default=True
)
@click.option("--samples", "n_samples", type=click.IntRange(min=5), default=15, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--precision", type=click.Choice(["auto", "fp32", "bf16"]), default="auto")
@click.option("--attention", type=click.Choice(["sdpa", "eager"]), default="sdpa")
@click.option(
    "--engine",
    default=None,
    metavar="NAME[:PRECISION]",
    help="Exported to this engine, e.g. onnxruntime:int8.  [default: torch]",
)
@click.option("--device-label", default=None, help="Name of this device.  [default: its model]")
@click.option("--no-store", is_flag=True, help="Only print.")
@click.option(
    "--import",
    "imported",
    type=click.Path(path_type=Path),
    default=None,
    metavar="FILE",
    help="Measure nothing: take the device that tests/benchmarks/gpu.py measured elsewhere.",
)
@db_option
@format_option()
def probe(
    no_store: bool, imported: Path | None, db: str | None, output_format: str, **asked: Any
) -> None:
    """Measure latency on this device; nothing is trained and nothing downloaded.

    Without --backbone it chooses up to 12 configurations that tell most of the device, so that the
    latency of any other can be predicted. With axes it measures every combination of them.

    \b
    Examples:
      soundscale probe
      soundscale probe --engine ctranslate2:int8 --points 24 --seconds 300
      soundscale probe --backbone whisper-tiny.en --audio-seconds 4 --audio-seconds 12 --reduction stem:2
      soundscale probe --import gpu.json
    """
    from planner.costs.latency.probe_points import CALIBRATION_POINTS
    from runner.campaign.drive import absolute_db
    from runner.probing import drive
    from runner.probing.imported import read
    from runner.sweep import prepare

    prepare.require_runner()
    catalogue = prepare.stored_catalogue(absolute_db(db))
    if imported is not None:
        latencies = read(imported, catalogue)
        if not no_store:
            drive.save(db, latencies)
        talk(f"device {latencies[0].device.name}: {'not stored' if no_store else 'stored'}")
    else:
        if asked["points"] is None and not asked["backbones"]:
            asked["points"] = CALIBRATION_POINTS
        request = drive.ProbeRequest(**asked)
        drive.check(request)
        latencies = drive.probe(db, request, talk, store=not no_store, catalogue=catalogue)
    echo_rows([drive.row_of(latency) for latency in latencies], output_format, drive.COLUMNS)
