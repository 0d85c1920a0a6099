"""Data sets of the model hub, through the optional library `datasets`, kept as files and a manifest.

A set is exported once into the cache, one audio file per row beside a `manifest.jsonl`, so that it
is read like any other manifest afterwards and needs neither the hub nor the library again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from planner.errors import InputError, MissingResourceError
from planner.words.languages import LANGUAGES
from runner.data import manifest
from runner.data.clips import TEST, TRAIN, VALIDATION, DataSpec, Listing
from runner.data.languages import code_of
from runner.weights import hub
from runner.weights.packages import Say, cache_folder, install

MANIFEST = "manifest.jsonl"
_AUDIO = "audio"
_LANGUAGE = ("language", "locale", "lang", "lang_id")
_SPEAKER = ("speaker_id", "speaker", "client_id", "actor", "actor_id")


def listing(spec: DataSpec, *, cache: Path | None, offline: bool, say: Say) -> Listing:
    """The rows of a hub data set, from the cache or from the hub.

    Raises:
        MissingResourceError: the library is missing, or the hub does not give the set.
        InputError: the set has no audio, text or label column of a known name.
    """
    key = json.dumps([spec.name, spec.config, _splits(spec), spec.text_column, spec.label_column])
    name = spec.name.strip("/").replace("/", "--")
    short = hashlib.sha256(key.encode()).hexdigest()[:12]
    target = cache_folder(cache) / "data" / f"hub-{name}-{short}"
    built = install(
        target,
        lambda fresh: _export(spec, fresh, offline, say),
        lambda folder: (folder / MANIFEST).is_file(),
    )
    rows = dataclasses.replace(
        spec, path=str(target / MANIFEST), text_column=None, label_column=None,
        train_split=None, validation_split=None, test_split=None,
    )  # fmt: skip
    listing = manifest.listing(rows)
    source = f"{'hub' if built else 'cache: hub'} data set {spec.name}"
    return dataclasses.replace(listing, name=spec.name, source=source)


def _splits(spec: DataSpec) -> dict[str, str]:
    """The set's split for each of ours; validation only where it is named."""
    named = {TRAIN: spec.train_split or "train", TEST: spec.test_split or "test"}
    return named | ({VALIDATION: spec.validation_split} if spec.validation_split else {})


def _export(spec: DataSpec, fresh: Path, offline: bool, say: Say) -> None:
    local = Path(spec.name).is_dir()
    if not local and (offline or hub.offline_by_environment()):
        raise MissingResourceError(
            f"data set {spec.name} is not in the cache, and the hub is switched off; allow it, or give a manifest"
        )
    if not local and (reason := hub.silence()):
        raise MissingResourceError(
            f"data set {spec.name} cannot be had: {reason}; make the hub reachable, or give a manifest"
        )
    with (fresh / MANIFEST).open("w", encoding="utf-8") as out:
        for split, theirs in _splits(spec).items():
            say(f"fetching data set {spec.name}, split {theirs} …")
            folder = fresh / split
            folder.mkdir()
            for row in _rows(spec, theirs, split, folder):
                out.write(json.dumps(row, ensure_ascii=False) + "\n")


def _rows(spec: DataSpec, theirs: str, split: str, folder: Path) -> Iterator[dict[str, str]]:
    """Manifest rows of one split; each row's audio is written below `folder` as it was stored."""
    rows = _load(spec, theirs)
    columns = list(rows.features)
    reference, word = _reference(spec, columns)
    names = getattr(rows.features[reference], "names", None)
    speaker = next((c for c in _SPEAKER if c in columns), None)
    spoken = _language_of(spec, rows.features)
    for number, row in enumerate(rows):
        stored, name = row[_AUDIO], str(row.get("id") or f"{number:07d}")
        suffix = Path(stored["path"] or "x.wav").suffix or ".wav"
        file = folder / f"{name.replace('/', '_')}{suffix}"
        file.write_bytes(stored["bytes"] or Path(stored["path"]).read_bytes())
        value = row[reference]
        out = {
            "path": f"{split}/{file.name}",
            "utterance_id": f"{split}/{name}",
            word: str(names[value] if names else value),
            "split": split,
        }
        out |= {"speaker": str(row[speaker])} if speaker else {}
        yield out | ({"language": said} if (said := spoken(row)) else {})


def _language_of(spec: DataSpec, features: Any) -> Callable[[dict[str, Any]], str | None]:
    """What tells a row's language: a column, else a configuration that is a language (`de`, `german`, `de_de`)."""
    column = next((c for c in _LANGUAGE if c in features), None)
    if column is None:
        code = code_of(spec.config or "")
        return lambda row: code if code in LANGUAGES else None
    names = getattr(features[column], "names", None)
    return lambda row: str(names[row[column]] if names else row[column] or "") or None


def _load(spec: DataSpec, split: str) -> Any:
    try:
        from datasets import Audio, load_dataset
    except ImportError:
        raise MissingResourceError(
            f"data set {spec.name} needs the library datasets; run: pip install 'soundscale[hub]'"
        ) from None
    try:
        rows = load_dataset(spec.name, spec.config, split=split)
    except (OSError, ValueError, RuntimeError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise MissingResourceError(
            f"data set {spec.name}, split {split} cannot be had: {first}; check its name, config and splits"
        ) from error
    if _AUDIO not in rows.features:
        raise InputError(
            f"data set {spec.name} has no column {_AUDIO}; it has {', '.join(rows.features)}; choose a speech data set"
        )
    return rows.cast_column(_AUDIO, Audio(decode=False))


def _reference(spec: DataSpec, columns: list[str]) -> tuple[str, str]:
    """The column of the reference and what a manifest calls it (`text` or `label`)."""
    texts = (spec.text_column,) if spec.text_column else manifest.TEXT_COLUMNS
    labels = (spec.label_column,) if spec.label_column else manifest.LABEL_COLUMNS
    if spec.task != "emotion" and (found := next((c for c in texts if c in columns), None)):
        return found, "text"
    if spec.task != "asr" and (found := next((c for c in labels if c in columns), None)):
        return found, "label"
    raise InputError(
        f"data set {spec.name} has columns {', '.join(columns)}; set text_column or label_column to one of them"
    )
