"""Whisper's two convolutions in numpy, for engines whose own stem has another stride."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from runner.engines.features import Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Stem:
    """Kernels of 3 frames as matrices (3 * inputs, outputs), biases, and the second one's stride."""

    conv1_weight: Floats
    conv1_bias: Floats
    conv2_weight: Floats
    conv2_bias: Floats
    stride: int

    @classmethod
    def load(cls, path: Path, stride: int) -> Stem:
        """What `runner.engines.writing.ctranslate2` saved."""
        with np.load(path) as arrays:
            return cls(**{name: arrays[name] for name in arrays.files}, stride=stride)

    def frames(self, features: Floats) -> Floats:
        """Log-mel (mel, frames) to what the positions are added to, (D, frames / stride)."""
        first = _gelu(_convolved(features.T, self.conv1_weight, self.conv1_bias, 1))
        return _gelu(_convolved(first, self.conv2_weight, self.conv2_bias, self.stride)).T


def between(frames: Floats) -> Floats:
    """Frames (D, T) with a zero after each, (D, 2 T): an identity stem of stride 2 gives them back."""
    out = np.zeros((frames.shape[0], 2 * frames.shape[1]), dtype=np.float32)
    out[:, ::2] = frames
    return out


def _convolved(x: Floats, weight: Floats, bias: Floats, stride: int) -> Floats:
    """Convolution over 3 frames with one of padding on each side, (T, C) to (ceil(T / stride), D)."""
    padded = np.pad(x, ((1, 1), (0, 0)))
    length = -(-len(x) // stride)
    reach = stride * (length - 1) + 1
    unfolded = np.concatenate([padded[k : k + reach : stride] for k in range(3)], axis=1)
    return np.asarray(unfolded @ weight + bias, dtype=np.float32)


def _gelu(x: Floats) -> Floats:
    from scipy.special import erf

    return np.asarray(0.5 * x * (1.0 + erf(x * np.float32(2**-0.5))), dtype=np.float32)
