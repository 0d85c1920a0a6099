"""Nested subsets of the training clips: a smaller amount of audio lies inside a larger one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from planner.errors import InputError
from runner.data.clips import Clip

SLACK = 1e-9
"""Of a comparison of sums of seconds."""


def hours_of(clips: Sequence[Clip]) -> float:
    """Hours of audio that can be read."""
    return sum(clip.audio_seconds for clip in clips) / 3600.0


def within_hours(clips: Sequence[Clip], hours: float | None, digest: str) -> tuple[Clip, ...]:
    """The clips of a level of training audio, in the source's order; None: all of them.

    Clips are put in one order, fixed by the corpus's digest: each speaker's in a random order, and speakers in
    equal shares, clip i of a speaker's n standing at (i + 1/2) / n. A level is the longest beginning of that order
    whose audio is at most `hours`, one clip at least; so levels are nested, and each has every speaker's share. Clips
    that cannot be read are of no level.

    Args:
        clips: those to train on.
        hours: of audio.
        digest: of the corpus, hexadecimal.

    Raises:
        InputError: there is less audio than `hours`, by more than a thousandth.
    """
    if hours is None:
        return tuple(clips)
    sound = [clip for clip in clips if clip.fault is None]
    there = hours_of(sound)
    if hours > there * 1.001 + SLACK:
        raise InputError(
            f"axes.train_hours: {hours:g} h was asked, and there are {there:.4g} h to train on; ask for less, or "
            "leave the level out"
        )
    key = np.random.default_rng(int(digest[:16] or "0", 16)).permutation(len(sound))
    of_speaker: dict[str | None, list[int]] = defaultdict(list)
    for i in np.argsort(key).tolist():
        of_speaker[sound[i].speaker].append(i)
    place = {
        i: ((n + 0.5) / len(mine), int(key[i]))
        for mine in of_speaker.values()
        for n, i in enumerate(mine)
    }
    chosen, seconds = set[int](), 0.0
    for i in sorted(place, key=place.__getitem__):
        seconds += sound[i].audio_seconds
        if chosen and seconds > 3600.0 * hours * (1 + SLACK):
            break
        chosen.add(i)
    return tuple(clip for i, clip in enumerate(sound) if i in chosen)
