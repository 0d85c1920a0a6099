"""Whisper's log-mel features, batched and for windows of any length.

The same definition as transformers' WhisperFeatureExtractor (tests compare to 1e-4): Hann window of
400 samples, hop 160, Slaney mel filters up to 8 kHz, log10 clamped to 8 decades below the window's
maximum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from runner.models.base import SAMPLE_RATE, Audio

N_FFT = 400
"""Samples of one Fourier window, 25 ms (Whisper's preprocessing)."""

HOP = 160
"""Samples between frames, 10 ms (Whisper's preprocessing)."""

LEAST_POWER = 1e-10
"""Power below which a mel band counts as silent (Whisper's preprocessing)."""


@lru_cache(maxsize=8)
def _filters(n_mels: int, device: torch.device) -> tuple[Tensor, Tensor]:
    from transformers.audio_utils import mel_filter_bank

    bank = mel_filter_bank(
        num_frequency_bins=1 + N_FFT // 2,
        num_mel_filters=n_mels,
        min_frequency=0.0,
        max_frequency=8000.0,
        sampling_rate=SAMPLE_RATE,
        norm="slaney",
        mel_scale="slaney",
    )
    mel = torch.from_numpy(np.ascontiguousarray(bank.T)).to(device, torch.float32)
    return mel, torch.hann_window(N_FFT, device=device)


def stack(windows: Sequence[Audio], n_samples: int) -> Tensor:
    """Windows cut or zero-padded to the same length, shape (n, n_samples), float32 on the CPU."""
    out = np.zeros((len(windows), n_samples), dtype=np.float32)
    for row, window in zip(out, windows, strict=True):
        kept = window[:n_samples]
        row[: len(kept)] = kept
    return torch.from_numpy(out)


def log_mel(
    windows: Sequence[Audio], n_frames: int, n_mels: int, device: torch.device | None = None
) -> Tensor:
    """Log-mel features of windows of audio, shape (n, n_mels, n_frames), float32.

    A window is cut or padded with silence to n_frames * 10 ms. Silence is not transformed: frames that
    hear none of the audio are the clamp's value, so that a short utterance in a long window costs
    what the utterance costs.
    """
    target = device or torch.device("cpu")
    mel, hann = _filters(n_mels, target)
    # Two frames more than the audio: the last one then reflects nothing but silence.
    n_heard = min(n_frames, -(-max(len(w) for w in windows) // HOP) + 2)
    audio = stack(windows, n_heard * HOP).to(target)
    spectrum = torch.stft(audio, N_FFT, HOP, window=hann, return_complex=True)[..., :-1]
    power = torch.view_as_real(spectrum).square().sum(-1)
    logs = torch.clamp(mel @ power, min=LEAST_POWER).log10()
    floor = logs.amax(dim=(1, 2), keepdim=True) - 8.0
    heard = (torch.maximum(logs, floor) + 4.0) / 4.0
    if n_heard == n_frames:
        return heard
    silence = (torch.clamp(floor, min=math.log10(LEAST_POWER)) + 4.0) / 4.0
    return torch.cat([heard, silence.expand(-1, n_mels, n_frames - n_heard)], dim=-1)
