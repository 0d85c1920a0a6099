"""`soundscale costs`, `backbones`, `devices`: what a configuration costs, before any run."""

from __future__ import annotations

from typing import Any

import click

from planner.cli.asked import option, options
from planner.cli.options import db_option, echo, echo_json, echo_rows, format_option, talk
from planner.words.asked import named
from planner.words.question import CONFIGURATION, STUDY


@click.command()
@options(CONFIGURATION)
@option(named(STUDY, "output_tokens"), type=click.IntRange(0), help="Tokens generated.")
@click.option("--no-cache", is_flag=True, help="Decode without a key/value cache.")
@option(named(STUDY, "convention"))
@option(named(STUDY, "device"), help="Also predict latency on it: measured, or a data sheet's.")
@click.option(
    "--batch-size", type=click.IntRange(1), default=1, show_default=True, help="For latency."
)
@db_option
@format_option()
def costs(output_format: str, **asked: Any) -> None:
    """FLOPs by part, memory and training cost of one configuration.

    \b
    Examples:
      soundscale costs --backbone whisper-small --audio-seconds 30
      soundscale costs --backbone whisper-small --audio-seconds 30 --reduction stem:2 --adaptation lora:16 -f json
      soundscale costs --backbone whisper-small --audio-seconds 30 --device h100 --batch-size 8
    """
    from planner.report.cost_text import cost_text
    from planner.service import costs

    found = costs.cost_of(**asked)
    if output_format != "table":
        echo_json(found)
        return
    echo(cost_text(found, asked))


@click.group()
def backbones() -> None:
    """Known backbones by their dimensions; add your own."""


@backbones.command("list")
@db_option
@format_option()
def backbones_list(db: str | None, output_format: str) -> None:
    """List the catalogue: parameters, width, depth, longest window.

    \b
    Example:
      soundscale backbones list
    """
    from planner.service import costs

    columns = [
        ("name", "backbone"), ("family", "family"), ("n_params", "parameters"),
        ("encoder_params", "encoder"), ("d_model", "width"), ("encoder_layers", "layers"),
        ("max_audio_seconds", "max s"), ("hub_id", "hub"),
    ]  # fmt: skip
    rows = costs.backbone_rows(db)
    if any(row["problem"] for row in rows):
        columns.append(("problem", "problem"))
    echo_rows(rows, output_format, columns)


@backbones.command("add")
@click.argument("path_or_id")
@click.option("--name", default=None, help="Name in the catalogue; default: the folder's name.")
@db_option
def backbones_add(path_or_id: str, name: str | None, db: str | None) -> None:
    """Add a backbone described by its Hugging Face config.json (a file, a folder or a hub id).

    \b
    Example:
      soundscale backbones add ./my-whisper/config.json --name my-whisper
    """
    from planner.service import costs
    from planner.words.units import format_count

    added = costs.add_backbone(db, path_or_id, name)
    talk(f"added {added.name}: {added.family}, {format_count(added.n_params)} parameters")


@click.group()
def devices() -> None:
    """Devices that latencies were measured on."""


@devices.command("list")
@db_option
@click.option("--sheets", is_flag=True, help="The built-in data sheets instead.")
@format_option()
def devices_list(db: str | None, sheets: bool, output_format: str) -> None:
    """List devices; their names are what --device takes.

    \b
    Examples:
      soundscale devices list
      soundscale devices list --sheets
    """
    from planner.service import lists

    columns = [
        ("name", "device"), ("kind", "kind"), ("model", "model"), ("n_threads", "threads"),
        ("n_latencies", "measurements"), ("known_by", "known by"),
    ]  # fmt: skip
    if sheets:
        columns[3:5] = [("peak", "peak FLOPs/s"), ("reach", "bytes/s"), ("dtype", "dtype")]
    rows = lists.sheet_rows() if sheets else lists.devices(db)
    echo_rows(rows, output_format, columns, empty="no device was measured yet")


@devices.command("add")
@click.argument("name")
@click.option("--peak-flops", required=True, help="Dense peak a second, 2 per multiply-add: 312T.")
@click.option("--bandwidth", required=True, help="Bytes a second of its memory: 2039GB.")
@click.option("--memory", default=None, help="Capacity of its memory: 80GiB.")
@click.option("--kind", type=click.Choice(["cuda", "cpu"]), default="cuda", show_default=True)
@click.option("--dtype", default="bfloat16", show_default=True, help="Element type of the peak.")
@db_option
def devices_add(name: str, db: str | None, **given: Any) -> None:
    """Describe a device by its data sheet; latencies on it are then predicted with a wide interval.

    A few measurements (soundscale probe) narrow it.

    \b
    Example:
      soundscale devices add my-gpu --peak-flops 312T --bandwidth 2039GB --memory 80GiB
    """
    from planner.service import costs

    talk(costs.add_device(db, name, **given))
