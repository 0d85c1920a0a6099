"""`soundscale data check`: what a data source holds, and every fault of it, before it is spent on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.errors import InputError, SoundscaleError
from planner.words.units import format_duration
from runner.data import manifest
from runner.data.clips import DataSpec
from runner.data.corpus import FOLDERS, check, list_clips, load_corpus


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a source holds, empty where rows of its manifest cannot be used, and those rows."""

    contents: dict[str, Any]
    faulty_rows: list[dict[str, Any]]

    @property
    def faults(self) -> list[dict[str, Any]]:
        """One row a fault, of the manifest and of the files."""
        return [*self.faulty_rows, *_file_faults(self.contents)]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return self.contents | {"faulty_rows": self.faulty_rows}


def check_source(source: str, task: str | None, say: Callable[[str], None]) -> CheckReport:
    """Check a source.

    Raises:
        InputError: there is no such source.
        MissingResourceError: the data cannot be had.
    """
    request = request_of(source, task)
    rows = row_faults(request)
    return CheckReport({} if rows else check(load_corpus(request), say=say), rows)


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


def _file_faults(facts: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"problem": kind, "utterance_id": row["utterance_id"], "path": row["path"]}
        for kind in ("broken", "clipped", "silent")
        for row in facts.get(kind, [])
    ]


def report_text(facts: dict[str, Any]) -> str:
    """The report as a few lines: splits, durations, faults, and how much each x_T hears."""
    lines = [
        f"{facts['name']} ({facts['task']}), {facts['split_policy']} split, from {facts['source']}",
        f"{facts['n_clips']} clips, {format_duration(3600 * facts['hours'])} of audio, licence "
        f"{facts['licence'] or 'not known'}",
    ]
    for name, split in facts["splits"].items():
        speakers = split["n_speakers"]
        who = f", {speakers} speakers" if speakers else ""
        seconds = format_duration(3600 * split["hours"])
        lines.append(f"  {name}: {split['n_utterances']} utterances, {seconds}{who}")
    if facts["speaker_overlap"]:
        lines.append(f"  {facts['speaker_overlap']} speakers are in both train and test")
    if facts["repeated_texts"]:
        lines.append(f"  {facts['repeated_texts']} texts are in both train and test")
    durations = facts["duration_seconds"]
    if durations:
        lines.append("seconds  " + "  ".join(f"{k} {v:.2f}" for k, v in durations.items()))
    for kind in ("broken", "clipped", "silent"):
        rows = facts[kind]
        lines.append(f"{kind}: {len(rows) or 'none'}")
        lines += [f"  {row['path']}{_why(row)}" for row in rows[:20]]
    for row in facts["coverage"]:
        lines.append(
            f"x_T {row['audio_seconds']:g} s: {row['truncate_audio_fraction']:.1%} of the audio in the "
            f"first window, {row['fitting_clips_fraction']:.1%} of the clips fit one"
        )
    return "\n".join(lines)


def _why(row: dict[str, Any]) -> str:
    return f": {row['text']}" if "text" in row else ""
