"""One recording under several rows of a split is counted once: what is counted twice makes standard errors too small.

Found by content: two rows of one split with one text (of emotion corpora: one label of one speaker) whose samples are
the same, or whose waveforms are as like as a recording and its MP3, its Ogg or a copy at another rate are. Rows
of one recording with different texts, or in different splits, are named by `data check` and stay: which of
them is right is not to be seen from the audio.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache

import numpy as np

from runner.data.audio import SAMPLE_RATE, Audio, AudioError, read_segment
from runner.data.clips import Clip, Copy, normalised

LOSSY = frozenset({".mp3", ".ogg", ".opus", ".oga"})
"""Suffixes of files whose samples are not those that were recorded."""

SLACK_SECONDS = 0.15
"""How much longer a coded copy may be, and how much later it may begin: an encoder of MP3 adds up to three frames
of 48 ms at 24 kHz."""

ALIKE = 0.8
"""Correlation of the waveforms from which two files are one recording. 25 prompts coded at the lowest quality that
libsndfile has lie above .99 (MP3), .98 (Vorbis) and .85 (Opus at 11 kbit/s); two readings by one speaker of one
sentence below .67 (41 pairs of prompts, 62 of EmoDB)."""

MOST_COMPARED = 20
"""Rows of like length that a row is compared with by its waveform, where its file is of another kind."""


def once_each(clips: Sequence[Clip]) -> tuple[tuple[Clip, ...], tuple[Copy, ...]]:
    """The clips with each recording of a split once, in their order, and the copies that were left out.

    Of copies the first stays, a lossless one before a coded one. Only clips of one split, text and length are
    decoded. Those whose header cannot be read stay as they are.
    """
    groups: dict[Hashable, list[Clip]] = defaultdict(list)
    for clip in clips:
        if clip.fault is None:
            groups[_said(clip)].append(clip)
    copies: dict[str, Copy] = {}
    for group in groups.values():
        if len(group) > 1:
            for clip, same in _copies_in(group):
                copies[clip.utterance_id] = Copy(
                    utterance_id=clip.utterance_id, path=str(clip.path),
                    same_as=same.utterance_id, split=clip.split,
                )  # fmt: skip
    kept = tuple(c for c in clips if c.utterance_id not in copies)
    return kept, tuple(copies[c.utterance_id] for c in clips if c.utterance_id in copies)


def _said(clip: Clip) -> Hashable:
    """What two rows of one recording share beside their samples; a label is shared by many, a text by few."""
    words = normalised(clip.reference)
    speaker = clip.speaker if " " not in words else None
    return clip.split, words or clip.reference, speaker


def _copies_in(group: Sequence[Clip]) -> list[tuple[Clip, Clip]]:
    """Copies among clips that say the same, each with the clip that stays."""
    samples = lru_cache(maxsize=2 * MOST_COMPARED)(_samples)
    lengths = Counter(clip.audio_seconds for clip in group)
    first: dict[Hashable, Clip] = {}
    kept: list[Clip] = []
    found = []
    # Sorting is stable: the first of the source stays, a lossless one before a coded one.
    for clip in sorted(group, key=_is_lossy):
        keys = _contents(clip, samples if lengths[clip.audio_seconds] > 1 else None)
        same = next((first[key] for key in keys if key in first), None)
        same = same or next(
            (k for k in _of_another_coding(clip, kept) if _are_one(k, clip, samples)), None
        )
        if same is not None:
            found.append((clip, same))
            continue
        kept.append(clip)
        first.update(dict.fromkeys(keys, clip))
    return found


Samples = Callable[[Clip], tuple[str, Audio] | None]


def _contents(clip: Clip, samples: Samples | None) -> list[Hashable]:
    """What clips of the same samples share: the part of the file, and the hash of the samples where it is asked for."""
    keys: list[Hashable] = [(clip.path.resolve(), clip.start_seconds, clip.length_seconds)]
    read = samples(clip) if samples is not None else None
    return keys if read is None else [*keys, read[0]]


def _of_another_coding(clip: Clip, kept: Sequence[Clip]) -> list[Clip]:
    """The nearest in length of those that may hold the same recording in another coding."""
    near = [k for k in kept if _may_be_coded(k, clip)]
    near.sort(key=lambda k: abs(k.audio_seconds - clip.audio_seconds))
    return near[:MOST_COMPARED]


def _may_be_coded(one: Clip, other: Clip) -> bool:
    """Whether one may be the other in another coding or at another rate, by length and kind of file."""
    if abs(one.audio_seconds - other.audio_seconds) > SLACK_SECONDS:
        return False
    return _is_lossy(one) or _is_lossy(other) or _kind(one) != _kind(other)


def _is_lossy(clip: Clip) -> bool:
    return clip.path.suffix.lower() in LOSSY


def _kind(clip: Clip) -> tuple[str, int]:
    """Suffix and about how many bytes a second: other rates and depths of PCM differ in it."""
    suffix = clip.path.suffix.lower()
    if clip.length_seconds is not None or suffix != ".wav":
        return suffix, 0
    return suffix, round(clip.path.stat().st_size / clip.audio_seconds / 1000)


def _samples(clip: Clip) -> tuple[str, Audio] | None:
    """Hash and samples (16 kHz); None where they cannot be read."""
    try:
        audio = read_segment(clip.path, clip.start_seconds, clip.length_seconds)
    except AudioError:
        return None
    return hashlib.sha256(audio.tobytes()).hexdigest(), audio


def _are_one(one: Clip, other: Clip, samples: Samples) -> bool:
    first, second = samples(one), samples(other)
    return first is not None and second is not None and likeness(first[1], second[1]) >= ALIKE


def likeness(one: Audio, other: Audio) -> float:
    """Largest correlation of two waveforms within `SLACK_SECONDS` of each other; 0 where one is silent.

    Args:
        one: samples at 16 kHz, shape (n,).
        other: samples at 16 kHz, shape (m,).
    """
    norm = float(np.linalg.norm(one)) * float(np.linalg.norm(other))
    if norm == 0.0:
        return 0.0
    most = round(SLACK_SECONDS * SAMPLE_RATE)
    n = 1 << (max(len(one), len(other)) + most).bit_length()
    spectrum = np.fft.rfft(one, n) * np.conj(np.fft.rfft(other, n))
    lags = np.fft.irfft(spectrum, n)
    return float(max(lags[: most + 1].max(), lags[-most:].max())) / norm
