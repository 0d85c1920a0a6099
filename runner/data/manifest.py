"""A manifest: one row per clip with path, text or label, and, where known, speaker and split.

JSONL, CSV or TSV. Common Voice's column names (`sentence`, `client_id`) are understood too; paths
are relative to the manifest's folder, or to its `clips` folder as in Common Voice.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

from planner.errors import InputError, MissingResourceError, UnknownNameError
from runner.data.clips import SPLITS, TEST, TRAIN, VALIDATION, Clip, DataSpec, Listing

Row = dict[str, str]

SPLIT_ALIASES = {"dev": VALIDATION, "valid": VALIDATION, "val": VALIDATION, "eval": TEST}

_PATH = ("path", "audio", "audio_filepath", "file")
TEXT_COLUMNS = ("text", "sentence", "transcript", "transcription")
LABEL_COLUMNS = ("label", "emotion")
_SPEAKER = ("speaker", "client_id", "speaker_id")


def listing(spec: DataSpec) -> Listing:
    """The clips of a manifest file.

    Raises:
        MissingResourceError: there is no such file.
        InputError: a row has no usable path, text, label or split; the message names the row.
    """
    if spec.path is None:
        raise InputError(
            "a manifest needs its file (data.path), none was given; give a JSONL or CSV"
        )
    path = Path(spec.path).expanduser()
    if not path.is_file():
        raise MissingResourceError(
            f"manifest {path} does not exist; write one row per clip: path, text or label, speaker, split"
        )
    rows = list(_rows(path))
    if not rows:
        raise InputError(
            f"manifest {path} has no rows; write one per clip: path, text, speaker, split"
        )
    task = spec.task or ("emotion" if _column(rows[0][1], _label_names(spec)) else "asr")
    clips = tuple(_clip(row, number, path, task, spec) for number, row in rows)
    _unique(clips, [number for number, _ in rows], path)
    with_split = sum(c.split != "" for c in clips)
    if 0 < with_split < len(clips):
        number = next(n for (n, _), c in zip(rows, clips, strict=True) if not c.split)
        raise InputError(
            f"row {number} of {path.name}: split is empty while other rows have one; give every row one, or none"
        )
    labels = tuple(sorted(spec.labels or {c.reference for c in clips})) if task == "emotion" else ()
    if task == "emotion" and with_split:
        _learnable(clips, [number for number, _ in rows], path)
    return Listing(
        name=path.stem, task=task, clips=clips, licence=None, labels=labels,
        source=f"local folder {path.parent} (manifest {path.name})", official=with_split > 0,
    )  # fmt: skip


def faulty_rows(spec: DataSpec) -> list[tuple[int, str]]:
    """Every row that `listing` refuses by itself, with the reason; `listing` stops at the first.

    Raises:
        InputError, MissingResourceError: the file itself cannot be read.
    """
    if spec.path is None or not Path(spec.path).expanduser().is_file():
        listing(spec)
    path = Path(str(spec.path)).expanduser()
    rows = list(_rows(path))
    emotion = bool(rows) and _column(rows[0][1], _label_names(spec)) is not None
    task = spec.task or ("emotion" if emotion else "asr")
    faults = []
    for number, row in rows:
        try:
            _clip(row, number, path, task, spec)
        except InputError as problem:
            faults.append((number, str(problem)))
    return faults


def _rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Numbered rows; the number is that of the row, from 1, header not counted."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"manifest {path} is not UTF-8 (byte {error.start}); save it as UTF-8"
        ) from None
    if path.suffix.lower() in (".csv", ".tsv"):
        lines = io.StringIO(text, newline="")
        if path.suffix.lower() == ".tsv":
            # Common Voice quotes nothing: a quote is part of the text.
            reader = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        else:
            reader = csv.DictReader(lines)
        for number, cells in enumerate(reader, start=1):
            yield number, {k: (v or "").strip() for k, v in cells.items() if isinstance(k, str)}
        return
    # Not splitlines: JSON strings may hold line separators of other alphabets.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(
                f"row {number} of {path.name}: not JSON ({error.msg}); write one object a line, or name the file .csv"
            ) from None
        if not isinstance(value, dict):
            raise InputError(f'row {number} of {path.name}: not an object; write {{"path": …}}')
        yield number, {str(k): "" if v is None else str(v).strip() for k, v in value.items()}


def _label_names(spec: DataSpec) -> tuple[str, ...]:
    return (spec.label_column,) if spec.label_column else LABEL_COLUMNS


def _column(row: Row, names: tuple[str, ...]) -> str | None:
    return next((n for n in names if n in row), None)


def _clip(row: Row, number: int, manifest: Path, task: str, spec: DataSpec) -> Clip:
    where = f"row {number} of {manifest.name}"
    audio = _audio(row, where, manifest)
    if task == "emotion":
        names, word = _label_names(spec), "label"
    else:
        names, word = ((spec.text_column,) if spec.text_column else TEXT_COLUMNS), "text"
    column = _column(row, names)
    if column is None:
        raise InputError(
            f"{where}: no column {' or '.join(names)}; it has {', '.join(row) or 'none'}; add one, or set {word}_column"
        )
    reference = row[column]
    if not reference:
        remedy = (
            "give a transcript or drop the row"
            if word == "text"
            else "give a label or drop the row"
        )
        raise InputError(f"{where}: {word} is empty; {remedy}")
    if word == "label" and spec.labels and reference not in spec.labels:
        raise UnknownNameError("label", reference, spec.labels, remedy=f"correct {where}")
    speaker = _column(row, _SPEAKER)
    return Clip(
        utterance_id=row.get("utterance_id") or row.get("id") or _identity(audio, manifest),
        path=audio,
        reference=reference,
        speaker=(row[speaker] or None) if speaker else None,
        split=_split(row.get("split", ""), where, spec),
    )


def _audio(row: Row, where: str, manifest: Path) -> Path:
    column = _column(row, _PATH)
    if column is None or not row[column]:
        raise InputError(f"{where}: path is empty; give the audio file or drop the row")
    given = Path(row[column]).expanduser()
    path = given if given.is_absolute() else manifest.parent / given
    beside = manifest.parent / "clips" / given
    if not path.is_file() and beside.is_file():
        path = beside
    if not path.is_file():
        raise InputError(f"{where}: audio {path} is missing; add the file or drop the row")
    return path


def _identity(audio: Path, manifest: Path) -> str:
    """Path below the manifest's folder, without suffix: the same on every machine."""
    folder = manifest.parent
    relative = audio.relative_to(folder) if audio.is_relative_to(folder) else Path(audio.name)
    return relative.with_suffix("").as_posix()


