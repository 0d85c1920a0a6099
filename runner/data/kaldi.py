"""Kaldi's data folders: `wav.scp`, `text` and `utt2spk`, one utterance a line.

The folder itself, which Soundscale then splits, or a folder of such folders named by the splits
(`train`, `dev`, `test`, or as the request says); ESPnet's are the same. `segments` and `utt2lang` are honoured; pipes
and archives (`a.ark:17`) are not read: audio files only.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from planner.errors import InputError, MissingResourceError
from planner.words.table_text import number as number_of
from planner.words.table_text import text_of
from runner.data.clips import TEST, TRAIN, VALIDATION, Clip, DataSpec, Listing
from runner.data.languages import code_of

_ARCHIVE = re.compile(r"\.ark:\d+$")

REMEDY = "give a folder with wav.scp and text, or one of such folders as train and test"


def listing(spec: DataSpec) -> Listing:
    """The utterances of a Kaldi data folder.

    Raises:
        MissingResourceError: the folder, or a part of it, is missing.
        InputError: a line cannot be used; the message names it.
    """
    if spec.task not in (None, "asr"):
        raise InputError(f"kaldi folders hold transcripts, but task {spec.task!r} was asked")
    if spec.path is None or not Path(spec.path).expanduser().is_dir():
        raise MissingResourceError(f"kaldi folder {spec.path} does not exist; {REMEDY}")
    root = Path(spec.path).expanduser()
    parts = [("", root)] if (root / "wav.scp").is_file() else _parts(root, spec)
    clips = tuple(c for split, folder in parts for c in _part(folder, split))
    return Listing(
        name=root.name, task="asr", clips=clips, licence=None, source=f"local folder {root}",
        official=parts[0][0] != "",
    )  # fmt: skip


def _parts(root: Path, spec: DataSpec) -> list[tuple[str, Path]]:
    named = {TRAIN: spec.train_split or "train", TEST: spec.test_split or "test"}
    validation = spec.validation_split or "dev"
    if spec.validation_split or (root / validation / "wav.scp").is_file():
        named[VALIDATION] = validation
    for part in named.values():
        if not (root / part / "wav.scp").is_file():
            raise MissingResourceError(f"kaldi folder {root / part} has no wav.scp; {REMEDY}")
    return [(split, root / part) for split, part in named.items()]


def _part(folder: Path, split: str) -> list[Clip]:
    audio, texts, speakers, languages = (
        _table(folder / name) for name in ("wav.scp", "text", "utt2spk", "utt2lang")
    )
    parts = _segments(folder) if (folder / "segments").is_file() else _whole(audio, folder)
    clips: list[Clip] = []
    for part in parts:
        if part.recording not in audio:
            raise InputError(
                f"{part.where}: recording {part.recording} is not in wav.scp; correct it or drop the row"
            )
        number, given = audio[part.recording]
        row, text = texts.get(part.utterance_id, (0, ""))
        if not text:
            place = (
                f"row {row} of {folder.name}/text" if row else f"{part.where}: {part.utterance_id}"
            )
            raise InputError(f"{place}: text is empty; give a transcript or drop the row")
        clips.append(
            Clip(
                utterance_id=part.utterance_id,
                path=_audio(given, f"row {number} of {folder.name}/wav.scp", folder),
                reference=text,
                speaker=speakers.get(part.utterance_id, (0, ""))[1] or None,
                language=code_of(languages.get(part.utterance_id, (0, ""))[1]),
                split=split,
                start_seconds=part.start,
                length_seconds=part.length,
            )
        )
    _check_files(folder, parts, texts)
    for name, word, told in (("utt2spk", "speaker", speakers), ("utt2lang", "language", languages)):
        missing = next((p for p in parts if p.utterance_id not in told), None) if told else None
        if missing is not None:
            raise InputError(
                f"{missing.where}: {missing.utterance_id} has no {word} in {name}; add it, or remove {name}"
            )
    return clips


@dataclass(frozen=True, slots=True)
class _Part:
    """An utterance: which recording and what part of it (s); length None for the whole, `where` for messages."""

    utterance_id: str
    recording: str
    where: str
    start: float = 0.0
    length: float | None = None


def _whole(audio: dict[str, tuple[int, str]], folder: Path) -> list[_Part]:
    return [_Part(key, key, f"row {n} of {folder.name}/wav.scp") for key, (n, _) in audio.items()]


def _segments(folder: Path) -> list[_Part]:
    """`UTTERANCE RECORDING START END` in seconds, as Kaldi's extract-segments takes them.

    Raises:
        InputError: a row has other cells, or its times are no part of a recording.
    """
    found = []
    for utterance_id, (number, value) in _table(folder / "segments").items():
        where = f"row {number} of {folder.name}/segments"
        cells = value.split()
        if len(cells) != 3:
            raise InputError(
                f"{where} has {len(cells) + 1} cells, 4 are needed: UTTERANCE RECORDING START END; correct it"
            )
        start, end = (_time(cell, where) for cell in cells[1:])
        if end <= start:
            raise InputError(
                f"{where}: the part from {start:g} to {end:g} s is empty; give the end in seconds "
                "(an end of -1, for the recording's own, is not read)"
            )
        found.append(_Part(utterance_id, cells[0], where, start, end - start))
    return found


def _time(cell: str, where: str) -> float:
    try:
        found = number_of(cell, "a time of the segment")
    except InputError as problem:
        raise InputError(f"{where}: {problem}") from None
    if math.isnan(found):
        raise InputError(f"{where}: a time of the segment is {cell!r}; give it in seconds")
    return found


def _check_files(
    folder: Path,
    parts: list[_Part],
    texts: dict[str, tuple[int, str]],
) -> None:
    """Refuse texts without audio, and channels of a file."""
    if (folder / "reco2file_and_channel").is_file():
        for key, (number, value) in _table(folder / "reco2file_and_channel").items():
            if value.split()[-1:] not in (["A"], ["1"]):
                raise InputError(
                    f"row {number} of {folder.name}/reco2file_and_channel: {key} is a channel of its own "
                    f"({value}); write each channel to a file"
                )
    known = {part.utterance_id for part in parts}
    source = "segments" if (folder / "segments").is_file() else "wav.scp"
    for key, (number, _) in texts.items():
        if key not in known:
            raise InputError(
                f"row {number} of {folder.name}/text: {key} has no audio in {source}; add it or drop the row"
            )


def _table(path: Path) -> dict[str, tuple[int, str]]:
    """Row number, empty lines not counted, and value of each key; empty for a file that is not there."""
    if not path.is_file():
        return {}
    out: dict[str, tuple[int, str]] = {}
    lines = (line for line in text_of(path).split("\n") if line.strip())
    for number, line in enumerate(lines, start=1):
        key, *value = line.strip().split(maxsplit=1)
        if key in out:
            raise InputError(
                f"row {number} of {path.parent.name}/{path.name}: {key} is in row {out[key][0]} already; drop one"
            )
        out[key] = (number, value[0] if value else "")
    return out


def _audio(given: str, where: str, folder: Path) -> Path:
    if given.endswith("|"):
        raise InputError(
            f"{where}: a command in place of a file is not run; write the audio to a file"
        )
    if _ARCHIVE.search(given):
        raise InputError(
            f"{where}: {given} is a part of an archive, which is not read; write the audio to a file"
        )
    path = Path(given).expanduser()
    # Kaldi's paths are relative to where its recipe runs; beside the table is tried as well.
    there = next((p for p in (path, folder / path) if p.is_file()), None)
    if there is None:
        raise InputError(f"{where}: audio {given} is missing; add the file or drop the row")
    return there
