"""Training windows whose text CTC can align: counted before anything is trained.

A window with fewer encoder tokens than its text needs has no alignment at all: its loss is infinite and its
gradients are not numbers. That is a matter of counting, so it is settled before the first step.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from planner.errors import InputError
from runner.models.base import SAMPLE_RATE, FrameWriter, SpeechModel

if TYPE_CHECKING:
    from runner.trial.features import Example

MOST_LEFT_OUT = 0.01
"""Share of training windows that may be left out: more are no stray transcripts but too few frames (assumption)."""


def alignable(
    model: SpeechModel, examples: Sequence[Example], what: str
) -> tuple[list[Example], int]:
    """The examples that a model can learn from, and how many were left out.

    Of models that do not write frame by frame that is all of them. One with an empty text is left out too, as
    it has no label to learn.

    Args:
        model: the trial's model.
        examples: its training windows.
        what: the trial, in words.

    Raises:
        InputError: more than `MOST_LEFT_OUT` of them have fewer frames than their text needs, or none has a text.
    """
    if not isinstance(model, FrameWriter):
        return list(examples), 0
    rooms = [
        (model.frames(round(e.seconds * SAMPLE_RATE)), model.needed_frames(e.reference))
        for e in examples
    ]
    require_frames(rooms, what)
    kept = [e for e, (frames, needed) in zip(examples, rooms, strict=True) if 0 < needed <= frames]
    if examples and not kept:
        raise InputError(f"{what}: no training clip has a text; CTC learns from transcripts")
    return kept, len(examples) - len(kept)


def require_frames(rooms: Iterable[tuple[int, int]], what: str) -> None:
    """Refuse a reduction that leaves too few frames, given frames and needed frames of each training window.

    Raises:
        InputError: more than `MOST_LEFT_OUT` have too few; the share and the worst of them are named.
    """
    pairs = list(rooms)
    short = [(frames, needed) for frames, needed in pairs if needed > frames]
    if len(short) <= MOST_LEFT_OUT * len(pairs):
        return
    frames, needed = max(short, key=lambda pair: pair[1] / max(1, pair[0]))
    raise InputError(
        f"{what}: {len(short) / len(pairs):.0%} of {len(pairs)} training windows have fewer encoder tokens than "
        f"CTC needs for their text (at worst {frames} for {needed}); use a smaller reduction factor"
    )