def _split(given: str, where: str, spec: DataSpec) -> str:
    if not given:
        return ""
    own = {spec.train_split: TRAIN, spec.validation_split: VALIDATION, spec.test_split: TEST}
    split = own.get(given) or SPLIT_ALIASES.get(given, given)
    if split not in SPLITS:
        raise UnknownNameError(
            "split",
            given,
            SPLITS,
            remedy=f"{where}: name it so, or set data.train_split and data.test_split",
        )
    return split


def _learnable(clips: tuple[Clip, ...], numbers: list[int], manifest: Path) -> None:
    """Refuse a label that no training row has: it is misspelt, or cannot be learned."""
    labels = sorted({c.reference for c in clips if c.split == TRAIN})
    for number, clip in zip(numbers, clips, strict=True):
        if clip.reference not in labels:
            remedy = f"correct row {number} of {manifest.name}, or give it a training row"
            raise UnknownNameError("label", clip.reference, labels, remedy=remedy)


def _unique(clips: tuple[Clip, ...], numbers: list[int], manifest: Path) -> None:
    seen: dict[str, int] = {}
    for number, clip in zip(numbers, clips, strict=True):
        if clip.utterance_id in seen:
            raise InputError(
                f"row {number} of {manifest.name}: {clip.utterance_id!r} is in row "
                f"{seen[clip.utterance_id]} already; drop one, or give each an utterance_id"
            )
        seen[clip.utterance_id] = number
