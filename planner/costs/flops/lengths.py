"""How many frames, positions and tokens a configuration has: the one place where lengths are decided.

Whisper: `audio_seconds` give `round(100 * audio_seconds)` mel frames, rounded up to a multiple of
2 * factor, so that tokens are whole before and after the reduction, and half as many positions (a
factor-th of that at the stem). Only where the position table ends before that multiple (30 s by a factor
that does not divide 1500) does a `layer` or `output` reduction start from the whole table instead.
`padded30` is the study's execution: always `2 * max_source_positions` frames, whatever was cut. `bucketed`
is counted as `dynamic`: a window of full length.

Conformers: as many samples give mel features, and these tokens (`Conformer.lengths`): 126 of Parakeet's for
10 s. The shape counts; how much of it a short clip fills is the runner's mask.

wav2vec2: `round(16000 * audio_seconds)` samples (of 30 s when padded) go through unpadded convolutions,
`(n - kernel) // stride + 1` each: 99, 199 and 299 frames for 2, 4 and 6 s.

Every reduction by k keeps `ceil(n / k)` of n tokens: Whisper's stem by a stride of 2 * k in its second
convolution (an encoder on samples widens its last stride alike), wav2vec2's stem on the convolutional
features before the feature projection (as w2v-BERT's), `layer L` on the hidden states after encoder layer L (from 1),
`output` on the last hidden states.

Lengths are decided for `Windows`, as arrays; the functions that take one window's seconds give its integer.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TypeVar

import numpy as np

from planner.costs.windows import NO_REDUCTION, Floats, Ints, Windows, windows_of
from planner.errors import InputError
from planner.words.catalogue import WHISPER_WINDOW_SECONDS, Backbone, Wav2Vec2, Whisper
from planner.words.families.base import Conformer, SampleListener
from planner.words.records import Reduction

MEL_FRAMES_PER_SECOND = 100
"""Whisper's log-mel frames: hop of 10 ms (frames/s)."""
SAMPLE_RATE = 16_000
"""Sample rate of both families (samples/s)."""
PADDINGS = ("dynamic", "bucketed", "padded30")

Whole = TypeVar("Whole", int, Ints)


