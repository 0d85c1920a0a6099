"""What a deployed model is asked: the scored utterances, with their own windows and output tokens.

A request is one utterance. Its latency differs from that of the next one by its windows and tokens far
more than by the machine, so that quantiles of one repeated window say nothing of requests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from planner.words.records import GUARDED, Trial, Utterance
from runner.data.audio import Audio, AudioError
from runner.data.clips import BrokenDataError, Clip
from runner.data.packing import load_clip
from runner.trial.segment import segments

MOST_SIZES = 200
"""Utterances whose windows are counted: those of every length, evenly (assumption: enough for a p95)."""

MOST_TIMED = 24
"""Utterances that are kept to be timed, from the least to the largest."""

MOST_TOKENS = GUARDED.max_new_tokens
"""Output tokens that a decoder has positions for. A window of half a minute that was decoded twice may have had
more; it is timed with so many, as no cache holds more at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One utterance: its windows, and the output tokens that each of them is decoded to."""

    utterance_id: str
    windows: tuple[Audio, ...]
    n_output_tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """The requests of a scored set.

    Attributes:
        n_windows: of each utterance, by its name.
        sizes: windows and output tokens of each of them, shape (n, 2).
        timed: some of them with their audio, in the order of their sizes.
    """

    n_windows: dict[str, int]
    sizes: npt.NDArray[np.float64]
    timed: tuple[Request, ...]


def shared_tokens(n_tokens: int, lengths: Sequence[int]) -> tuple[int, ...]:
    """An utterance's output tokens shared over its windows by their lengths, one each at least.

    Scoring stores the tokens of the whole utterance; the time of decoding is nearly linear in them, so
    that its sum does not depend on how they are shared.

    >>> shared_tokens(10, [30, 20])
    (6, 4)
    """
    if not n_tokens:
        return (0,) * len(lengths)
    ends = np.rint(n_tokens * np.cumsum(lengths) / sum(lengths)).astype(int)
    return tuple(max(1, int(n)) for n in np.diff(ends, prepend=0))


def _evenly(n: int, most: int) -> list[int]:
    """At most `most` of n places, evenly, the first and the last among them."""
    return sorted({round(i) for i in np.linspace(0, n - 1, min(n, most))})


def _request(audio: Audio, row: Utterance, trial: Trial) -> Request:
    cut = segments(audio, trial.audio_seconds, trial.reference_policy, trial.decoding.window_cut)
    shared = shared_tokens(row.n_output_tokens or 0, [len(window) for window in cut])
    tokens = tuple(min(n, MOST_TOKENS) for n in shared)
    return Request(utterance_id=row.utterance_id, windows=tuple(cut), n_output_tokens=tokens)


def scored_requests(
    clips: Sequence[Clip],
    utterances: Sequence[Utterance],
    trial: Trial,
    *,
    most_sizes: int = MOST_SIZES,
    most_timed: int = MOST_TIMED,
    load: Callable[[Clip], Audio] = load_clip,
) -> Requests:
    """The scored utterances as requests, of every length where there are more than `most_sizes`.

    Args:
        clips: of the scored split.
        utterances: as they were scored.
        trial: which cuts them into windows.
        most_sizes: utterances whose windows are counted.
        most_timed: utterances that are kept with their audio.
        load: reads a clip; one that keeps them where several trials are asked for.

    Raises:
        BrokenDataError: none of them can be read.
    """
    by_id = {clip.utterance_id: clip for clip in clips}
    rows = sorted(
        (u for u in utterances if u.failure_text is None and u.utterance_id in by_id),
        key=lambda u: (u.audio_seconds or 0.0, u.n_output_tokens or 0),
    )
    picked = [rows[i] for i in _evenly(len(rows), most_sizes)] if rows else []
    n_windows: dict[str, int] = {}
    sizes, timed = [], []
    keep = set(_evenly(len(picked), most_timed)) if picked else set()
    for place, row in enumerate(picked):
        try:
            request = _request(load(by_id[row.utterance_id]), row, trial)
        except AudioError:
            continue
        n_windows[row.utterance_id] = len(request.windows)
        sizes.append((len(request.windows), row.n_output_tokens or 0))
        if place in keep:
            timed.append(request)
    if not timed:
        raise BrokenDataError("no scored utterance can be read to be timed; check the data")
    return Requests(
        n_windows=n_windows, sizes=np.array(sizes, dtype=np.float64), timed=tuple(timed)
    )
