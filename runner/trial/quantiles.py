"""From timed requests to a latency: quantiles over requests, the machine's part apart from them.

A request is a scored utterance with its own windows and output tokens, batch 1.

    request      quantiles of as many requests as utterances were scored, each  a windows + b tokens,  a
                 line through the timed windows, times a timed request's deviation from it: the machine's
                 part is in it
    window       every timed window brought to the mean tokens by its decoder's own line: what one
                 repeated window takes, whose p95 over p50 is the machine's part alone (`jitter`)
    contention   wall time over processor time; where others took a CPU, all times are by the processor's
                 clock, request by request, and the method says so
    noise floor  A against A: how far the medians of windows of even and of odd rounds lie from that of all
    share above  of the timed requests, those that take longer than the p95 that the others state: 5 %
                 where a stated p95 means what it says
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from planner.costs.latency.nonnegative import solve
from runner.trial.timing import Floats, TimedRequest

BUSY = 1.1
"""Contention above which a device counts as under load."""

METHOD = "requests/3"
"""`requests/2` took quantiles over all pairs of utterance and deviation: of 28 utterances 11 % above the p95 of 28."""

BY_PROCESSOR = " by processor time"

REST = "rest"
"""A last stage that holds encoder and decoder together."""


def whole_tokens(mean_output_tokens: float | None) -> int:
    """Output tokens of the window that a latency is of; 0 where nothing is decoded."""
    return 0 if mean_output_tokens is None else max(1, round(mean_output_tokens))


def measured(
    taken: Sequence[TimedRequest],
    sizes: Floats,
    n_output_tokens: int,
    stages: Sequence[str],
    *,
    alone: bool,
    on_cpu: bool,
) -> dict[str, Any]:
    """The measured fields of a `Latency`.

    Args:
        taken: timed requests, at least one.
        sizes: windows and output tokens of each scored utterance, shape (n, 2).
        n_output_tokens: tokens of the window that p50 to p99 are of.
        stages: names of the columns of `taken`.
        alone: nothing of ours ran beside it, by a lease of the host.
        on_cpu: contention tells other work; on another device the processor only waits for it.
    """
    ratio = contention(taken)
    busy = on_cpu and ratio is not None and ratio > BUSY
    used = [by_processor(t) for t in taken] if busy else list(taken)
    table = brought_to(used, n_output_tokens)
    total = table.sum(axis=1)
    p50, p90, p95, p99 = (float(q) for q in np.quantile(total, (0.5, 0.9, 0.95, 0.99)))
    request_p50, request_p95 = request_quantiles(used, sizes, (0.5, 0.95))
    by_clock = (
        None if ratio is None else brought_to([by_processor(t) for t in taken], n_output_tokens)
    )
    return {
        "p50_ms": p50,
        "p90_ms": p90,
        "p95_ms": p95,
        "p99_ms": p99,
        "n_samples": len(total),
        "noise_floor": noise_floor(used, n_output_tokens),
        "stages_ms": stage_medians(used, table, n_output_tokens, stages),
        "request_p50_ms": request_p50,
        "request_p95_ms": request_p95,
        "n_requests": len(taken),
        "share_above_p95": share_above(used, sizes),
        "jitter": p95 / p50,
        "processor_ms": None if by_clock is None else float(np.median(by_clock.sum(axis=1))),
        "contention": ratio,
        "quiet": False if busy else (True if alone else None),
        "method": METHOD + (BY_PROCESSOR if busy else ""),
    }


def contention(taken: Sequence[TimedRequest]) -> float | None:
    """Wall time over processor time of all requests; None where there is no such clock."""
    clocks = [t.processor_seconds for t in taken]
    if any(c is None for c in clocks):
        return None
    return sum(t.wall_seconds for t in taken) / max(sum(c or 0.0 for c in clocks), 1e-9)


def by_processor(taken: TimedRequest) -> TimedRequest:
    """A request without the time that its work waited for a processor."""
    share = (taken.processor_seconds or 0.0) / max(taken.wall_seconds, 1e-9)
    return replace(
        taken, stages_ms=taken.stages_ms * share, wall_seconds=taken.wall_seconds * share
    )


def _line(tokens: Floats, times: Floats) -> Floats:
    """Costs a and b of  a + b tokens,  neither negative, by relative errors."""
    return np.asarray(solve(np.stack([np.ones(len(tokens)), tokens], axis=1), times, [0, 1]))


def _windows(taken: Sequence[TimedRequest]) -> tuple[Floats, Floats]:
    """Stages of every timed window, shape (n, stages), and its output tokens."""
    stages = np.concatenate([t.stages_ms for t in taken])
    return stages, np.array([n for t in taken for n in t.n_output_tokens], dtype=np.float64)


def brought_to(taken: Sequence[TimedRequest], n_output_tokens: int) -> Floats:
    """Ms of each stage of every timed window as if it were decoded to so many tokens, shape (n, stages).

    The last stage takes a + b tokens; each window's own deviation from that line stays.
    """
    stages, tokens = _windows(taken)
    if n_output_tokens and tokens.any() and (stages[:, -1] > 0).all():
        cost = _line(tokens, stages[:, -1])
        stages[:, -1] *= (cost[0] + cost[1] * n_output_tokens) / (cost[0] + cost[1] * tokens)
    return stages


def stage_medians(
    taken: Sequence[TimedRequest], table: Floats, n_output_tokens: int, stages: Sequence[str]
) -> dict[str, float]:
    """Median ms of each stage.

    `rest` is what the median window takes beside the others, parted into encoder and decoder by the line
    over the tokens.
    """
    medians = dict(zip(stages, np.median(table, axis=0).tolist(), strict=True))
    if REST not in medians:
        return medians
    times, tokens = _windows(taken)
    del medians[REST]
    rest, decode = float(np.median(table.sum(axis=1))) - sum(medians.values()), 0.0
    if n_output_tokens and tokens.any():
        cost = _line(tokens, times[:, -1])
        decode = rest * cost[1] * n_output_tokens / (cost[0] + cost[1] * n_output_tokens)
    return medians | {"encoder": rest - float(decode), "decode": float(decode)}


def request_line(taken: Sequence[TimedRequest]) -> Floats:
    """Costs a and b of  a windows + b tokens  (ms), shape (2,).

    The line goes through what single windows took, of which there are several times as many as requests.
    """
    stages, tokens = _windows(taken)
    x = np.stack([np.ones(len(tokens)), tokens], axis=1)
    return np.asarray(solve(x, stages.sum(axis=1), [0, 1] if tokens.any() else [0]))


def _requests(taken: Sequence[TimedRequest]) -> tuple[Floats, Floats]:
    x = np.array([(len(t.n_output_tokens), sum(t.n_output_tokens)) for t in taken], dtype=float)
    return x, np.array([1e3 * t.wall_seconds for t in taken])


def request_quantiles(
    taken: Sequence[TimedRequest], sizes: Floats, levels: Sequence[float]
) -> list[float]:
    """Expected quantiles in ms of one request of each of these sizes (windows, tokens; shape (n, 2)).

    The deviations of k timed requests go round the n sizes in their order k times, so that each size meets
    each deviation once; a level's quantile (linear, Hyndman and Fan's type 7) is the mean of those of the
    k rounds. So it is that of n requests, as measuring all of them would give it: a few long utterances
    weigh as they do there.  The deviations are those of a sample: by sqrt(k / (k - 1)) wider than they look.
    """
    x, wall_ms = _requests(taken)
    cost, k = request_line(taken), len(taken)
    deviation = wall_ms / (x @ cost)
    middle = deviation.mean()
    wider = middle + (deviation - middle) * np.sqrt(k / max(k - 1, 1))
    expected = np.sort(sizes @ cost)
    met = (np.arange(len(expected))[:, None] + np.arange(k)) % k
    each = np.quantile(expected[:, None] * wider[met], levels, axis=0)
    return [float(q) for q in each.mean(axis=1)]


def noise_floor(taken: Sequence[TimedRequest], n_output_tokens: int) -> float | None:
    """Largest relative difference of a half's median window from that of all; None without two halves."""
    if len({t.round % 2 for t in taken}) < 2:
        return None
    total = brought_to(taken, n_output_tokens).sum(axis=1)
    odd = np.array([t.round % 2 for t in taken for _ in t.n_output_tokens], dtype=bool)
    middle = float(np.median(total))
    return max(abs(float(np.median(total[half])) / middle - 1.0) for half in (odd, ~odd))


def share_above(taken: Sequence[TimedRequest], sizes: Floats) -> float | None:
    """Share of the timed requests above the p95 that the others state; None for a single one.

    They are spread over the sizes as the scored utterances are, so that one in twenty should lie above;
    few others state too narrow a spread, and more lie above.
    """
    if len(taken) < 2:
        return None
    above = 0
    for k, one in enumerate(taken):
        (p95,) = request_quantiles([*taken[:k], *taken[k + 1 :]], sizes, (0.95,))
        above += 1e3 * one.wall_seconds > p95
    return above / len(taken)
