"""The words of the data room: a clip, a corpus, and the request for one."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from planner.errors import InputError, SoundscaleError
from planner.words.languages import language_of

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)

SPLIT_POLICIES = ("auto", "official", "speaker-disjoint", "prompt-disjoint", "same2026")

GAPS = ("silence", "room-tone")

COPIES = ("once", "counted")

_NOT_A_WORD = re.compile(r"[^\w' ]+|_")


class BrokenDataError(SoundscaleError):
    """Nothing of what is needed can be read; a trial's failure class is then `broken-data`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One utterance: a file, or several of one speaker that are joined with silence between.

    Attributes:
        utterance_id: unique within the corpus.
        path: audio file; of a joined clip, the first part's.
        reference: transcript (asr) or label (emotion).
        speaker: who speaks, or None where the source does not say.
        split: `train`, `validation` or `test`; empty before splitting.
        audio_seconds: duration by the header (s), gaps included; 0.0 where it cannot be read.
        fault: why the header cannot be read; reading the clip raises the same AudioError.
        parts: the clips that a joined clip consists of; empty for a plain one.
        start_seconds, length_seconds: the part of the file that is meant (s); None: the whole file.
        sentence: which of the corpus's few sentences is read (emotion), or None.
        language: what is spoken, where the source says so for each clip.
        gap: what joins it to a neighbour: `room-tone`, or empty for digital silence.
    """

    utterance_id: str
    path: Path
    reference: str
    speaker: str | None = None
    split: str = ""
    audio_seconds: float = 0.0
    fault: str | None = None
    parts: tuple[Clip, ...] = ()
    start_seconds: float = 0.0
    length_seconds: float | None = None
    gap: str = ""
    sentence: str | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A row that is left out, as `same_as` of its split has the same recording and the same text."""

    utterance_id: str
    path: str
    same_as: str
    split: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """Clips with their splits: what a trial trains on and is scored on.

    Attributes:
        name: dataset name; task: `asr` or `emotion`.
        clips: all chosen clips, joined where the request says so.
        split_policy: how the splits were told apart.
        licence: terms of the audio, or None where they are not known.
        source: where it came from (`local folder …`, `cache …`, `hub …`, `registry …`).
        labels: sorted label names (emotion), else empty.
        copies: rows of the source that are left out, as another one has their recording.
    """

    name: str
    task: str
    clips: tuple[Clip, ...]
    split_policy: str
    licence: str | None
    source: str
    labels: tuple[str, ...] = ()
    copies: tuple[Copy, ...] = ()
    digest: str = field(init=False, default="")

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", corpus_digest(self.clips))

    def split(self, name: str) -> tuple[Clip, ...]:
        """The clips of one split, in the source's order."""
        return tuple(c for c in self.clips if c.split == name)

    @property
    def train(self) -> tuple[Clip, ...]:
        """Clips to train on."""
        return self.split(TRAIN)

    @property
    def validation(self) -> tuple[Clip, ...]:
        """Clips to select on."""
        return self.split(VALIDATION)

    @property
    def test(self) -> tuple[Clip, ...]:
        """Clips that are scored once."""
        return self.split(TEST)

    @property
    def speaker_overlap(self) -> int | None:
        """Speakers heard both in training and in test; None where a clip names no speaker."""
        train, test = ({c.speaker for c in self.split(s)} for s in (TRAIN, TEST))
        return None if None in train | test else len(train & test)


