"""Kaldi's data folders: `wav.scp`, `text` and `utt2spk`, one utterance a line.

The folder itself, which Soundscale then splits, or a folder of such folders named by the splits
(`train`, `dev`, `test`, or as the request says). Pipes and `segments` are not run: audio files only.
"""

from __future__ import annotations

from pathlib import Path

from planner.errors import InputError, MissingResourceError
from planner.words.table_text import text_of
from runner.data.clips import TEST, TRAIN, VALIDATION, Clip, DataSpec, Listing

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
    if (folder / "segments").is_file():
        raise InputError(
            f"kaldi folder {folder} has segments, which are not supported; cut the audio, or write a manifest"
        )
    audio, texts, speakers = (_table(folder / name) for name in ("wav.scp", "text", "utt2spk"))
    clips: list[Clip] = []
    for utterance_id, (number, given) in audio.items():
        where = f"row {number} of {folder.name}/wav.scp"
        row, text = texts.get(utterance_id, (0, ""))
        if not text:
            place = f"row {row} of {folder.name}/text" if row else f"{where}: {utterance_id}"
            raise InputError(f"{place}: text is empty; give a transcript or drop the row")
        clips.append(
            Clip(
                utterance_id=utterance_id,
                path=_audio(given, where, folder),
                reference=text,
                speaker=speakers.get(utterance_id, (0, ""))[1] or None,
                split=split,
            )
        )
    return clips


def _table(path: Path) -> dict[str, tuple[int, str]]:
    """Row number and value of each key; empty for a file that is not there."""
    if not path.is_file():
        return {}
    out: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(text_of(path).split("\n"), start=1):
        if line.strip():
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
    path = Path(given).expanduser()
    # Kaldi's paths are relative to where its recipe runs; beside the table is tried as well.
    there = next((p for p in (path, folder / path) if p.is_file()), None)
    if there is None:
        raise InputError(f"{where}: audio {given} is missing; add the file or drop the row")
    return there
