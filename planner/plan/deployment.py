"""What deployment costs: compute time a second of audio, money, energy, and the model's size.

All follow from the median latency of one window at batch 1: an utterance of S seconds that takes W windows of
p50 t keeps its device busy for W t, so that the real-time factor is W t / S (its inverse is RTFx). Batching
would lower it; nothing is foretold of it here. Money of an hour of audio is that times the price of an hour
of the device, over the share of paid time in which it works; energy is that times its power.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping

import numpy as np

from planner.costs.memory.parameters import held_parameters
from planner.plan.cost import Cost, Floats
from planner.plan.situation import Situation
from planner.words.question import PlanQuery

NEWER = ("real_time_factor", "cost_per_1000h", "energy_j_per_hour", "size_bytes")
"""Costs that an answer shows where the question asks for them, or names an engine."""

Z95 = 1.6448536269514722
"""95 % quantile of the normal distribution: intervals are central and hold 90 %."""

THREAD_WATTS = (3.0, 15.0)
"""Power of one busy thread of a processor with its share of memory and supply: assumption (server sockets of
200 to 400 W with 32 to 64 cores, 4 to 8 W a core; a laptop's single core at turbo, up to 15 W)."""
CARD_WATTS: Mapping[str, float] = {
    "a10": 150, "a100": 400, "h100": 700, "h100-pcie": 350, "h200": 700, "l4": 72, "l40s": 350,
    "rtx-4090": 450, "t4": 70, "v100": 300,
}  # fmt: skip
"""Board power of accelerators by their makers' data sheets."""
CARD_SHARE = (0.3, 1.0)
"""Share of the board power that decoding at batch 1 draws: assumption (memory-bound, seldom at the limit)."""


class RealTime:
    """Seconds of compute a second of audio, at batch 1, by the median latency."""

    name, unit = "real_time_factor", "s/s"

    def of(self, situation: Situation) -> Cost | str:
        """The real-time factor of every candidate, or why it is not known."""
        found, seconds = situation.latencies, situation.utterance_seconds
        if found is None:
            return "no latency was measured: run a sweep, or soundscale probe on the device"
        if len(seconds) != len(situation.configs):
            return "the length of an utterance is not known: say --utterance-seconds"
        value, low, high = (
            getattr(found, name) * situation.n_windows / (1e3 * seconds)
            for name in ("p50_ms", "p50_low_ms", "p50_high_ms")
        )
        return Cost(
            name=self.name, value=value, low=low, high=high,
            source=_said(found.source, lambda s: f"{s}, batch 1"),
        )  # fmt: skip


class Money:
    """Money for 1,000 hours of audio."""

    name, unit = "cost_per_1000h", "per 1,000 h"

    def of(self, situation: Situation) -> Cost | str:
        """Money of every candidate, or why it is not known."""
        query = situation.query
        if query.price is None:
            return "no price of the device is given: say --price 2.5/h"
        factor = RealTime().of(situation)
        if isinstance(factor, str):
            return factor
        idle = query.idle or 0.0
        rate = 1000.0 * query.price / (1.0 - idle)
        source = f"{query.price:g} an hour, idle share {100 * idle:g} %"
        return _scaled(factor, self.name, rate, source)


class Energy:
    """Joules of an hour of audio: busy time by power."""

    name, unit = "energy_j_per_hour", "J/h"

    def of(self, situation: Situation) -> Cost | str:
        """Energy of every candidate, or why it is not known."""
        factor = RealTime().of(situation)
        if isinstance(factor, str):
            return factor
        low, high, said = power_watts(situation)
        if not said:
            return "the power of the device is not known: say --power 45W"
        middle = math.sqrt(low * high)
        found = _scaled(factor, self.name, 3600.0 * middle, said)
        return _widened(found, math.log(high / low) / (2 * Z95))


def power_watts(situation: Situation) -> tuple[float, float, str]:
    """Watts while it works, low and high (90 %), and where they are from; no source where unknown."""
    query = situation.query
    if query.power_watts is not None:
        return query.power_watts, query.power_watts, f"{query.power_watts:g} W as given"
    name = (query.device or "").lower()
    cards = [card for card in CARD_WATTS if name == card or name.startswith(f"{card}-")]
    if cards:
        board = CARD_WATTS[max(cards, key=len)]
        low, high = (share * board for share in CARD_SHARE)
        return low, high, f"assumed: {low:.3g} to {high:.3g} W of a board of {board:g} W"
    device = situation.device
    if device is not None and device.kind == "cpu":
        n = device.n_threads or 1
        low, high = (n * watts for watts in THREAD_WATTS)
        return low, high, f"assumed: {low:g} to {high:g} W for {n} thread{'s' * (n > 1)}"
    return 1.0, 1.0, ""


class Size:
    """Bytes of the weights on disk, adapters merged, as 32-bit numbers."""

    name, unit = "size_bytes", "bytes"

    def of(self, situation: Situation) -> Cost | str:
        """The size of every candidate."""
        value = np.empty(len(situation.configs))
        for at, windows in situation.groups:
            value[at] = 4.0 * held_parameters(windows, situation.query.task)
        return Cost.exact(self.name, value, "closed form, float32")


def hidden(query: PlanQuery, *, engines: bool) -> frozenset[str]:
    """Costs that an answer leaves out unless limited: no price, power or engine asks for them."""
    if engines:
        return frozenset()
    asked = set()
    if query.price is not None:
        asked |= {"real_time_factor", "cost_per_1000h"}
    if query.power_watts is not None:
        asked.add("energy_j_per_hour")
    return frozenset(NEWER) - asked


def _scaled(cost: Cost, name: str, by: float, source: str) -> Cost:
    """A cost that is another times a number."""
    return Cost(
        name=name, value=by * cost.value, low=by * cost.low, high=by * cost.high,
        source=_said(cost.source, lambda s: f"{source}; {s}"),
    )  # fmt: skip


def _said(sources: tuple[str, ...], how: Callable[[str], str]) -> tuple[str, ...]:
    """Each source in other words; thousands of candidates have a few."""
    words = {s: how(s) for s in dict.fromkeys(sources)}
    return tuple(map(words.__getitem__, sources))


def _widened(cost: Cost, sd: float) -> Cost:
    """The cost with a further spread in ln, independent of its own."""
    half: Floats = Z95 * np.hypot(cost.log_sd, sd)
    return dataclasses.replace(cost, low=cost.value * np.exp(-half), high=cost.value * np.exp(half))
