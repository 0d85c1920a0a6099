"""Hyper-parameters that follow from a trial: pure functions, each rule with its source."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from planner.errors import InputError, UnknownNameError
from planner.words.records import Optimisation, Resources, Trial

FULL_RATE_RATIO = 0.1
"""Learning rate of pretrained tensors trained in full, as a share of the adapters': LoRA's best rate is
about ten times full fine-tuning's (caveat to arXiv 2402.17193; a shared rate measures tuning)."""

HEAD_RATE = 1e-3
"""Learning rate of a new classification head (the SAME study's AdamW groups: head 1e-3)."""

MOST_PADDING = 0.02
"""Padding that a part of a batch may hold, as a share of its encoder positions; rounding a window's own
length up to 0.1 s adds less than 1 % from 5 s on, so that both stay below 3 %."""

POOL_BATCHES = 64
"""Batches whose examples are sorted by length together (assumption: enough for near equal lengths in each
batch, few enough for a random draw in every epoch)."""

SCHEDULES = ("linear", "cosine", "constant")
OPTIMISERS = ("adamw",)
PRECISIONS = ("auto", "fp32", "bf16")


def batch_size_for(batch_audio_seconds: float, audio_seconds: float) -> int:
    """Windows in an effective batch that holds about so much audio at any x_T.

    >>> [batch_size_for(48, x) for x in (4, 8, 12, 60)]
    [12, 6, 4, 1]
    """
    return max(1, round(batch_audio_seconds / audio_seconds))


def learning_rates(optimisation: Optimisation) -> dict[str, float]:
    """Peak learning rate of each parameter group: `lora`, `top_k`, `full` and `head`.

    `learning_rate` is the adapters'. Pretrained tensors trained in full (`top_k`, `full`) take
    `top_k_learning_rate`, by default a tenth of it; a head takes `head_learning_rate`, by default 1e-3.
    """
    in_full = optimisation.top_k_learning_rate
    if in_full is None:
        in_full = FULL_RATE_RATIO * optimisation.learning_rate
    head = optimisation.head_learning_rate
    return {
        "lora": optimisation.learning_rate,
        "top_k": in_full,
        "full": in_full,
        "head": HEAD_RATE if head is None else head,
    }


def schedule_factor(optimisation: Optimisation, step: int) -> float:
    """Share of the peak rate at a step (from 0): linear warm-up, then the schedule towards 0.

    Raises:
        UnknownNameError: the schedule is unknown.
    """
    if optimisation.schedule not in SCHEDULES:
        raise UnknownNameError("schedule", optimisation.schedule, SCHEDULES)
    steps = optimisation.steps
    warmup = math.ceil(optimisation.warmup_fraction * steps)
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    if optimisation.schedule == "linear":
        return 1.0 - done
    return 0.5 * (1.0 + math.cos(math.pi * done)) if optimisation.schedule == "cosine" else 1.0


def micro_batch_for(trial: Trial, resources: Resources) -> int:
    """Windows that are computed at once: the effective batch, unless the resources say less."""
    return min(
        resources.micro_batch or trial.optimisation.batch_size, trial.optimisation.batch_size
    )


def precision_for(requested: str, device_kind: str) -> str:
    """`bfloat16` (autocast in training, weights cast once for scoring) or `float32`; `auto` is bfloat16 on CUDA alone.

    Raises:
        UnknownNameError: the precision is unknown.
    """
    if requested not in PRECISIONS:
        raise UnknownNameError("precision", requested, PRECISIONS)
    if requested == "auto":
        return "bfloat16" if device_kind == "cuda" else "float32"
    return "bfloat16" if requested == "bf16" else "float32"


def _permutation(n: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng([abs(seed), epoch]).permutation(n)


def batch_indices(n_examples: int, batch_size: int, seed: int, step: int) -> list[int]:
    """Examples of one step: a pure function of seed and step, each example once an epoch.

    Raises:
        InputError: there are no examples.
    """
    if n_examples < 1:
        raise InputError("there are no training examples; give more data or a longer audio_seconds")
    return list(_positions(n_examples, batch_size, seed, step))


def _positions(n: int, batch_size: int, seed: int, step: int) -> Iterator[int]:
    epoch = -1
    order = np.empty(0, dtype=np.int64)
    for position in range(step * batch_size, (step + 1) * batch_size):
        if position // n != epoch:
            epoch = position // n
            order = _permutation(n, seed, epoch)
        yield int(order[position % n])


def bucketed_indices(seconds: Sequence[float], batch_size: int, seed: int, step: int) -> list[int]:
    """Examples of one step, alike in length: a pure function of seed and step.

    The random order of `batch_indices` is taken in pools of up to `POOL_BATCHES` batches, never more
    than an epoch; a pool is sorted by length and cut into batches, which come in random order.

    Raises:
        InputError: there are no examples.
    """
    n = len(seconds)
    if n < 1:
        return batch_indices(0, batch_size, seed, step)
    per_pool = max(1, min(POOL_BATCHES, n // batch_size))
    pool, place = divmod(step, per_pool)
    members = list(_positions(n, batch_size * per_pool, seed, pool))
    members.sort(key=lambda i: (seconds[i], i))
    chosen = int(np.random.default_rng([abs(seed), pool, 1]).permutation(per_pool)[place])
    return members[chosen * batch_size : (chosen + 1) * batch_size]


def length_runs(
    lengths: Sequence[int], room: int, most: int | None = None
) -> list[tuple[int, int]]:
    """Half-open runs of ascending lengths that are padded to their longest and computed at once.

    A run has at most `room` positions, padding included, and at most `MOST_PADDING` of padding; with
    `most` its members are of equal length and at most so many. One that is longer than the room stands
    alone.

    >>> length_runs([50, 50, 51, 90, 90, 100], 200)
    [(0, 3), (3, 5), (5, 6)]
    """
    runs, first, held = [], 0, 0
    for i, length in enumerate(lengths):
        count = i - first
        padded = (count + 1) * length
        full = padded > room or held + length < (1 - MOST_PADDING) * padded
        if most is not None:
            full = count == most or length != lengths[first]
        if count and full:
            runs.append((first, i))
            first, held = i, 0
        held += length
    return [*runs, (first, len(lengths))] if lengths else []
