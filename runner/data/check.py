"""What a corpus holds and what is wrong with it, before a sweep is spent on it."""

from __future__ import annotations

import dataclasses
import hashlib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from runner.data.audio import SLACK_SECONDS, AudioError, clipped_fraction, read_segment
from runner.data.clips import SPLITS, TEST, TRAIN, Clip, Corpus, normalised
from runner.data.languages import not_english
from runner.data.normalise import normaliser
from runner.data.packing import coverage, pack
from runner.data.spoken_numbers import numerals, spelled_out
from runner.weights.packages import Say

WINDOWS_SECONDS = (2.0, 4.0, 8.0, 15.0, 30.0)
"""Settings of x_T whose coverage is reported by default (s)."""

CLIPPED_FRACTION = 1e-3
"""Share of samples at full scale from which a file is reported as clipped (assumption)."""

SILENT_LEVEL = 1e-4
"""Peak below which a file is reported as silent (of 1.0; assumption: -80 dB)."""

_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_PROGRESS_EVERY = 1000


def check(
    corpus: Corpus,
    *,
    audio_seconds: Sequence[float] = WINDOWS_SECONDS,
    say: Say | None = None,
) -> dict[str, Any]:
    """Counts, durations, speakers, labels, faults and the coverage of each x_T, as JSON values.

    Every file is decoded, so that a truncated or non-finite one is found and named.

    Args:
        corpus: what is checked.
        audio_seconds: settings of x_T (s).
        say: told every 1,000 files.

    Keys: `name`, `task`, `source`, `licence`, `digest`, `split_policy`, `speaker_overlap`,
    `n_clips`, `hours`, `duration_seconds` (quantiles), `splits`, `labels`,
    `labels_alike`, `copies`, `twice`, `across`, `broken`, `clipped`,
    `silent`, `repeated_texts`, `not_english`, `number_format`, `coverage`.
    """
    plain = [part for clip in corpus.clips for part in (clip.parts or (clip,))]
    contents: dict[str, str] = {}
    faults = _faults(plain, say, contents)
    broken_ids = {row["utterance_id"] for row in faults["broken"]}
    sound = [c for c in plain if c.utterance_id not in broken_ids]
    seconds = np.array([c.audio_seconds for c in sound], dtype=np.float64)
    return {
        "name": corpus.name,
        "task": corpus.task,
        "source": corpus.source,
        "licence": corpus.licence,
        "digest": corpus.digest,
        "split_policy": corpus.split_policy,
        "speaker_overlap": corpus.speaker_overlap,
        "n_clips": len(plain),
        "hours": float(seconds.sum()) / 3600.0,
        "duration_seconds": _quantiles(seconds),
        "splits": {s: _split(corpus.split(s)) for s in SPLITS if corpus.split(s)},
        "labels": dict(sorted(Counter(c.reference for c in plain).items()))
        if corpus.labels
        else {},
        "labels_alike": alike_labels(corpus.labels) if corpus.labels else [],
        "copies": [dataclasses.asdict(copy) for copy in corpus.copies],
        "twice": twice(sound, contents),
        "across": across(sound),
        **faults,
        "repeated_texts": _repeated(corpus),
        "not_english": not_english(c.reference for c in plain) if corpus.task == "asr" else None,
        "number_format": _numbers_told_two_ways(corpus),
        "coverage": [_coverage(corpus, sound, t) for t in audio_seconds],
    }


def _numbers_told_two_ways(corpus: Corpus) -> list[str]:
    """Scored utterances whose numbers, written in another way, are errors to Whisper's normaliser."""
    if corpus.task != "asr":
        return []
    return [c.utterance_id for c in corpus.test if numbers_told_two_ways(c.reference)]


def numbers_told_two_ways(text: str) -> bool:
    """Whether a perfect transcript that writes the numbers otherwise has errors by Whisper's normaliser.

    >>> numbers_told_two_ways("ten eleven one forty"), numbers_told_two_ways("press one")
    (True, False)
    """
    norm = normaliser("whisper-english")
    wanted = norm(text).split()
    return any(norm(other).split() != wanted for other in {spelled_out(text), numerals(text)})


def alike_labels(labels: Sequence[str]) -> list[list[str]]:
    """Labels that differ by case, spaces, hyphens or the composition of accents alone.

    >>> alike_labels(["happy", "Happy ", "sad"])
    [['Happy ', 'happy']]
    """
    groups: dict[str, list[str]] = {}
    for label in sorted(labels):
        plain = unicodedata.normalize("NFKC", label).casefold()
        groups.setdefault("".join(c for c in plain if c.isalnum()), []).append(label)
    return [group for group in groups.values() if len(group) > 1]


