"""What a corpus holds and what is wrong with it, before a sweep is spent on it."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from runner.data.audio import AudioError, clipped_fraction, read_segment
from runner.data.clips import SPLITS, Clip, Corpus, normalised
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
    `labels_alike`, `twice`, `broken`, `clipped`,
    `silent`, `repeated_texts`, `not_english`, `number_format`, `coverage`.
    """
    plain = [part for clip in corpus.clips for part in (clip.parts or (clip,))]
    faults = _faults(plain, say)
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
        "twice": twice(sound),
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


def twice(clips: Sequence[Clip]) -> list[dict[str, str]]:
    """Clips whose audio another one has to the byte, with the first that has it; found by content."""
    alike: dict[tuple[Any, ...], list[Clip]] = {}
    for clip in clips:
        if clip.path.is_file():
            part = clip.start_seconds, clip.length_seconds
            alike.setdefault((clip.path.stat().st_size, *part), []).append(clip)
    out = []
    for group in (g for g in alike.values() if len(g) > 1):
        first: dict[str, Clip] = {}
        for clip in group:
            same = first.setdefault(hashlib.sha256(clip.path.read_bytes()).hexdigest(), clip)
            if same is not clip:
                across = (
                    f"{same.split} and {clip.split}" if same.split != clip.split else clip.split
                )
                out.append({
                    "utterance_id": clip.utterance_id, "path": str(clip.path),
                    "same_as": same.utterance_id, "split": across,
                })  # fmt: skip
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


def _faults(clips: Sequence[Clip], say: Say | None) -> dict[str, list[dict[str, Any]]]:
    out: dict[str, list[dict[str, Any]]] = {"broken": [], "clipped": [], "silent": []}
    for number, clip in enumerate(clips, start=1):
        for kind, detail in _faults_of(clip):
            row = {"utterance_id": clip.utterance_id, "path": str(clip.path), "split": clip.split}
            out[kind].append(row | detail)
        if say is not None and number % _PROGRESS_EVERY == 0:
            say(f"checked {number:,} of {len(clips):,} files")
    return out


def _faults_of(clip: Clip) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        audio = read_segment(clip.path, clip.start_seconds, clip.length_seconds)
    except AudioError as error:
        yield "broken", {"fault": error.fault, "text": str(error)}
        return
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
