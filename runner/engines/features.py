"""Encoder inputs without torch: Whisper's log-mel features, and normalised waveforms.

The same numbers as `runner.models.logmel` and transformers' extractor to 1e-4 (tests compare).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from runner.data.audio import SAMPLE_RATE, Audio

Floats = npt.NDArray[np.float32]

N_FFT = 400
"""Samples of one Fourier window, 25 ms (Whisper's preprocessing)."""
HOP = 160
"""Samples between frames, 10 ms (Whisper's preprocessing)."""
LEAST_POWER = 1e-10
"""Power below which a mel band counts as silent (Whisper's preprocessing)."""

_LINEAR_HZ = 200.0 / 3
"""Hertz a mel below 1 kHz (Slaney's scale)."""
_LOG_MEL = 15.0
"""Mel at 1 kHz, from where the scale is logarithmic (Slaney's scale)."""
_LOG_STEP = math.log(6.4) / 27.0


def _to_hertz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Frequencies of Slaney's mel values (Hz)."""
    above = 1000.0 * np.exp(_LOG_STEP * (mel - _LOG_MEL))
    return np.where(mel >= _LOG_MEL, above, _LINEAR_HZ * mel)


@lru_cache(maxsize=4)
def mel_filters(n_mels: int) -> Floats:
    """Slaney's triangular filters of unit area from 0 to 8 kHz, shape (n_mels, 201)."""
    top = _LOG_MEL + math.log(8000.0 / 1000.0) / _LOG_STEP
    edges = _to_hertz(np.linspace(0.0, top, n_mels + 2))
    bins = np.linspace(0.0, SAMPLE_RATE / 2, 1 + N_FFT // 2)
    widths = np.diff(edges)
    slopes = edges[:, None] - bins[None, :]
    rising = -slopes[:-2] / widths[:-1, None]
    falling = slopes[2:] / widths[1:, None]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    area = 2.0 / (edges[2:] - edges[:-2])
    return np.ascontiguousarray(triangles * area[:, None], dtype=np.float32)


@lru_cache(maxsize=1)
def _hann() -> Floats:
    """The periodic Hann window, shape (N_FFT,)."""
    phase = 2.0 * np.pi * np.arange(N_FFT) / N_FFT
    return np.asarray(0.5 - 0.5 * np.cos(phase), dtype=np.float32)


def log_mel(windows: Sequence[Audio], n_frames: int, n_mels: int) -> Floats:
    """Log-mel features of windows of audio, shape (n, n_mels, n_frames).

    A window is cut or padded with silence to n_frames * 10 ms; frames that hear none of the audio are
    the clamp's value and are not transformed.
    """
    return np.stack([_one(window, n_frames, n_mels) for window in windows])


def _one(window: Audio, n_frames: int, n_mels: int) -> Floats:
    # Two frames more than the audio: the last one then reflects nothing but silence.
    n_heard = min(n_frames, -(-len(window) // HOP) + 2)
    samples = np.zeros(n_heard * HOP, dtype=np.float32)
    kept = window[: len(samples)]
    samples[: len(kept)] = kept
    padded = np.pad(samples, N_FFT // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP][:n_heard]
    spectrum = np.fft.rfft(frames * _hann(), axis=-1)
    power = np.square(spectrum.real) + np.square(spectrum.imag)
    heard = np.log10(np.maximum(mel_filters(n_mels) @ power.astype(np.float32).T, LEAST_POWER))
    floor = heard.max() - 8.0
    out = np.empty((n_mels, n_frames), dtype=np.float32)
    out[:, :n_heard] = (np.maximum(heard, floor) + 4.0) / 4.0
    out[:, n_heard:] = (max(floor, math.log10(LEAST_POWER)) + 4.0) / 4.0
    return out


def normalised(windows: Sequence[Audio], n_samples: int) -> Floats:
    """Waveforms of zero mean and unit variance over the window, shape (n, n_samples)."""
    out = np.zeros((len(windows), n_samples), dtype=np.float32)
    for row, window in zip(out, windows, strict=True):
        kept = window[:n_samples]
        row[: len(kept)] = kept
    centred = out - out.mean(axis=1, keepdims=True)
    spread = np.sqrt(out.var(axis=1, keepdims=True) + 1e-7)
    return np.asarray(centred / spread, dtype=np.float32)