def twice(clips: Sequence[Clip], contents: Mapping[str, str]) -> list[dict[str, str]]:
    """Clips whose samples another one has, whatever file they are in, with the first that has them.

    They are in different splits or have different texts: of one split and text each is counted once already.
    `contents` is what the decoded samples of each utterance hash to: a WAV and a FLAC of it are one, and so are two
    MP3s with different tags; a copy that was coded again or resampled is not found here.
    """
    first: dict[str, Clip] = {}
    out = []
    for clip in clips:
        same = first.setdefault(contents[clip.utterance_id], clip)
        if same is not clip:
            between = f"{same.split} and {clip.split}" if same.split != clip.split else clip.split
            out.append({
                "utterance_id": clip.utterance_id, "path": str(clip.path),
                "same_as": same.utterance_id, "split": between,
            })  # fmt: skip
    return out


def across(clips: Sequence[Clip]) -> list[dict[str, str]]:
    """Recordings with one part in training and another in test, or with two parts that overlap."""
    parts: dict[Path, list[Clip]] = defaultdict(list)
    for clip in clips:
        if clip.length_seconds is not None:
            parts[clip.path].append(clip)
    out = []
    for path, of_file in parts.items():
        of_file.sort(key=lambda clip: clip.start_seconds)
        for one, other in pairwise(of_file):
            end = one.start_seconds + (one.length_seconds or 0.0)
            if other.start_seconds < end - SLACK_SECONDS:
                ids = f"{one.utterance_id} and {other.utterance_id}"
                out.append({"path": str(path), "why": f"{ids} overlap"})
        if {TRAIN, TEST} <= {clip.split for clip in of_file}:
            out.append({"path": str(path), "why": "it is in train and in test"})
    return out


def _quantiles(seconds: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, float] | None:
    if seconds.size == 0:
        return None
    values = np.quantile(seconds, _QUANTILES)
    return {f"p{round(100 * q)}": float(v) for q, v in zip(_QUANTILES, values, strict=True)}


def _split(clips: Sequence[Clip]) -> dict[str, Any]:
    speakers = {c.speaker for c in clips if c.speaker is not None}
    return {
        "n_utterances": len(clips),
        "n_clips": sum(len(c.parts) or 1 for c in clips),
        "hours": sum(c.audio_seconds for c in clips) / 3600.0,
        "n_speakers": len(speakers) or None,
        "n_words": sum(len(normalised(c.reference).split()) for c in clips),
    }


def _faults(
    clips: Sequence[Clip], say: Say | None, contents: dict[str, str]
) -> dict[str, list[dict[str, Any]]]:
    """Faults by kind; what each sound clip's samples hash to goes into `contents`."""
    out: dict[str, list[dict[str, Any]]] = {"broken": [], "clipped": [], "silent": []}
    for number, clip in enumerate(clips, start=1):
        for kind, detail in _faults_of(clip, contents):
            row = {"utterance_id": clip.utterance_id, "path": str(clip.path), "split": clip.split}
            out[kind].append(row | detail)
        if say is not None and number % _PROGRESS_EVERY == 0:
            say(f"checked {number:,} of {len(clips):,} files")
    return out


def _faults_of(clip: Clip, contents: dict[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        audio = read_segment(clip.path, clip.start_seconds, clip.length_seconds)
    except AudioError as error:
        yield "broken", {"fault": error.fault, "text": str(error)}
        return
    contents[clip.utterance_id] = hashlib.sha256(audio.tobytes()).hexdigest()
    fraction = clipped_fraction(audio)
    if fraction >= CLIPPED_FRACTION:
        yield "clipped", {"fraction": fraction}
    if float(np.abs(audio).max()) < SILENT_LEVEL:
        yield "silent", {}


def _repeated(corpus: Corpus) -> int:
    """Texts that are both in training and in test (0 for emotion, where labels must repeat)."""
    if corpus.labels:
        return 0
    train, test = (
        {normalised(p.reference) for c in part for p in (c.parts or (c,))}
        for part in (corpus.train, corpus.test)
    )
    return len(train & test)


def _coverage(corpus: Corpus, sound: Sequence[Clip], audio_seconds: float) -> dict[str, float]:
    """Shares of audio and clips at one x_T: what `truncate` hears, what `filter` and packing keep."""
    total = sum(c.audio_seconds for c in sound)
    heard = sum(
        c.audio_seconds * coverage(c.audio_seconds, audio_seconds, "truncate") for c in sound
    )
    train = [c for c in sound if c.split == "train"]
    return {
        "audio_seconds": float(audio_seconds),
        "truncate_audio_fraction": heard / total if total else 0.0,
        "fitting_clips_fraction": _share(
            sum(c.audio_seconds <= audio_seconds for c in sound), sound
        ),
        "train_clips_packed_fraction": _share(sum(map(len, pack(train, audio_seconds))), train),
    }


def _share(n: int, clips: Sequence[Clip]) -> float:
    return n / len(clips) if clips else 0.0
