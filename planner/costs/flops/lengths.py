"""How many frames, positions and tokens a configuration has: the one place where lengths are decided.

Whisper: `audio_seconds` give `round(100 * audio_seconds)` mel frames, rounded up to a multiple of
2 * factor, so that tokens are whole before and after the reduction, and half as many positions (a
factor-th of that at the stem). Only where the position table ends before that multiple (30 s by a factor
that does not divide 1500) does a `layer` or `output` reduction start from the whole table instead.
`padded30` is the study's execution: always `2 * max_source_positions` frames, whatever was cut. `bucketed`
is counted as `dynamic`: a window of full length.

wav2vec2: `round(16000 * audio_seconds)` samples (of 30 s when padded) go through unpadded convolutions,
`(n - kernel) // stride + 1` each: 99, 199 and 299 frames for 2, 4 and 6 s.

Every reduction by k keeps `ceil(n / k)` of n tokens: Whisper's stem by a stride of 2 * k in its second
convolution, wav2vec2's stem on the convolutional features before the feature projection, `layer L` on
the hidden states after encoder layer L (from 1), `output` on the last hidden states.

Seconds may be one number or an array of many windows; counts are then arrays too, of the same integers.
"""

from __future__ import annotations

import math
from typing import overload

import numpy as np
from numpy.typing import NDArray

from planner.errors import InputError
from planner.words.catalogue import WHISPER_WINDOW_SECONDS, Backbone, Wav2Vec2, Whisper
from planner.words.records import Reduction

MEL_FRAMES_PER_SECOND = 100
"""Whisper's log-mel frames: hop of 10 ms (frames/s)."""
SAMPLE_RATE = 16_000
"""Sample rate of both families (samples/s)."""
PADDINGS = ("dynamic", "bucketed", "padded30")

Ints = NDArray[np.int64]
Count = int | Ints
"""A count of one window, or of many."""
Seconds = float | NDArray[np.float64]
"""Length of one window, or of many."""

_NONE = Reduction()


