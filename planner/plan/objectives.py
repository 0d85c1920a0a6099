"""What a configuration costs: the objectives that a limit can be put on, as a registry.

An objective is a class with a name, a unit and `of`, which gives the cost of every candidate, or a
sentence that says why it is not known. A further one (energy, price, …) is registered once; its limit
goes into `PlanQuery.more_limits`.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from planner.costs.flops.forward import forward_parts, resolve_convention
from planner.costs.flops.trial import training_totals_of
from planner.costs.latency.model import Latencies
from planner.costs.memory.peak import inference_bytes
from planner.errors import InputError
from planner.plan.cost import Cost, Floats
from planner.plan.deployment import Energy, Money, RealTime, Size
from planner.plan.situation import Objective as Objective
from planner.plan.situation import Situation as Situation
from planner.plan.workload import Workload
from planner.words.question import COST_UNITS


class _Flops:
    """FLOPs of one utterance (or window); with `demand`, the training's share on top."""

    name, unit = "flops", "FLOPs"

    def of(self, situation: Situation) -> Cost | str:
        query = situation.query
        convention = resolve_convention(query.convention)
        one = np.empty(len(situation.configs))
        for at, windows in situation.groups:
            parts = forward_parts(windows, convention=convention, task=query.task)
            one[at] = sum(parts.values())
        value = one * situation.n_windows
        if query.demand is None:
            return Cost.exact(self.name, value, convention)
        training = training_flops_of(situation)
        if isinstance(training, str):
            raise InputError(f"training cannot be spread over the demand: {training}")
        source = f"{convention} + training over {query.demand:g} utterances"
        return Cost.exact(self.name, value + training / query.demand, source)


class _Memory:
    """Peak bytes of inference, one window at a time."""

    name, unit = "memory_bytes", "bytes"

    def of(self, situation: Situation) -> Cost | str:
        value = np.empty(len(situation.configs))
        for at, windows in situation.groups:
            value[at] = inference_bytes(windows, situation.query.task)
        return Cost.exact(self.name, value, "closed form")


class _Latency:
    """Milliseconds at the quantile asked for: over requests, each a whole utterance, or of one window.

    Where requests of this very configuration were timed on the utterances that are asked about, that is
    the latency. Else it is the mean utterance's p50 times the quantile over the stored windows and
    tokens, the machine's own part (p95 over p50 of one window) added as independent in ln.
    """

    name, unit = "latency_ms", "ms"

    def of(self, situation: Situation) -> Cost | str:
        found, q = situation.latencies, situation.query.quantile
        if found is None:
            return "no latency was measured: run a sweep, or soundscale probe on the device"
        at_q, low, high = (getattr(found, f"{q}{end}_ms") for end in ("", "_low", "_high"))
        n, workload, source = situation.n_windows, situation.workload, found.source
        if workload is None or workload.by_window or situation.query.per == "window":
            if workload is not None and workload.by_window:
                source = tuple("measured" if s == "measured window" else s for s in source)
            value, low, high = at_q * n, low * n, high * n
        else:
            value = _of_requests(found, situation, workload, q)
            low, high = value * (low / at_q), value * (high / at_q)
        return Cost(name=self.name, value=value, low=low, high=high, source=source)


def _of_requests(
    found: Latencies, situation: Situation, workload: Workload, quantile: str
) -> Floats:
    """Latency in ms of an utterance at a quantile over utterances, shape (m,)."""
    lengths = situation.lengths
    assert lengths is not None
    values = np.array(lengths.values, dtype=np.float64)
    middle, high = workload.request_factors(values, lengths.code, found.token_share, (0.5, 0.95))
    value = found.p50_ms * situation.n_windows * middle
    if quantile == "p95":
        machine = np.log(found.p95_ms / found.p50_ms)
        value = value * np.exp(np.hypot(np.log(high / middle), machine))
    if not workload.as_scored:
        return np.asarray(value)
    timed = getattr(found, f"request_{quantile}_ms")
    return np.asarray(np.where(timed > 0, timed, value))


class _TrainFlops:
    """FLOPs of training the configuration once, as the study trains."""

    name, unit = "train_flops", "FLOPs"

    def of(self, situation: Situation) -> Cost | str:
        found = training_flops_of(situation)
        return found if isinstance(found, str) else Cost.exact(self.name, found, "exact/1")


class _TrainHours:
    """Hours of training audio, where runs name how much of the training split they learned from."""

    name, unit = "train_hours", "h"

    def of(self, situation: Situation) -> Cost | str:
        hours = [config.value(self.name) for config in situation.configs]
        if None in hours:
            return "these runs name no hours of training audio: give a sweep levels of them (axes.train_hours)"
        return Cost.exact(self.name, np.array(hours, dtype=np.float64), "as trained")


def training_flops_of(situation: Situation) -> Floats | str:
    """Training FLOPs of each candidate, shape (m,): as its runs took, else as the study would train it.

    A published or imported run does not say how many examples it saw: nothing is counted from it.
    """
    own: dict[int, list[float]] = {}
    for j, row in zip(situation.ran_at, situation.evidence.rows, strict=True):
        if j is not None and row.train_flops is not None:
            own.setdefault(j, []).append(row.train_flops)
    first = situation.evidence.rows[0]
    out = np.full(len(situation.configs), np.nan)
    if first.provenance == "measured":
        for at, windows in situation.groups:
            adaptation = situation.configs[int(at[0])].adaptation
            trial = dataclasses.replace(first.trial, adaptation=adaptation)
            out[at] = training_totals_of(trial, windows)
    for j, found in own.items():
        out[j] = float(np.mean(found))
    if np.isnan(out).any():
        config = situation.configs[int(np.flatnonzero(np.isnan(out))[0])]
        return (
            f"training FLOPs of {config.label} are not known: these runs are {first.provenance} "
            "and do not say what was trained; learn from own runs"
        )
    # Without training (adaptation none) the cost is 0; a logarithm needs something, and 1 FLOP is none.
    return np.asarray(np.maximum(out, 1.0), dtype=np.float64)


_FIRST: tuple[Objective, ...] = (
    _Flops(), _Memory(), _Latency(), _TrainFlops(), _TrainHours(), RealTime(), Money(), Energy(), Size(),
)  # fmt: skip
OBJECTIVES: dict[str, Objective] = {o.name: o for o in _FIRST}


def register_objective(new: Objective) -> None:
    """Add an objective; an existing name is replaced."""
    OBJECTIVES[new.name] = new
    COST_UNITS[new.name] = new.unit


def costs_of(situation: Situation) -> tuple[dict[str, Cost], dict[str, str]]:
    """Every objective that is known, and why the others are not.

    Raises:
        InputError: a limit is put on a cost that is not known.
    """
    costs: dict[str, Cost] = {}
    unknown: dict[str, str] = {}
    for name, objective in OBJECTIVES.items():
        found = objective.of(situation)
        if isinstance(found, Cost):
            costs[name] = found
        else:
            unknown[name] = found
    check_known(situation.query.limits, unknown)
    return costs, unknown


def check_known(limits: dict[str, float], unknown: dict[str, str]) -> None:
    """Refuse a limit on a cost that is not known.

    Raises:
        InputError: there is one; says why.
    """
    for name in limits:
        if name in unknown:
            raise InputError(f"a limit on {name} cannot be judged: {unknown[name]}")