def ceil_div(value: Whole, by: int) -> Whole:
    """Smallest integer at least value / by.

    >>> ceil_div(1500, 7)
    215
    """
    return -(-value // by)


def rounded(values: Floats) -> Ints:
    """Nearest integers, halves to even as `round` has it."""
    return np.rint(values).astype(np.int64)


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


def checked_seconds(windows: Windows) -> Floats:
    """The seconds of the windows, as `check_seconds` allows them."""
    for end in (windows.audio_seconds.min(), windows.audio_seconds.max()):
        check_seconds(windows.backbone, float(end))
    return windows.audio_seconds


def check_padding(padding: str) -> None:
    """Refuse a padding that is not defined.

    Raises:
        InputError: it is not among `PADDINGS`.
    """
    if padding not in PADDINGS:
        raise InputError(f"padding must be one of {', '.join(PADDINGS)}, got {padding!r}")


def mel_frames_of(windows: Windows) -> Ints:
    """Mel frames that a Whisper encoder is given (the input's last dimension), shape (m,).

    Raises:
        InputError: seconds or padding are not allowed, or no frame is left.
    """
    most = 2 * _whisper(windows).max_source_positions
    seconds = checked_seconds(windows)
    check_padding(windows.padding)
    frames = rounded(MEL_FRAMES_PER_SECOND * seconds)
    if windows.padding == "padded30":
        frames = np.full_like(frames, most)
    if frames.min() < 1:
        raise InputError(
            f"audio_seconds {np.min(seconds):g} gives no mel frame; use at least "
            f"{1 / MEL_FRAMES_PER_SECOND:g} s"
        )
    unit = 2 * windows.reduction.factor
    whole = unit * ceil_div(frames, unit)
    return whole if windows.reduction.place == "stem" else np.minimum(whole, most)


def _whisper(windows: Windows) -> Whisper:
    assert isinstance(windows.backbone, Whisper)
    return windows.backbone


def conv_lengths_of(windows: Windows) -> tuple[Ints, ...]:
    """Frames after each convolution of a front end on samples, or of a conformer's features, each of shape (m,).

    Raises:
        InputError: the seconds are not allowed or too short for one frame.
    """
    backbone, seconds = windows.backbone, checked_seconds(windows)
    assert not isinstance(backbone, Whisper)
    check_padding(windows.padding)
    heard = seconds
    if windows.padding == "padded30":
        heard = np.full_like(seconds, WHISPER_WINDOW_SECONDS)
    n = rounded(SAMPLE_RATE * heard)
    if isinstance(backbone, Conformer):
        if n.min() < backbone.shortest_samples:
            raise _too_short(backbone, float(np.min(seconds)), backbone.shortest_samples)
        return backbone.lengths(n)
    lengths: list[Ints] = []
    for kernel, stride in zip(backbone.conv_kernel, backbone.conv_stride, strict=True):
        n = (n - kernel) // stride + 1
        if n.min() < 1:
            raise _too_short(backbone, float(np.min(seconds)), _shortest_samples(backbone))
        lengths.append(n)
    return tuple(lengths)


def _too_short(backbone: Backbone, seconds: float, samples: int) -> InputError:
    return InputError(
        f"audio_seconds {seconds:g} is too short for one frame of {backbone.name}; "
        f"use at least {samples / SAMPLE_RATE:g} s"
    )


def _shortest_samples(backbone: Wav2Vec2 | SampleListener) -> int:
    """Samples that give exactly one frame: the receptive field."""
    n = 1
    for kernel, stride in reversed(
        list(zip(backbone.conv_kernel, backbone.conv_stride, strict=True))
    ):
        n = (n - 1) * stride + kernel
    return n


def positions_of(windows: Windows) -> Ints:
    """Tokens that enter the first transformer layer, shape (m,); for Whisper rows of its position table.

    At the stem by k, Whisper keeps every k-th row: `table[::k][:n]` for n positions.

    Raises:
        InputError: seconds, padding or reduction are not allowed for this backbone.
    """
    backbone, reduction = windows.backbone, windows.reduction
    # wav2vec2 pools its frames behind the convolutions.
    strides = not isinstance(backbone, Wav2Vec2)
    if isinstance(backbone, Conformer):
        _check_operator(backbone, reduction)
        strides = backbone.stem_strides
    if strides and reduction.place == "stem" and reduction.operator != "stride":
        raise InputError(
            f"reduction {reduction} is not possible on the stem of {backbone.name}; "
            f"use stem:{reduction.factor} or layer1:{reduction.factor}:{reduction.operator}"
        )
    if isinstance(backbone, Whisper):
        unreduced = mel_frames_of(replace(windows, reduction=NO_REDUCTION)) // 2
        stem = mel_frames_of(windows) // 2
    else:
        unreduced = stem = conv_lengths_of(windows)[-1]
    _check_reduction(backbone, reduction, int(unreduced.min()))
    return ceil_div(stem, reduction.factor) if reduction.place == "stem" else stem


def tokens_of(windows: Windows) -> Ints:
    """Tokens that leave the encoder, shape (m,): what the decoder attends to, or what the head pools.

    Raises:
        InputError: seconds, padding or reduction are not allowed for this backbone.
    """
    return after_reduction(windows, positions_of(windows))


def after_reduction(windows: Windows, positions: Ints) -> Ints:
    """Tokens left of those that entered the first layer, shape (m,)."""
    inside = windows.reduction.place in ("layer", "output")
    return ceil_div(positions, windows.reduction.factor) if inside else positions


def _check_operator(backbone: Conformer, reduction: Reduction) -> None:
    """Refuse merging, which joins silence behind a clip with the clip: its tokens could not be told apart."""
    if reduction.operator == "merge":
        raise InputError(
            f"reduction {reduction} is not possible on {backbone.name}, whose clips end before their window; "
            "use stride or mean-pool"
        )


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


def mel_frames(
    backbone: Whisper,
    audio_seconds: float,
    reduction: Reduction = NO_REDUCTION,
    padding: str = "dynamic",
) -> int:
    """`mel_frames_of` one window."""
    return int(mel_frames_of(windows_of(backbone, audio_seconds, reduction, padding=padding))[0])


def conv_lengths(
    backbone: Wav2Vec2 | SampleListener | Conformer, audio_seconds: float, padding: str = "dynamic"
) -> tuple[int, ...]:
    """`conv_lengths_of` one window.

    >>> from planner.words.catalogue import backbone
    >>> conv_lengths(backbone("wav2vec2-base"), 4.0)[-1]
    199
    """
    lengths = conv_lengths_of(windows_of(backbone, audio_seconds, padding=padding))
    return tuple(int(n[0]) for n in lengths)


def encoder_positions(
    backbone: Backbone,
    audio_seconds: float,
    reduction: Reduction = NO_REDUCTION,
    padding: str = "dynamic",
) -> int:
    """`positions_of` one window."""
    return int(positions_of(windows_of(backbone, audio_seconds, reduction, padding=padding))[0])


def encoder_tokens(
    backbone: Backbone,
    audio_seconds: float,
    reduction: Reduction = NO_REDUCTION,
    padding: str = "dynamic",
) -> int:
    """`tokens_of` one window."""
    return int(tokens_of(windows_of(backbone, audio_seconds, reduction, padding=padding))[0])
