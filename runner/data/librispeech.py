"""LibriSpeech's layout: SPLIT/SPEAKER/CHAPTER/SPEAKER-CHAPTER.trans.txt beside the FLAC files."""

from __future__ import annotations

from pathlib import Path

from planner.errors import InputError, MissingResourceError
from planner.words.table_text import text_of
from runner.data.clips import TEST, TRAIN, VALIDATION, Clip, DataSpec, Listing

LICENCE = "CC BY 4.0"
REMEDY = (
    "get it from openslr.org/12 and give the folder that holds train-clean-100 and test-other, or "
    "use the data set openslr/librispeech_asr where the model hub is reachable"
)

DEFAULTS = {TRAIN: "train-clean-100", VALIDATION: "dev-clean", TEST: "test-other"}
"""Parts that the study trained and tested on; a missing validation part is left out."""


def listing(spec: DataSpec) -> Listing:
    """The clips of the parts that the request names, or of the only part there is.

    Raises:
        MissingResourceError: the folder or a part is missing.
        InputError: a transcript line is empty, or names no audio file.
    """
    if spec.task not in (None, "asr"):
        raise InputError(
            f"librispeech is a speech recognition corpus, task {spec.task!r} was asked"
        )
    root = _root(spec)
    parts = _parts(root, spec)
    clips = tuple(c for split, folder in parts for c in _part(folder, split))
    if not clips:
        raise MissingResourceError(f"librispeech folder {root} holds no transcripts; {REMEDY}")
    return Listing(
        name="librispeech", task="asr", clips=clips, licence=LICENCE,
        source=f"local folder {root}", official=parts[0][0] != "",
    )  # fmt: skip


def _root(spec: DataSpec) -> Path:
    if spec.path is None:
        raise MissingResourceError(
            f"librispeech needs a local folder (data.path), none was given; {REMEDY}"
        )
    root = Path(spec.path).expanduser()
    if not root.is_dir():
        raise MissingResourceError(f"librispeech folder {root} does not exist; {REMEDY}")
    return root / "LibriSpeech" if (root / "LibriSpeech").is_dir() else root


def _parts(root: Path, spec: DataSpec) -> list[tuple[str, Path]]:
    """Pairs of our split name and the folder; the name is empty where one part is to be split."""
    named = {TRAIN: spec.train_split, VALIDATION: spec.validation_split, TEST: spec.test_split}
    if not any(named.values()):
        here = sorted(p for p in root.iterdir() if p.is_dir())
        if len(here) == 1:
            return [("", here[0])]
        named = {k: v for k, v in DEFAULTS.items() if k != VALIDATION or (root / v).is_dir()}
    if named[TRAIN] is not None and named[TRAIN] == named.get(TEST):
        raise InputError(
            f"train_split and test_split of librispeech are both {named[TRAIN]!r}; name two parts"
        )
    out: list[tuple[str, Path]] = []
    for split, part in named.items():
        if part is None and split == VALIDATION:
            continue
        part = part or DEFAULTS[split]
        if not (root / part).is_dir():
            raise MissingResourceError(f"librispeech part {part} is not in {root}; {REMEDY}")
        out.append((split, root / part))
    return out


def _part(folder: Path, split: str) -> list[Clip]:
    clips: list[Clip] = []
    for transcript in sorted(folder.glob("*/*/*.trans.txt")):
        lines = (line for line in text_of(transcript).split("\n") if line.strip())
        clips += [_clip(transcript, n, line, split) for n, line in enumerate(lines, start=1)]
    return clips


def _clip(transcript: Path, number: int, line: str, split: str) -> Clip:
    utterance_id, _, text = line.strip().partition(" ")
    where = f"row {number} of {transcript.name}"
    if not text.strip():
        raise InputError(f"{where}: text is empty; give a transcript or drop the row")
    path = transcript.parent / f"{utterance_id}.flac"
    if not path.is_file():
        raise InputError(f"{where}: audio {path} is missing; add the file or drop the row")
    return Clip(
        utterance_id=utterance_id, path=path, reference=text.strip(),
        speaker=utterance_id.split("-")[0], split=split,
    )  # fmt: skip
