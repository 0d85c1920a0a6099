"""Latency of one configuration on this device: of requests, of a window, and by stage.

A request is a scored utterance with its own windows and output tokens, batch 1: features, encoder and
the decoding of exactly the tokens that scoring measured. Requests of every length are timed in shuffled
order, again and again while there is time. Latency does not depend on what weights and tokens say, only
on how many there are, so that any weights of the right shapes give the same.

    request      quantiles over all scored utterances of  a windows + b tokens,  a line through the timed
                 requests, times each of their deviations from it: the machine's part is in it
    window       every timed window brought to the mean tokens by its decoder's own line: what one
                 repeated window takes, whose p95 over p50 is the machine's part alone (`jitter`)
    contention   wall time over the processor time of the timing thread; where others took a CPU, all
                 times are by that thread's processor clock, request by request, and the method says so

The noise floor is A against A: how far the medians of the first and the second half lie from that of both.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch

from planner.costs.latency.nonnegative import solve
from planner.words.records import Device, Latency, Trial
from runner.models.adapt import DTYPES
from runner.models.base import Audio, SpeechModel
from runner.trial.device import synchronise
from runner.trial.progress import Report, StageProgress
from runner.trial.requests import Request, Requests

Floats = npt.NDArray[np.float64]

STAGES = ("features", "encoder", "decode")

BUSY = 1.1
"""Contention above which a device counts as under load."""

METHOD = "requests/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbePlan:
    """How often one window is repeated: `n_samples`, or `fewest` at least when `seconds` are used up."""

    n_warmup: int = 3
    n_samples: int = 20
    fewest: int = 10
    seconds: float = 12.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPlan:
    """How much is timed: every request `passes` times, or fewer where `seconds` are used up.

    `fewest` requests are timed however long they take.
    """

    n_warmup: int = 2
    passes: int = 2
    fewest: int = 8
    seconds: float = 12.0


@torch.inference_mode()
def time_once(
    model: SpeechModel,
    batch: Sequence[Audio],
    trial: Trial,
    n_output_tokens: int,
    precision: str,
    device: torch.device,
) -> tuple[float, ...]:
    """Seconds of features, encoder and decoding for a batch of windows, in that order.

    The model is deployed in `precision` (`runner.models.adapt.deploy`).
    """
    marks = [time.perf_counter()]
    features = model.features(batch).to(DTYPES[precision])
    synchronise(device)
    marks.append(time.perf_counter())
    encoded = model.encode(features)
    synchronise(device)
    marks.append(time.perf_counter())
    model.decode(encoded, trial.decoding, exactly=n_output_tokens)
    synchronise(device)
    marks.append(time.perf_counter())
    return tuple(b - a for a, b in pairwise(marks))


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedRequest:
    """What one request took: ms of each stage of its windows, shape (n, 3), and processor seconds."""

    n_output_tokens: tuple[int, ...]
    stages_ms: Floats
    wall_seconds: float
    thread_seconds: float


@dataclass(slots=True, kw_only=True)
class Timer:
    """One configuration under the clock: its model, its requests, and what they took so far.

    Several timers may take turns, so that whatever drifts on the device hits all of them alike.
    """

    model: SpeechModel
    trial: Trial
    requests: Requests
    device: torch.device
    precision: str
    seed: int = 0
    taken: list[TimedRequest] = field(default_factory=list)
    _order: list[int] = field(default_factory=list)
    _passes: int = 0

    def warm_up(self, n: int) -> None:
        """Time windows that do not count."""
        request = self.requests.timed[-1]
        for _ in range(n):
            self._window(request.windows[0], request.n_output_tokens[0])

    def step(self) -> None:
        """Time the next request; each pass has an order of its own."""
        if not self._order:
            n = len(self.requests.timed)
            self._order = random.Random(self.seed + self._passes).sample(range(n), n)
            self._passes += 1
        self.taken.append(self._time(self.requests.timed[self._order.pop()]))

    def _window(self, window: Audio, n_output_tokens: int) -> tuple[float, ...]:
        return time_once(
            self.model, [window], self.trial, n_output_tokens, self.precision, self.device
        )

    def _time(self, request: Request) -> TimedRequest:
        began = time.thread_time()
        rows = [
            self._window(window, n)
            for window, n in zip(request.windows, request.n_output_tokens, strict=True)
        ]
        thread = time.thread_time() - began
        return TimedRequest(
            n_output_tokens=request.n_output_tokens,
            stages_ms=1e3 * np.array(rows),
            wall_seconds=float(np.sum(rows)),
            thread_seconds=thread,
        )


def whole_tokens(mean_output_tokens: float | None) -> int:
    """Output tokens of the window that a latency is of; 0 where nothing is decoded."""
    return 0 if mean_output_tokens is None else max(1, round(mean_output_tokens))


def measure_latency(
    model: SpeechModel,
    requests: Requests,
    trial: Trial,
    *,
    n_output_tokens: int,
    device_record: Device,
    device: torch.device,
    precision: str,
    attention: str = "sdpa",
    plan: RequestPlan | None = None,
    report: Report | None = None,
) -> Latency:
    """Latency of requests and of a window of `n_output_tokens`, batch 1, and how it was taken."""
    plan = plan or RequestPlan()
    timer = Timer(model=model, trial=trial, requests=requests, device=device, precision=precision)
    timer.warm_up(plan.n_warmup)
    n_steps = plan.passes * len(requests.timed)
    ended = time.perf_counter() + plan.seconds
    while len(timer.taken) < n_steps:
        if len(timer.taken) >= plan.fewest and time.perf_counter() > ended:
            break
        timer.step()
        if report:
            report(StageProgress(phase="probe", step=len(timer.taken), n_steps=n_steps))
    return latency_of(timer, n_output_tokens, device_record, plan.n_warmup, attention)


def latency_of(
    timer: Timer, n_output_tokens: int, device: Device, n_warmup: int, attention: str = "sdpa"
) -> Latency:
    """What a timer's requests say, as a record."""
    wall, thread = (
        sum(getattr(t, f"{kind}_seconds") for t in timer.taken) for kind in ("wall", "thread")
    )
    contention = wall / max(thread, 1e-9)
    alone = [by_processor(t) for t in timer.taken]
    # What else computes on a GPU does not show in this thread's time.
    busy = contention > BUSY if device.kind == "cpu" else None
    taken, trial = alone if busy else timer.taken, timer.trial
    stages = brought_to(taken, n_output_tokens)
    total = stages.sum(axis=1)
    p50, p90, p95, p99 = (float(q) for q in np.quantile(total, (0.5, 0.9, 0.95, 0.99)))
    request_p50, request_p95 = request_quantiles(taken, timer.requests.sizes, (0.5, 0.95))
    return Latency(
        device=device,
        backbone=trial.backbone,
        audio_seconds=trial.audio_seconds,
        reduction=trial.reduction,
        n_output_tokens=n_output_tokens,
        p50_ms=p50,
        p90_ms=p90,
        p95_ms=p95,
        p99_ms=p99,
        n_samples=len(total),
        n_warmup=n_warmup,
        dtype=timer.precision,
        attention=attention,
        kv_cache=trial.decoding.kv_cache,
        noise_floor=halves_apart(total),
        stages_ms=dict(zip(STAGES, np.median(stages, axis=0).tolist(), strict=True)),
        method=f"{METHOD} by processor time" if busy else METHOD,
        request_p50_ms=request_p50,
        request_p95_ms=request_p95,
        n_requests=min(len(taken), len(timer.requests.timed)),
        jitter=p95 / p50,
        processor_ms=float(np.median(brought_to(alone, n_output_tokens).sum(axis=1))),
        contention=contention,
        quiet=None if busy is None else not busy,
    )


