"""Audio in the lengths that an axis x_T asks for: joined test clips, packed training, windows.

A setting of x_T must not change what is scored. So test clips are joined once, to a length that
all settings share, and cut into consecutive windows of x_T seconds; training clips are packed into
windows of x_T seconds, so that every setting trains on full windows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from planner.errors import InputError
from runner.data.audio import SAMPLE_RATE, Audio, read_segment
from runner.data.clips import Clip
from runner.data.room_tone import room_tone

GAP_SECONDS = 0.3
"""Silence between two joined clips (s); assumption: a pause between sentences in read speech."""

ROOM_TONE_SECONDS = 0.1
"""Room tone between two joined clips (s). With the quiet edges that recordings bring (.25 s together in the
median of the built-in prompts) it makes a pause as between phrases, and no silence that speech has not."""

POLICIES = ("window", "filter", "truncate")

Example = tuple[Clip, ...]
"""Clips that are heard one after the other as one training example."""


def joined_seconds(clips: Sequence[Clip]) -> float:
    """Duration of clips heard in a row, gaps included (s)."""
    gap = _gap_seconds(clips[0]) if clips else 0.0
    return sum(c.audio_seconds for c in clips) + gap * max(0, len(clips) - 1)


def joined_reference(clips: Sequence[Clip]) -> str:
    """What is said in clips that are heard in a row."""
    return " ".join(c.reference for c in clips)


def _gap_seconds(clip: Clip) -> float:
    return ROOM_TONE_SECONDS if clip.gap == "room-tone" else GAP_SECONDS


def _runs(clips: Sequence[Clip], seconds: float) -> Iterator[Example]:
    """Consecutive sound clips of one speaker, as many as fit; a longer or broken clip stands alone."""
    held: list[Clip] = []
    for clip in clips:
        apart = held and (clip.speaker != held[-1].speaker or clip.fault or held[-1].fault)
        if held and (apart or joined_seconds([*held, clip]) > seconds):
            yield tuple(held)
            held = []
        held.append(clip)
    if held:
        yield tuple(held)


def join(clips: Sequence[Clip], seconds: float) -> tuple[Clip, ...]:
    """Test clips joined with their neighbours up to `seconds` each; none is lost.

    Clips of one speaker that follow each other are joined with 0.3 s of silence between, or with room tone
    where the clips say so, and their references with a space. A clip that is longer than `seconds`, or broken,
    stands alone.
    """
    return tuple(_one(run) for run in _runs(clips, seconds))


def _one(run: Example) -> Clip:
    if len(run) == 1:
        return run[0]
    first, last = run[0], run[-1]
    return Clip(
        utterance_id=f"{first.utterance_id}..{last.utterance_id}({len(run)})",
        path=first.path,
        reference=joined_reference(run),
        speaker=first.speaker,
        split=first.split,
        audio_seconds=joined_seconds(run),
        parts=run,
        gap=first.gap,
    )


def pack(clips: Sequence[Clip], audio_seconds: float) -> list[Example]:
    """Training examples for a window of `audio_seconds`: consecutive clips that fit in it together.

    Each clip that fits is in exactly one example. A clip that is longer than the window is left
    out, as its words could not be told apart by window; so is a broken one.
    """
    fitting = [c for c in clips if c.fault is None and 0 < c.audio_seconds <= audio_seconds]
    return list(_runs(fitting, audio_seconds))


def load_clip(clip: Clip) -> Audio:
    """A clip's samples, float32 mono 16 kHz, shape (n,); of a joined clip, its parts with gaps.

    Raises:
        AudioError: a file cannot be used; it names the file.
    """
    if clip.parts:
        return load_example(clip.parts)[0]
    return read_segment(clip.path, clip.start_seconds, clip.length_seconds)


def load_example(example: Clip | Sequence[Clip]) -> tuple[Audio, str]:
    """Samples and reference of one clip, or of several heard in a row.

    Raises:
        AudioError: a file cannot be used; it names the file.
        InputError: the example is empty.
    """
    clips = (example,) if isinstance(example, Clip) else tuple(example)
    if not clips:
        raise InputError("an example needs at least one clip, got none")
    pieces: list[Audio] = []
    for clip in clips:
        audio = load_clip(clip)
        pieces += [_gap(clip, pieces[-1], audio), audio] if pieces else [audio]
    return np.concatenate(pieces), joined_reference(clips)


def _gap(clip: Clip, before: Audio, after: Audio) -> Audio:
    n = round(_gap_seconds(clip) * SAMPLE_RATE)
    if clip.gap != "room-tone":
        return np.zeros(n, dtype=np.float32)
    return room_tone(before, after, n)


def windows(audio: Audio, audio_seconds: float, policy: str = "window") -> list[Audio]:
    """Consecutive windows of `audio_seconds`; the last one is shorter and padded by the features.

    `window` gives all of them, `filter` too (it drops whole clips before, see `scored`), and
    `truncate` the first alone, which is the study's way.

    Raises:
        InputError: no samples, a window of no samples, or an unknown policy.
    """
    _known(policy)
    size = round(audio_seconds * SAMPLE_RATE)
    if size < 1 or audio.ndim != 1 or audio.size == 0:
        raise InputError(
            f"windows need mono samples and a positive length, got shape {audio.shape} and {audio_seconds!r} s"
        )
    cut = [audio[i : i + size] for i in range(0, len(audio), size)]
    return cut[:1] if policy == "truncate" else cut


def scored(clips: Sequence[Clip], audio_seconds: float, policy: str) -> tuple[Clip, ...]:
    """The clips that a reference policy scores: `filter` keeps those that fit in one window.

    Broken clips stay, so that each is recorded as the failure of its utterance.

    Raises:
        InputError: an unknown policy.
    """
    _known(policy)
    if policy != "filter":
        return tuple(clips)
    return tuple(c for c in clips if c.fault is not None or c.audio_seconds <= audio_seconds)


def coverage(seconds: float, audio_seconds: float, policy: str) -> float:
    """Fraction of an utterance of `seconds` that the encoder hears under a policy.

    `window` hears all; `truncate` the first `audio_seconds`; `filter` all of a clip that fits and
    nothing of one that does not.

    Raises:
        InputError: a length is not positive, or an unknown policy.
    """
    _known(policy)
    if not (seconds > 0 and audio_seconds > 0):
        raise InputError(
            f"coverage needs positive lengths, got {seconds!r} s in windows of {audio_seconds!r} s"
        )
    if policy == "window":
        return 1.0
    if policy == "filter":
        return 1.0 if seconds <= audio_seconds else 0.0
    return min(1.0, audio_seconds / seconds)


def _known(policy: str) -> None:
    if policy not in POLICIES:
        raise InputError(f"reference policy must be one of {', '.join(POLICIES)}, got {policy!r}")
