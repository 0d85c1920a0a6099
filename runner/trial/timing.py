"""A contestant under the clock: whatever is timed, it is timed here and by the same rule.

A contestant is a configuration in an engine at a precision. What prepares one hands back a `Ready`: a
function that runs one window to so many output tokens and says how long each stage took. A `Timer` asks
it for whole requests, each with its own windows and tokens, in an order whose every beginning is spread
over the sizes, so that it may end at any request. Several timers take turns, a round of one request
each, so that whatever drifts on the device hits all of them alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from runner.data.audio import Audio
from runner.trial.progress import Report, StageProgress
from runner.trial.requests import Request

Floats = npt.NDArray[np.float64]
Clock = Callable[[], float]

STAGES = ("features", "encoder", "decode")
"""Stages of an engine that tells all of them apart."""

WARM_UP_TOKENS = 4
"""Output tokens of a window that does not count (assumption)."""

GOLDEN = (5**0.5 - 1) / 2
"""Multiples of it, less their whole parts, are spread evenly however many are taken (Weyl 1916)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A contestant that can be timed.

    Attributes:
        time_window: runs one window to exactly so many output tokens (0: there is no decoder) and
            returns the seconds of each stage, synchronised.
        stages: their names; the last one grows with the output tokens. An engine that cannot part its
            encoder from its decoder calls the last one `rest`: the line over the tokens parts them.
        processor_seconds: a clock of processor time that stands still while the work waits for a
            processor: `time.thread_time` where the calling thread computes, `time.process_time` where one
            other thread of the process does; None where no such clock is known (several at once).
    """

    time_window: Callable[[Audio, int], Sequence[float]]
    stages: tuple[str, ...] = STAGES
    processor_seconds: Clock | None = time.thread_time


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPlan:
    """How much is timed by itself: every request `passes` times, or fewer where `seconds` are used up.

    `fewest` requests are timed however long they take.
    """

    n_warmup: int = 2
    passes: int = 2
    fewest: int = 8
    seconds: float = 12.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedRequest:
    """What one request took.

    Attributes:
        round: in which round; A against A compares the even ones with the odd ones.
        n_output_tokens: of each window, n of them.
        stages_ms: ms of each stage of each window, shape (n, stages).
        wall_seconds: of the whole request.
        processor_seconds: of it, those with a processor; None where they cannot be told.
    """

    round: int
    n_output_tokens: tuple[int, ...]
    stages_ms: Floats
    wall_seconds: float
    processor_seconds: float | None


def place_of(step: int, n: int) -> int:
    """Which of n requests in the order of their sizes a step is of: n steps take each of them once.

    >>> [place_of(i, 8) for i in range(8)]
    [0, 5, 2, 7, 4, 1, 6, 3]
    """
    spread = [(0.5 + (i + 1) * GOLDEN) % 1.0 for i in range(n)]
    return sorted(range(n), key=spread.__getitem__).index(step % n)


@dataclass(slots=True, kw_only=True)
class Timer:
    """A contestant, its requests in the order of their sizes, and what they took so far."""

    ready: Ready
    requests: Sequence[Request]
    taken: list[TimedRequest] = field(default_factory=list)

    def run(self, plan: RequestPlan, report: Report | None = None) -> None:
        """Time as many requests as a plan says, by itself."""
        self.warm_up(plan.n_warmup)
        n_steps = plan.passes * len(self.requests)
        ended = time.perf_counter() + plan.seconds
        while len(self.taken) < n_steps:
            if len(self.taken) >= plan.fewest and time.perf_counter() > ended:
                break
            self.step()
            if report:
                report(StageProgress(phase="probe", step=len(self.taken), n_steps=n_steps))

    def warm_up(self, n: int) -> None:
        """Run windows that do not count, to few tokens: what is slow the first time is slow at the first."""
        request = self.requests[-1]
        for _ in range(n):
            n_tokens = min(WARM_UP_TOKENS, request.n_output_tokens[0])
            self.ready.time_window(request.windows[0], n_tokens)

    def step(self) -> TimedRequest:
        """Time the next request."""
        k = len(self.taken)
        self.taken.append(self.time(self.requests[place_of(k, len(self.requests))], k))
        return self.taken[-1]

    def time(self, request: Request, round_: int) -> TimedRequest:
        """Time one request, window after window."""
        clock, began = self.ready.processor_seconds, 0.0
        if clock is not None:
            began = clock()
        rows = [
            self.ready.time_window(window, n)
            for window, n in zip(request.windows, request.n_output_tokens, strict=True)
        ]
        return TimedRequest(
            round=round_,
            n_output_tokens=request.n_output_tokens,
            stages_ms=1e3 * np.array(rows),
            wall_seconds=float(np.sum(rows)),
            processor_seconds=None if clock is None else clock() - began,
        )
