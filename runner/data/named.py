"""Emotion corpora whose file names say who speaks what, and how: CREMA-D, RAVDESS, EmoDB."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from planner.errors import InputError, MissingResourceError
from runner.data.clips import Clip, DataSpec, Listing

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".opus")


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """How one corpus names its files.

    Attributes:
        name: dataset name.
        example: a file name that is right, for messages.
        pattern: groups `speaker`, `sentence` and `code`, matched against the whole stem.
        emotions: label of each code.
        licence: terms of the audio.
        remedy: where to get the corpus.
        others, other: files of the corpus that are no speech, and what they are; they are left out.
    """

    name: str
    example: str
    pattern: re.Pattern[str]
    emotions: dict[str, str]
    licence: str
    remedy: str
    others: re.Pattern[str] | None = None
    other: str = ""


def listing_of(naming: Naming) -> Callable[[DataSpec], Listing]:
    """The function that lists a folder by a corpus's file names."""

    def listing(spec: DataSpec) -> Listing:
        root = _root(naming, spec)
        audio_files = (p for p in root.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES)
        files = sorted(p for p in audio_files if not p.name.startswith("."))
        if not files:
            raise MissingResourceError(
                f"{naming.name} folder {root} holds no audio files; {naming.remedy}"
            )
        once = _once_each(files)
        kept = [p for p in once if naming.others is None or not naming.others.fullmatch(p.stem)]
        if not kept:
            raise MissingResourceError(
                f"{naming.name} folder {root} holds {naming.other} alone; {naming.remedy}"
            )
        n_other = len(once) - len(kept)
        left_out = f" ({n_other} {naming.other} left out)" if n_other else ""
        clips = tuple(_clip(naming, path, root) for path in kept)
        return Listing(
            name=naming.name, task="emotion", clips=clips, licence=naming.licence,
            source=f"local folder {root}{left_out}", labels=tuple(sorted({c.reference for c in clips})),
        )  # fmt: skip

    return listing


def _once_each(files: list[Path]) -> list[Path]:
    """One file for each recording, whose name says which it is: of copies the lossless, then the shallowest."""
    best: dict[str, Path] = {}
    for path in files:
        rank = AUDIO_SUFFIXES.index(path.suffix.lower()), len(path.parts), str(path)
        known = best.get(path.stem)
        if known is None or rank < (
            AUDIO_SUFFIXES.index(known.suffix.lower()),
            len(known.parts),
            str(known),
        ):
            best[path.stem] = path
    return sorted(best.values())


def _root(naming: Naming, spec: DataSpec) -> Path:
    if spec.task not in (None, "emotion"):
        raise InputError(f"{naming.name} is an emotion corpus, but task {spec.task!r} was asked")
    if spec.path is None:
        raise MissingResourceError(
            f"{naming.name} needs a local folder (data.path), none was given; {naming.remedy}"
        )
    root = Path(spec.path).expanduser()
    if not root.is_dir():
        raise MissingResourceError(f"{naming.name} folder {root} does not exist; {naming.remedy}")
    return root


def _clip(naming: Naming, path: Path, root: Path) -> Clip:
    relative = path.relative_to(root)
    match = naming.pattern.fullmatch(path.stem)
    if match is None:
        raise InputError(
            f"file {relative} of {naming.name} is not named like {naming.example}; rename or remove it"
        )
    code = match.group("code")
    if code not in naming.emotions:
        raise InputError(
            f"file {relative} of {naming.name} has emotion {code!r}; known: {', '.join(naming.emotions)}"
        )
    return Clip(
        utterance_id=relative.with_suffix("").as_posix(),
        path=path,
        reference=naming.emotions[code],
        speaker=match.group("speaker"),
        sentence=match.group("sentence"),
    )