def by_processor(taken: TimedRequest) -> TimedRequest:
    """A request without the time that its thread waited for a processor."""
    share = taken.thread_seconds / max(taken.wall_seconds, 1e-9)
    return replace(
        taken, stages_ms=taken.stages_ms * share, wall_seconds=taken.wall_seconds * share
    )


def brought_to(taken: Sequence[TimedRequest], n_output_tokens: int) -> Floats:
    """Ms of each stage of every timed window as if it were decoded to so many tokens, shape (n, 3).

    Decoding takes a + b tokens; each window's own deviation from that line stays.
    """
    stages = np.concatenate([t.stages_ms for t in taken])
    tokens = np.array([n for t in taken for n in t.n_output_tokens], dtype=np.float64)
    if n_output_tokens and tokens.any() and (stages[:, 2] > 0).all():
        x = np.stack([np.ones(len(tokens)), tokens], axis=1)
        cost = solve(x, stages[:, 2], [0, 1])
        stages[:, 2] *= (cost[0] + cost[1] * n_output_tokens) / (x @ cost)
    return stages


def request_quantiles(
    taken: Sequence[TimedRequest], sizes: Floats, levels: Sequence[float]
) -> list[float]:
    """Quantiles in ms over requests of these sizes (windows, tokens; shape (n, 2))."""
    x = np.array([(len(t.n_output_tokens), sum(t.n_output_tokens)) for t in taken], dtype=float)
    wall_ms = np.array([1e3 * t.wall_seconds for t in taken])
    cost = solve(x, wall_ms, [0, 1] if x[:, 1].any() else [0])
    spread = np.outer(sizes @ cost, wall_ms / (x @ cost))
    return [float(q) for q in np.quantile(spread, levels)]


def halves_apart(samples: Floats) -> float:
    """Largest relative difference of the medians of the first and second half from that of both."""
    middle = float(np.median(samples))
    halves = np.array_split(samples, 2) if len(samples) > 1 else [samples]
    return max(abs(float(np.median(half)) / middle - 1.0) for half in halves)


def spread(samples: Sequence[float] | Floats) -> float:
    """Half the interquartile range as a share of the median: what repeated samples differ by."""
    low, middle, high = np.quantile(np.asarray(samples, dtype=float), (0.25, 0.5, 0.75))
    return float((high - low) / (2 * middle))
