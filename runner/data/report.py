"""`soundscale data check`: what a data source holds, and every fault of it, before it is spent on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.errors import InputError, SoundscaleError
from planner.words.units import format_duration
from runner.data import cremad, emodb, manifest, ravdess
from runner.data.clips import DataSpec
from runner.data.corpus import FOLDERS, check, list_clips, load_corpus
from runner.data.manifest_files import manifest_files
from runner.data.named import AUDIO_SUFFIXES

NAMINGS = (cremad.NAMING, ravdess.NAMING, emodb.NAMING)


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a source holds, empty where rows of its manifest cannot be used, and those rows."""

    contents: dict[str, Any]
    faulty_rows: list[dict[str, Any]]

    @property
    def left_out(self) -> list[str]:
        """What would be left out, one phrase for each kind; empty for sound data."""
        kinds = Counter(
            f"{row['fault']}{': Git LFS pointers, run git lfs pull' if 'Git LFS' in row['text'] else ''}"
            for row in self.contents.get("broken", [])
        )
        broken = [f"{n} files {kind}" for kind, n in kinds.most_common()]
        n_copies = len(self.contents.get("copies", []))
        return broken + ([f"{n_copies} copies of other rows"] if n_copies else [])

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

    A file is a manifest, a folder is one of manifests or the first known layout that finds clips in it,
    and anything else is a name.

    Raises:
        InputError: no known layout fits the folder.
    """
    path = Path(source).expanduser()
    if path.is_file():
        return DataSpec(name="manifest", path=str(path.resolve()), task=task)
    if not path.is_dir():
        return DataSpec(name=source, task=task)
    if manifest_files(path):
        return DataSpec(name="manifest", path=str(path.resolve()), task=task)
    layouts = [name for name in FOLDERS if name != "manifest"]
    faults: list[tuple[str, SoundscaleError]] = []
    for name in layouts:
        request = DataSpec(name=name, path=str(path.resolve()), task=task)
        try:
            if list_clips(request).clips:
                return request
        except SoundscaleError as problem:
            faults.append((name, problem))
    likely = _likely_layout(path)
    for name, fault in faults:
        if name == likely:
            raise InputError(f"folder {source} is laid out as {name}: {fault}")
    raise InputError(
        f"folder {source} has none of the known layouts ({', '.join(layouts)}); name its clips in a "
        f"manifest and check that"
    )


def _likely_layout(folder: Path) -> str | None:
    """The layout that most files of the folder fit; None where none does."""
    if any(folder.rglob("*.trans.txt")):
        return "librispeech"
    if any(folder.rglob("wav.scp")):
        return "kaldi"
    stems = [p.stem for p in folder.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES]
    fits = {n.name: sum(n.pattern.fullmatch(s) is not None for s in stems) for n in NAMINGS}
    best = max(fits, key=lambda name: fits[name])
    return best if 2 * fits[best] >= len(stems) > 0 else None


def row_faults(request: DataSpec) -> list[dict[str, Any]]:
    """Rows of a manifest that cannot be used; none for other sources."""
    if request.name != "manifest":
        return []
    return [{"row": number, "problem": why} for number, why in manifest.faulty_rows(request)]


def _file_faults(facts: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"problem": kind, "utterance_id": row.get("utterance_id"), "path": row["path"]}
        for kind in ("broken", "copies", "clipped", "silent", "twice", "across")
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
    if facts["not_english"]:
        lines.append(
            f"{facts['not_english']}: say data.language in the sweep file, as Whisper's English normaliser "
            "drops accents and vowel signs"
        )
    if facts["number_format"]:
        named = facts["number_format"]
        lines.append(
            f"{len(named)} scored utterances hold numbers that count as errors by how they are written; score "
            f'them by normaliser = "english-digits": {", ".join(named[:10])}{" …" if len(named) > 10 else ""}'
        )
    if facts["labels"]:
        counts = ", ".join(f"{label!r} {n}" for label, n in facts["labels"].items())
        lines.append(f"{len(facts['labels'])} labels: {counts}")
    for group in facts["labels_alike"]:
        names = ", ".join(f"{label!r} ({label!a})" for label in group)
        lines.append(
            f"  labels {names} differ in case, spaces or composition alone: one class each"
        )
    if facts["copies"]:
        lines.append(
            f"{len(facts['copies'])} rows are left out, as another of their split has the same recording and text:"
        )
        lines += [f"  {row['path']} is {row['same_as']}" for row in facts["copies"][:20]]
    if facts["twice"]:
        lines.append(
            f"{len(facts['twice'])} clips are there twice, by their content, in two splits or with two texts:"
        )
        lines += [
            f"  {row['path']} is {row['same_as']} ({row['split']})" for row in facts["twice"][:20]
        ]
    if facts["across"]:
        lines.append(f"{len(facts['across'])} recordings are cut so that clips are not apart:")
        lines += [f"  {row['path']}: {row['why']}" for row in facts["across"][:20]]
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
