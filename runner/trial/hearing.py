"""What a model hears: long audio in consecutive windows, those of several utterances decoded together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch

from planner.words.records import Trial
from runner.data.audio import SAMPLE_RATE, Audio, AudioError
from runner.data.clips import Clip
from runner.data.packing import load_clip
from runner.models.adapt import DTYPES
from runner.models.base import FrameWriter, Prediction, SpeechModel
from runner.models.guard import token_limit
from runner.trial.progress import Report, StageProgress
from runner.trial.segment import segments
from runner.trial.train import OutOfMemoryError, is_out_of_memory

WINDOWS_AT_ONCE = 16
"""Windows that are decoded together (assumption: small enough for a laptop at any x_T)."""


@dataclass(slots=True, kw_only=True)
class Heard:
    """One utterance, its windows' predictions and the limits they were under, or why it could not be read."""

    clip: Clip
    seconds: float
    n_windows: int = 0
    predictions: list[Prediction] = field(default_factory=list)
    limits: list[int] = field(default_factory=list)
    failure_text: str | None = None


def _read(clip: Clip, trial: Trial) -> tuple[Heard, list[Audio]]:
    try:
        audio = load_clip(clip)
    except AudioError as problem:
        return Heard(clip=clip, seconds=clip.audio_seconds, failure_text=str(problem)), []
    heard = Heard(clip=clip, seconds=len(audio) / SAMPLE_RATE)
    cut = segments(audio, trial.audio_seconds, trial.reference_policy, trial.decoding.window_cut)
    heard.n_windows = len(cut)
    return heard, cut


def predict(
    model: SpeechModel,
    batch: Sequence[Audio],
    trial: Trial,
    precision: str,
) -> list[Prediction]:
    """Predictions for a batch of windows; in halves where the whole does not fit in memory.

    Raises:
        OutOfMemoryError: a single window does not fit.
    """
    try:
        return _predict(model, batch, trial, precision)
    except (RuntimeError, MemoryError) as problem:
        if not is_out_of_memory(problem):
            raise
        text = str(problem).splitlines()[0]
    # Outside of the handler: the traceback would keep the failed batch's tensors alive.
    if len(batch) == 1:
        raise OutOfMemoryError(
            f"scoring one window at a time does not fit in memory ({text}); "
            "use a smaller backbone, a shorter audio_seconds or a larger device"
        )
    half = len(batch) // 2
    return [
        *predict(model, batch[:half], trial, precision),
        *predict(model, batch[half:], trial, precision),
    ]


def _predict(
    model: SpeechModel, batch: Sequence[Audio], trial: Trial, precision: str
) -> list[Prediction]:
    features = model.features(batch).to(DTYPES[precision])
    with torch.inference_mode():
        encoded = model.encode(features)
        return model.decode(encoded, trial.decoding, [limit_of(model, trial, w) for w in batch])


def limit_of(model: SpeechModel, trial: Trial, window: Audio) -> int:
    """The limit in force: by the decoding, the window's length and the decoder's positions.

    A model that writes frame by frame ends with its frames, and is never cut.
    """
    if isinstance(model, FrameWriter):
        return model.frames(round(trial.audio_seconds * SAMPLE_RATE)) + 1
    positions = getattr(model.backbone, "max_target_positions", None)
    room = None if positions is None else positions - model.n_prompt_tokens
    return token_limit(trial.decoding, len(window), room)


def hear(
    model: SpeechModel,
    clips: Sequence[Clip],
    trial: Trial,
    precision: str,
    report: Report | None = None,
) -> Iterator[Heard]:
    """Utterances with their predictions, in order; windows of several are decoded together."""
    waiting: list[Heard] = []
    queue: list[tuple[Heard, Audio]] = []
    done = 0

    def decode(n: int) -> None:
        batch = queue[:n]
        del queue[:n]
        predictions = predict(model, [w for _, w in batch], trial, precision)
        for (heard, window), prediction in zip(batch, predictions, strict=True):
            heard.predictions.append(prediction)
            heard.limits.append(limit_of(model, trial, window))

    def complete() -> Iterator[Heard]:
        nonlocal done
        while waiting and len(waiting[0].predictions) == waiting[0].n_windows:
            done += 1
            if report:
                report(StageProgress(phase="score", step=done, n_steps=len(clips)))
            yield waiting.pop(0)

    for clip in clips:
        heard, cut = _read(clip, trial)
        waiting.append(heard)
        queue += [(heard, window) for window in cut]
        while len(queue) >= WINDOWS_AT_ONCE:
            decode(WINDOWS_AT_ONCE)
        yield from complete()
    if queue:
        decode(len(queue))
    yield from complete()
