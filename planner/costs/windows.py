"""Windows of audio on one backbone, as arrays: what every cost is counted for.

Costs of one window are those of an array of length 1, so each is written once. Windows that differ in
more than their seconds and output tokens are counted group by group, each group with the places of its
windows in the list that they were taken from.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planner.words.catalogue import Backbone
from planner.words.records import Reduction

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
"""Counts: of a window's FLOPs, bytes, frames or tokens. Exact below 2^63 = 9.2e18. The costliest window
that the catalogue allows takes less than 1e16 FLOPs, training included (tests/costs/test_windows.py)."""

NO_REDUCTION = Reduction()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Windows:
    """m windows that differ in their seconds and output tokens alone.

    Attributes:
        backbone: what they pass.
        reduction: x_V of all.
        audio_seconds: x_T of each, shape (m,).
        n_output_tokens: generated (or label) tokens of each, the end token included, shape (m,): all
            positive, or all 0.
        padding: `dynamic`, `bucketed` or `padded30`, of all.
        batch_size: windows like each that are run together.

    Raises:
        ValueError: some windows have output tokens and others have none, or the shapes differ.
    """

    backbone: Backbone
    reduction: Reduction
    audio_seconds: Floats
    n_output_tokens: Ints
    padding: str = "dynamic"
    batch_size: int = 1

    def __post_init__(self) -> None:
        if self.audio_seconds.shape != self.n_output_tokens.shape:
            raise ValueError(
                f"audio_seconds and n_output_tokens must have one shape, got "
                f"{self.audio_seconds.shape} and {self.n_output_tokens.shape}"
            )
        if self.n_output_tokens.any() != self.n_output_tokens.all():
            raise ValueError("n_output_tokens must be positive for all windows or 0 for all")

    def __len__(self) -> int:
        return len(self.audio_seconds)

    @property
    def generates(self) -> bool:
        """Whether the windows have output tokens."""
        return bool(self.n_output_tokens.any())


def windows_of(
    backbone: Backbone,
    audio_seconds: ArrayLike,
    reduction: Reduction = NO_REDUCTION,
    *,
    n_output_tokens: ArrayLike = 0,
    padding: str = "dynamic",
    batch_size: int = 1,
) -> Windows:
    """Windows of those lengths; a number is an array of length 1, and stands for all where others are many.

    >>> from planner.words.catalogue import backbone
    >>> len(windows_of(backbone("whisper-tiny"), 30.0)), len(windows_of(backbone("whisper-tiny"), [5, 10]))
    (1, 2)
    """
    seconds = np.atleast_1d(np.asarray(audio_seconds, dtype=np.float64))
    tokens = np.broadcast_to(np.asarray(n_output_tokens, dtype=np.int64), seconds.shape)
    return Windows(
        backbone=backbone, reduction=reduction, audio_seconds=seconds, n_output_tokens=tokens,
        padding=padding, batch_size=batch_size,
    )  # fmt: skip


Placed = tuple[Ints, Windows]
"""Windows and their places in the list that they were taken from, shape (m,)."""


def together(windows: Sequence[Windows]) -> tuple[Placed, ...]:
    """The windows in groups that are counted at once; places go through them one after the other."""
    groups: dict[tuple[object, ...], list[tuple[Ints, Windows]]] = {}
    n = 0
    for w in windows:
        key = (w.backbone, w.reduction, w.padding, w.batch_size, w.generates)
        groups.setdefault(key, []).append((np.arange(n, n + len(w)), w))
        n += len(w)
    return tuple(_joined(group) for group in groups.values())


def _joined(group: Sequence[Placed]) -> Placed:
    at = np.concatenate([places for places, _ in group])
    return at, dataclasses.replace(
        group[0][1],
        audio_seconds=np.concatenate([w.audio_seconds for _, w in group]),
        n_output_tokens=np.concatenate([w.n_output_tokens for _, w in group]),
    )