def corpus_digest(clips: Sequence[Clip]) -> str:
    """SHA-256 (hex) over the sorted (utterance_id, reference, speaker, split) of all clips.

    A joined clip's id names its parts and its reference is their text, so that joining changes it.
    """
    rows = sorted(
        (c.utterance_id, c.reference, c.speaker or "", c.split, *_part_of(c)) for c in clips
    )
    digest = hashlib.sha256()
    for row in rows:
        digest.update(json.dumps(row, ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()


def _part_of(clip: Clip) -> tuple[str, ...]:
    """What part of its file a clip is and how it is joined; nothing of what is usual, so that digests stay."""
    part = (
        () if clip.length_seconds is None else (f"{clip.start_seconds!r}+{clip.length_seconds!r}",)
    )
    return (*part, f"joined by {clip.gap}") if clip.gap else part


def normalised(text: str) -> str:
    """A text as its words alone, lower case: equal for prompts that differ in punctuation.

    >>> normalised("To leave the conference...") == normalised("to leave,  the conference")
    True
    """
    return " ".join(_NOT_A_WORD.sub(" ", text.casefold()).split())


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSpec:
    """A request for a corpus; what of it changes a result reaches the corpus's digest.

    Attributes:
        name: `prompts`, `librispeech`, `cremad`, `ravdess`, `emodb`, `kaldi`, `manifest`, or a hub id
            (`openslr/librispeech_asr`).
        path: local folder or manifest file; it goes before cache, hub and registry.
        task: `asr` or `emotion`; None: the source's own.
        train_split, validation_split, test_split: the source's names of its splits; None: its own
            default.
        split_policy: `auto` (official splits, else by speaker, else by prompt), or one by name.
        test_fraction, validation_fraction: share of speakers or prompts, where Soundscale splits.
        n_train, n_test: clips to keep (n_test after joining), drawn by `seed`; None: all.
        join_seconds: join consecutive test clips of a speaker up to this length (s); None: do not.
        join_gap: what lies between clips that are heard in a row, in test and in training: `silence` (0.3 s of
            digital silence) or `room-tone` (0.1 s of the recordings' own background).
        min_seconds, max_seconds: keep clips within these durations (s).
        text_column, label_column: columns of a manifest or hub data set.
        config: configuration of a hub data set.
        labels: the labels a manifest may use; empty: all that it uses.
        copies: whether a recording that is in a split twice, with one text, is taken `once` or `counted` each time,
            as all corpora of before were.
        language: what is spoken, by its code (`fr`); None: English, or the only one that the source names.
            Of a source that names the language of each clip, only those of this one are taken.
        seed: of the split and of the draw.
    """

    name: str = "prompts"
    path: str | None = None
    task: str | None = None
    train_split: str | None = None
    validation_split: str | None = None
    test_split: str | None = None
    split_policy: str = "auto"
    test_fraction: float = 0.2
    validation_fraction: float = 0.1
    n_train: int | None = None
    n_test: int | None = None
    join_seconds: float | None = None
    join_gap: str = "silence"
    min_seconds: float = 0.0
    max_seconds: float | None = None
    text_column: str | None = None
    label_column: str | None = None
    config: str | None = None
    labels: tuple[str, ...] = ()
    language: str | None = None
    copies: str = "once"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.language is not None:
            language_of(self.language)
        if self.split_policy not in SPLIT_POLICIES:
            raise InputError(
                f"split_policy must be one of {', '.join(SPLIT_POLICIES)}, got {self.split_policy!r}"
            )
        if self.join_gap not in GAPS:
            raise InputError(f"join_gap must be one of {', '.join(GAPS)}, got {self.join_gap!r}")
        if self.copies not in COPIES:
            raise InputError(f"copies must be one of {', '.join(COPIES)}, got {self.copies!r}")
        if self.task not in (None, "asr", "emotion"):
            raise InputError(f"task of data must be asr or emotion, got {self.task!r}")
        for name in ("n_train", "n_test"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} must be at least 1, got {value!r}")
        for name in ("join_seconds", "max_seconds"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise InputError(f"{name} must be positive, got {value!r}")
        parts = (self.test_fraction, self.validation_fraction)
        if not (0 < parts[0] < 1 and 0 <= parts[1] < 1 and sum(parts) < 1):
            raise InputError(
                f"test_fraction and validation_fraction must leave audio to train on, got {parts[0]!r} and {parts[1]!r}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What a source lists before Soundscale splits it.

    `official` says that the clips carry the source's own splits.
    """

    name: str
    task: str
    clips: tuple[Clip, ...]
    licence: str | None
    source: str
    labels: tuple[str, ...] = ()
    official: bool = False
