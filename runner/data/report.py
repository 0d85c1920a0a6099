"""`soundscale data check`: what a data source holds, and every fault of it, before it is spent on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from planner.cli.options import echo_json, echo_rows, talk
from planner.errors import InputError, SoundscaleError
from planner.words.units import format_duration
from runner.data import manifest
from runner.data.clips import DataSpec
from runner.data.corpus import FOLDERS, check, list_clips, load_corpus


def run(source: str, task: str | None, output_format: str) -> None:
    """Check a source and print the report.

    Raises:
        InputError: there is no such source, or rows of a manifest cannot be used (after the report).
        MissingResourceError: the data cannot be had.
    """
    request = request_of(source, task)
    rows = row_faults(request)
    found = {} if rows else check(load_corpus(request), say=talk)
    if output_format == "json":
        echo_json(found | {"faulty_rows": rows})
    elif output_format != "table":
        echo_rows([*rows, *_file_faults(found)], output_format)
    elif found:
        click.echo(report_text(found))
    if rows:
        if output_format == "table":
            echo_rows(rows, "table", (("row", "row"), ("problem", "problem")))
        raise InputError(
            f"{len(rows)} rows of {source} cannot be used; correct or drop them, then check again"
        )


def request_of(source: str, task: str | None) -> DataSpec:
    """The data request that a word on the command line means.

    A file is a manifest, a folder is the first known layout that finds clips in it, and anything
    else is a name.

    Raises:
        InputError: no known layout fits the folder.
    """
    path = Path(source).expanduser()
    if path.is_file():
        return DataSpec(name="manifest", path=str(path.resolve()), task=task)
    if not path.is_dir():
        return DataSpec(name=source, task=task)
    layouts = [name for name in FOLDERS if name != "manifest"]
    for name in layouts:
        request = DataSpec(name=name, path=str(path.resolve()), task=task)
        try:
            if list_clips(request).clips:
                return request
        except SoundscaleError:
            continue
    raise InputError(
        f"folder {source} has none of the known layouts ({', '.join(layouts)}); name its clips in a "
        f"manifest and check that"
    )


def row_faults(request: DataSpec) -> list[dict[str, Any]]:
    """Rows of a manifest that cannot be used; none for other sources."""
    if request.name != "manifest":
        return []
    return [{"row": number, "problem": why} for number, why in manifest.faulty_rows(request)]


def _file_faults(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"problem": kind, "utterance_id": row["utterance_id"], "path": row["path"]}
        for kind in ("broken", "clipped", "silent")
        for row in found.get(kind, [])
    ]


def report_text(found: dict[str, Any]) -> str:
    """The report as a few lines: splits, durations, faults, and how much each x_T hears."""
    lines = [
        f"{found['name']} ({found['task']}), {found['split_policy']} split, from {found['source']}",
        f"{found['n_clips']} clips, {format_duration(3600 * found['hours'])} of audio, licence "
        f"{found['licence'] or 'not known'}",
    ]
    for name, split in found["splits"].items():
        speakers = split["n_speakers"]
        who = f", {speakers} speakers" if speakers else ""
        seconds = format_duration(3600 * split["hours"])
        lines.append(f"  {name}: {split['n_utterances']} utterances, {seconds}{who}")
    if found["speaker_overlap"]:
        lines.append(f"  {found['speaker_overlap']} speakers are in both train and test")
    if found["repeated_texts"]:
        lines.append(f"  {found['repeated_texts']} texts are in both train and test")
    durations = found["duration_seconds"]
    if durations:
        lines.append("seconds  " + "  ".join(f"{k} {v:.2f}" for k, v in durations.items()))
    for kind in ("broken", "clipped", "silent"):
        rows = found[kind]
        lines.append(f"{kind}: {len(rows) or 'none'}")
        lines += [f"  {row['path']}{_why(row)}" for row in rows[:20]]
    for row in found["coverage"]:
        lines.append(
            f"x_T {row['audio_seconds']:g} s: {row['truncate_audio_fraction']:.1%} of the audio in the "
            f"first window, {row['fitting_clips_fraction']:.1%} of the clips fit one"
        )
    return "\n".join(lines)


def _why(row: dict[str, Any]) -> str:
    return f": {row['text']}" if "text" in row else ""