@overload
def ceil_div(value: int, by: int) -> int: ...
@overload
def ceil_div(value: Count, by: int) -> Count: ...
def ceil_div(value: Count, by: int) -> Count:
    """Smallest integer at least value / by.

    >>> ceil_div(1500, 7)
    215
    """
    return -(-value // by)


def least(values: Count) -> int:
    """The smallest of a count."""
    return values if isinstance(values, int) else int(values.min())


def largest(first: Count, *more: Count) -> Count:
    """The largest of several counts, window by window."""
    out = first
    for other in more:
        out = (
            max(out, other)
            if isinstance(out, int) and isinstance(other, int)
            else np.maximum(out, other)
        )
    return out


def whole(values: Seconds) -> Count:
    """The whole part of numbers that are not negative."""
    return values.astype(np.int64) if isinstance(values, np.ndarray) else int(values)


def rounded(values: Seconds) -> Count:
    """Nearest integers, halves to even as `round` has it."""
    if isinstance(values, np.ndarray):
        return np.rint(values).astype(np.int64)
    return round(values)


def check_seconds(backbone: Backbone, audio_seconds: float) -> float:
    """The seconds as a float.

    Raises:
        InputError: they are not a positive number, or more than the backbone's window.
    """
    seconds = float(audio_seconds)
    if not (math.isfinite(seconds) and seconds > 0):
        raise InputError(
            f"audio_seconds must be positive, got {audio_seconds!r}; "
            f"{backbone.name} takes up to {backbone.max_audio_seconds:g} s"
        )
    if seconds > backbone.max_audio_seconds:
        raise InputError(
            f"audio_seconds {seconds:g} is longer than {backbone.name} can take; "
            f"use at most {backbone.max_audio_seconds:g} s"
        )
    return seconds


def check_all_seconds(backbone: Backbone, audio_seconds: Seconds) -> Seconds:
    """As `check_seconds`, of one window or of many."""
    if not isinstance(audio_seconds, np.ndarray):
        return check_seconds(backbone, audio_seconds)
    for end in (audio_seconds.min(), audio_seconds.max()):
        check_seconds(backbone, float(end))
    return audio_seconds


def check_padding(padding: str) -> None:
    """Refuse a padding that is not defined.

    Raises:
        InputError: it is not among `PADDINGS`.
    """
    if padding not in PADDINGS:
        raise InputError(f"padding must be one of {', '.join(PADDINGS)}, got {padding!r}")


@overload
def mel_frames(
    backbone: Whisper,
    audio_seconds: float,
    reduction: Reduction = ...,
    padding: str = ...,
) -> int: ...
@overload
def mel_frames(
    backbone: Whisper,
    audio_seconds: Seconds,
    reduction: Reduction = ...,
    padding: str = ...,
) -> Count: ...
def mel_frames(
    backbone: Whisper,
    audio_seconds: Seconds,
    reduction: Reduction = _NONE,
    padding: str = "dynamic",
) -> Count:
    """Mel frames that the encoder is given (the input's last dimension).

    Raises:
        InputError: seconds or padding are not allowed, or no frame is left.
    """
    seconds = check_all_seconds(backbone, audio_seconds)
    check_padding(padding)
    frames = rounded(MEL_FRAMES_PER_SECOND * seconds)
    if padding == "padded30":
        frames = 2 * backbone.max_source_positions
    if least(frames) < 1:
        raise InputError(
            f"audio_seconds {np.min(seconds):g} gives no mel frame; use at least "
            f"{1 / MEL_FRAMES_PER_SECOND:g} s"
        )
    unit = 2 * reduction.factor
    whole = unit * ceil_div(frames, unit)
    if reduction.place == "stem":
        return whole
    most = 2 * backbone.max_source_positions
    return min(whole, most) if isinstance(whole, int) else np.minimum(whole, most)


@overload
def conv_lengths(
    backbone: Wav2Vec2, audio_seconds: float, padding: str = ...
) -> tuple[int, ...]: ...
@overload
def conv_lengths(
    backbone: Wav2Vec2, audio_seconds: Seconds, padding: str = ...
) -> tuple[Count, ...]: ...
def conv_lengths(
    backbone: Wav2Vec2, audio_seconds: Seconds, padding: str = "dynamic"
) -> tuple[Count, ...]:
    """Frames after each convolution of the wav2vec2 front end.

    >>> from planner.words.catalogue import backbone
    >>> conv_lengths(backbone("wav2vec2-base"), 4.0)[-1]
    199

    Raises:
        InputError: the seconds are not allowed or too short for one frame.
    """
    seconds = check_all_seconds(backbone, audio_seconds)
    check_padding(padding)
    n = rounded(SAMPLE_RATE * (WHISPER_WINDOW_SECONDS if padding == "padded30" else seconds))
    lengths: list[Count] = []
    for kernel, stride in zip(backbone.conv_kernel, backbone.conv_stride, strict=True):
        n = (n - kernel) // stride + 1
        if least(n) < 1:
            raise InputError(
                f"audio_seconds {np.min(seconds):g} is too short for one frame of {backbone.name}; "
                f"use at least {_shortest_samples(backbone) / SAMPLE_RATE:g} s"
            )
        lengths.append(n)
    return tuple(lengths)


def _shortest_samples(backbone: Wav2Vec2) -> int:
    """Samples that give exactly one frame: the receptive field."""
    n = 1
    for kernel, stride in reversed(
        list(zip(backbone.conv_kernel, backbone.conv_stride, strict=True))
    ):
        n = (n - 1) * stride + kernel
    return n


@overload
def encoder_positions(
    backbone: Backbone,
    audio_seconds: float,
    reduction: Reduction = ...,
    padding: str = ...,
) -> int: ...
@overload
def encoder_positions(
    backbone: Backbone,
    audio_seconds: Seconds,
    reduction: Reduction = ...,
    padding: str = ...,
) -> Count: ...
def encoder_positions(
    backbone: Backbone,
    audio_seconds: Seconds,
    reduction: Reduction = _NONE,
    padding: str = "dynamic",
) -> Count:
    """Tokens that enter the first transformer layer; for Whisper the rows of its position table.

    At the stem by k, Whisper keeps every k-th row: `table[::k][:encoder_positions(...)]`.

    Raises:
        InputError: seconds, padding or reduction are not allowed for this backbone.
    """
    if isinstance(backbone, Whisper):
        unreduced = mel_frames(backbone, audio_seconds, _NONE, padding) // 2
        if reduction.place == "stem" and reduction.operator != "stride":
            raise InputError(
                f"reduction {reduction} is not possible on the stem of {backbone.name}; "
                f"use stem:{reduction.factor} or layer1:{reduction.factor}:{reduction.operator}"
            )
        stem = mel_frames(backbone, audio_seconds, reduction, padding) // 2
    else:
        unreduced = stem = conv_lengths(backbone, audio_seconds, padding)[-1]
    _check_reduction(backbone, reduction, least(unreduced))
    return ceil_div(stem, reduction.factor) if reduction.place == "stem" else stem


@overload
def encoder_tokens(
    backbone: Backbone,
    audio_seconds: float,
    reduction: Reduction = ...,
    padding: str = ...,
) -> int: ...
@overload
def encoder_tokens(
    backbone: Backbone,
    audio_seconds: Seconds,
    reduction: Reduction = ...,
    padding: str = ...,
) -> Count: ...
def encoder_tokens(
    backbone: Backbone,
    audio_seconds: Seconds,
    reduction: Reduction = _NONE,
    padding: str = "dynamic",
) -> Count:
    """Tokens that leave the encoder: what the decoder attends to, or what the head pools.

    Raises:
        InputError: seconds, padding or reduction are not allowed for this backbone.
    """
    n = encoder_positions(backbone, audio_seconds, reduction, padding)
    return ceil_div(n, reduction.factor) if reduction.place in ("layer", "output") else n


def _check_reduction(backbone: Backbone, reduction: Reduction, unreduced: int) -> None:
    if reduction.factor > unreduced:
        raise InputError(
            f"reduction {reduction} leaves no token of {unreduced}; use a factor of at most {unreduced}"
        )
    if reduction.layer is not None and reduction.layer > backbone.encoder_layers:
        raise InputError(
            f"reduction {reduction} names a layer that {backbone.name} does not have; "
            f"use layer 1 to {backbone.encoder_layers}"
        )
