"""A manifest: one row per clip with path, text or label, and, where known, speaker and split.

JSONL, CSV or TSV. Common Voice's column names (`sentence`, `client_id`), NeMo's (`audio_filepath` with `offset`
and `duration`), Hugging Face's (`file_name`) and lhotse's cuts are understood too; paths are relative to the
manifest's folder, or to its `clips` folder as in Common Voice. A folder is read as `manifest_files` says.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from planner.errors import InputError, MissingResourceError, UnknownNameError
from planner.words.table_text import number as number_of
from planner.words.table_text import table_rows, text_of
from runner.data.clips import SPLITS, TEST, TRAIN, VALIDATION, Clip, DataSpec, Listing
from runner.data.cuts import flat_cut, is_cut
from runner.data.languages import code_of
from runner.data.manifest_files import manifest_files

Row = dict[str, Any]
"""Cells by column: text, or what a JSON object holds."""

SPLIT_ALIASES = {"dev": VALIDATION, "valid": VALIDATION, "val": VALIDATION, "eval": TEST}

_PATH = ("path", "audio", "audio_filepath", "file", "file_name", "filename")
_EMPTY_OF_PANDAS = frozenset({"nan", "NaN", "<NA>", "#N/A", "NULL"})
"""What pandas and spreadsheets write for an empty cell; nobody's transcript by itself."""
TEXT_COLUMNS = ("text", "sentence", "transcript", "transcription")
LABEL_COLUMNS = ("label", "emotion")
_LANGUAGE = ("language", "lang", "locale", "source_lang")
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
    rows = _all_rows(Path(spec.path).expanduser())
    root = Path(spec.path).expanduser()
    task = _task(spec, rows)
    clips = tuple(_clip(row, task, spec) for row in rows)
    _unique(clips, rows)
    with_split = sum(c.split != "" for c in clips)
    if 0 < with_split < len(clips):
        where = next(r.where for r, c in zip(rows, clips, strict=True) if not c.split)
        raise InputError(
            f"{where}: split is empty while other rows have one; give every row one, or none"
        )
    labels = tuple(sorted(spec.labels or {c.reference for c in clips})) if task == "emotion" else ()
    if task == "emotion" and with_split:
        _learnable(clips, rows)
    folder, name = (root.parent, f"manifest {root.name}") if root.is_file() else (root, "manifests")
    return Listing(
        name=root.stem if root.is_file() else root.name, task=task, clips=clips, licence=None, labels=labels,
        source=f"local folder {folder} ({name})", official=with_split > 0,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Placed:
    """A row with its number from 1, header and empty lines not counted, and its file with the split that it is of.

    `root` is the folder below which paths name utterances.
    """

    number: int
    file: Path
    split: str
    cells: Row
    root: Path

    @property
    def where(self) -> str:
        return f"row {self.number} of {self.file.name}"


def _all_rows(path: Path) -> list[_Placed]:
    files = manifest_files(path)
    if not files:
        raise MissingResourceError(
            f"manifest {path} does not exist; write one row per clip: path, text or label, speaker, split"
        )
    root = path.parent if path.is_file() else path
    found = [_Placed(n, file, split, row, root) for split, file in files for n, row in _rows(file)]
    if not found:
        raise InputError(
            f"manifest {path} has no rows; write one per clip: path, text, speaker, split"
        )
    return found


def _task(spec: DataSpec, rows: list[_Placed]) -> str:
    return spec.task or ("emotion" if _column(rows[0].cells, _label_names(spec)) else "asr")


def faulty_rows(spec: DataSpec) -> list[tuple[int, str]]:
    """Every row that `listing` refuses by itself, with the reason; `listing` stops at the first.

    Raises:
        InputError, MissingResourceError: the file itself cannot be read.
    """
    if spec.path is None:
        listing(spec)
    rows = _all_rows(Path(str(spec.path)).expanduser())
    task = _task(spec, rows)
    faults = []
    for row in rows:
        try:
            _clip(row, task, spec)
        except InputError as problem:
            faults.append((row.number, str(problem)))
    return faults


def _rows(path: Path) -> Iterator[tuple[int, Row]]:
    """Numbered rows; the number is that of the row, from 1, header and empty lines not counted."""
    text = text_of(path)
    suffix = Path(path.stem if path.suffix.lower() == ".gz" else path.name).suffix.lower()
    if suffix in (".csv", ".tsv"):
        # Common Voice's TSVs quote nothing: a quote is part of the text.
        tabs = suffix == ".tsv"
        _, rows = table_rows(path.name, text, delimiter="\t" if tabs else ",", quoted=not tabs)
        yield from ((row.number, row.cells) for row in rows)
        return
    # Not splitlines: JSON strings may hold line separators of other alphabets.
    lines = (line for line in text.split("\n") if line.strip())
    for number, line in enumerate(lines, start=1):
        where = f"row {number} of {path.name}"
        try:
            value = json.loads(line, object_pairs_hook=partial(_once, where))
        except (json.JSONDecodeError, RecursionError) as error:
            said = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deep"
            raise InputError(
                f"{where}: not JSON ({said}); write one object a line, or name the file .csv"
            ) from None
        if not isinstance(value, dict):
            raise InputError(f'{where}: not an object; write {{"path": …}}')
        yield number, flat_cut(value, where) if is_cut(value, where) else value


def _once(where: str, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys are there once; Python's reader keeps the last of two."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(k for i, (k, _) in enumerate(pairs) if k in [n for n, _ in pairs[:i]])
        raise InputError(f"{where}: key {twice!r} is there twice; keep one of them")
    return found


def _text(row: Row, column: str, where: str, word: str) -> str:
    """The text of a cell; empty for null and NaN.

    Raises:
        InputError: it is a list, an object, a number, or what pandas writes for an empty cell.
    """
    value = row.get(column)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        if value.strip() in _EMPTY_OF_PANDAS and word != "speaker":
            raise InputError(
                f"{where}: {word} is {value.strip()!r}, which stands for an empty cell; give it or drop the row"
            )
        return "" if value.strip() in _EMPTY_OF_PANDAS else value.strip()
    if word in ("speaker", "id") and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    kind = {list: "a list", dict: "an object", bool: "a truth value"}.get(type(value), "a number")
    raise InputError(f"{where}: {word} is {kind} ({str(value)[:40]}); write it as text in quotes")


def _label_names(spec: DataSpec) -> tuple[str, ...]:
    return (spec.label_column,) if spec.label_column else LABEL_COLUMNS


def _column(row: Row, names: tuple[str, ...]) -> str | None:
    return next((n for n in names if n in row), None)


def _clip(placed: _Placed, task: str, spec: DataSpec) -> Clip:
    row, where, manifest = placed.cells, placed.where, placed.file
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
    reference = _text(row, column, where, word)
    if not reference:
        remedy = (
            "give a transcript or drop the row"
            if word == "text"
            else "give a label or drop the row"
        )
        raise InputError(f"{where}: {word} is empty; {remedy}")
    if word == "label" and spec.labels and reference not in spec.labels:
        raise UnknownNameError("label", reference, spec.labels, remedy=f"correct {where}")
    speaker, language = _column(row, _SPEAKER), _column(row, _LANGUAGE)
    start, length = _segment(row, where)
    own_id = _text(row, "utterance_id", where, "id") or _text(row, "id", where, "id")
    part = f"@{start:g}+{length:g}" if length is not None else ""
    return Clip(
        utterance_id=own_id or _identity(audio, placed.root) + part,
        path=audio,
        reference=reference,
        speaker=(_text(row, speaker, where, "speaker") or None) if speaker else None,
        split=_split_of(placed, spec),
        start_seconds=start,
        length_seconds=length,
        language=code_of(_text(row, language, where, "language")) if language else None,
    )


def _segment(row: Row, where: str) -> tuple[float, float | None]:
    """Start and length of the part of its file that a row means (s); length None for the whole file.

    As in NeMo, `offset` (default 0) and `duration` cut the file; `start` and `end` do, too. A duration alone is a
    part only where the row is NeMo's (`audio_filepath`): elsewhere, and beside an end, it describes the whole file.
    """
    names = ("offset", "duration", "start", "end")
    offset, duration, start, end = (_seconds(row, name, where) for name in names)
    if None not in (offset, start) and offset != start:
        raise InputError(
            f"{where}: offset {offset:g} and start {start:g} are two beginnings; keep one"
        )
    offset = start if offset is None else offset
    if end is not None:
        if end <= (offset or 0.0):
            raise InputError(f"{where}: end {end:g} s is not after the start, {offset or 0:g} s")
        return offset or 0.0, end - (offset or 0.0)
    if offset is None and (duration is None or "audio_filepath" not in row):
        return 0.0, None
    if duration is None:
        if offset:
            word = "offset" if start is None else "start"
            raise InputError(
                f"{where}: {word} {offset:g} has no duration or end; give both, or neither"
            )
        return 0.0, None
    if duration <= 0:
        raise InputError(f"{where}: duration must be positive, got {duration:g}")
    return offset or 0.0, duration


def _seconds(row: Row, name: str, where: str) -> float | None:
    value = row.get(name)
    if value is None or value == "":
        return None
    try:
        found = number_of(value, name) if isinstance(value, str) else float(value)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{where}: {name} is not a number of seconds: {value!r}") from None
    if math.isnan(found):
        return None
    if isinstance(value, bool) or not (math.isfinite(found) and found >= 0):
        raise InputError(f"{where}: {name} must be 0 s or more, got {value!r}")
    return found


def _audio(row: Row, where: str, manifest: Path) -> Path:
    column = _column(row, _PATH)
    if column is None:
        raise InputError(
            f"{where}: no column {' or '.join(_PATH[:3])}; it has {', '.join(row) or 'none'}; name the file there"
        )
    written = _text(row, column, where, "path")
    if not written:
        raise InputError(f"{where}: path is empty; give the audio file or drop the row")
    if written.endswith("|"):
        raise InputError(
            f"{where}: a command in place of a file is not run; write the audio to a file"
        )
    given = Path(written)
    path = given if given.is_absolute() else manifest.parent / given
    beside = manifest.parent / "clips" / given
    # Common Voice's first releases name clips without their suffix.
    names = (
        path,
        beside,
        path.with_name(path.name + ".mp3"),
        beside.with_name(beside.name + ".mp3"),
    )
    try:
        path = next((p for p in names if p.is_file()), path)
    except (OSError, ValueError):
        raise InputError(f"{where}: {written[:60]!r} cannot be a path; correct it") from None
    if not path.is_file():
        raise InputError(f"{where}: audio {path} is missing; add the file or drop the row")
    return path


def _identity(audio: Path, root: Path) -> str:
    """Path below the manifest's folder, without suffix: the same on every machine."""
    relative = audio.relative_to(root) if audio.is_relative_to(root) else Path(audio.name)
    return relative.with_suffix("").as_posix()


def _split_of(placed: _Placed, spec: DataSpec) -> str:
    said = _split(_text(placed.cells, "split", placed.where, "split"), placed.where, spec)
    if said and placed.split and said != placed.split:
        raise InputError(
            f"{placed.where}: its split is {said}, and the file's is {placed.split}; move the row or correct it"
        )
    return said or placed.split


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


def _learnable(clips: tuple[Clip, ...], rows: list[_Placed]) -> None:
    """Refuse a label that no training row has: it is misspelt, or cannot be learned."""
    labels = sorted({c.reference for c in clips if c.split == TRAIN})
    for row, clip in zip(rows, clips, strict=True):
        if clip.reference not in labels:
            remedy = f"correct {row.where}, or give it a training row"
            raise UnknownNameError("label", clip.reference, labels, remedy=remedy)


def _unique(clips: tuple[Clip, ...], rows: list[_Placed]) -> None:
    seen: dict[str, _Placed] = {}
    for row, clip in zip(rows, clips, strict=True):
        if clip.utterance_id in seen:
            first = seen[clip.utterance_id]
            place = f"row {first.number}" if first.file == row.file else first.where
            raise InputError(
                f"{row.where}: {clip.utterance_id!r} is in {place} already; drop one, or give each an utterance_id"
            )
        seen[clip.utterance_id] = row
