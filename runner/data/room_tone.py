"""What a room sounds like where nobody speaks, from the recordings' own quietest moments."""

from __future__ import annotations

import numpy as np

from runner.data.audio import SAMPLE_RATE, Audio

GRAIN_SAMPLES = SAMPLE_RATE // 20
"""Length of the quiet piece that is taken from each side, 50 ms: shorter than a closure of a plosive and the
pause beside it (assumption)."""

HOP_SAMPLES = SAMPLE_RATE // 200
"""Step between the places that are looked at, 5 ms."""


def room_tone(before: Audio, after: Audio, n_samples: int) -> Audio:
    """So many samples that lead from one recording's background into another's, shape (n_samples,).

    The quietest 50 ms of each side are laid over themselves, each copy turned round in time and faded into the
    next by the square root of a Hann window, so that uncorrelated noise keeps its power; one side fades into the
    other likewise.
    """
    if n_samples <= 0:
        return np.zeros(0, dtype=np.float32)
    rise = np.sin(0.5 * np.pi * (np.arange(n_samples) + 0.5) / n_samples)
    left, right = (_long(_quietest(side), n_samples) for side in (before, after))
    return np.asarray(left * rise[::-1] + right * rise, dtype=np.float32)


def _quietest(audio: Audio) -> Audio:
    """The quietest grain; all of what is shorter than one."""
    if len(audio) <= GRAIN_SAMPLES:
        return audio
    power = np.concatenate([[0.0], np.cumsum(np.square(audio, dtype=np.float64))])
    starts = np.arange(0, len(audio) - GRAIN_SAMPLES + 1, HOP_SAMPLES)
    first = int(starts[np.argmin(power[starts + GRAIN_SAMPLES] - power[starts])])
    return audio[first : first + GRAIN_SAMPLES]


def _long(grain: Audio, n_samples: int) -> Audio:
    """A grain laid over itself by halves until it is long enough."""
    half = len(grain) // 2
    if half == 0:
        return np.zeros(n_samples, dtype=np.float32)
    window = np.sqrt(np.hanning(2 * half + 1)[: 2 * half])
    n_grains = n_samples // half + 2
    out = np.zeros((n_grains + 1) * half)
    for i in range(n_grains):
        copy = grain[: 2 * half][:: -1 if i % 2 else 1]
        out[i * half : (i + 2) * half] += copy * window
    return np.asarray(out[half : half + n_samples], dtype=np.float32)
