"""Every configuration that could be the answer, with its predicted error and its costs.

Joins the law, the costs and the latency model into one `CandidateTable`; knows no SQL.

FLOPs and latency are those of one utterance unless the query says `window`: an utterance of S seconds
takes ceil(S / x_T) consecutive windows, averaged over the utterances that were scored. Its output
tokens are shared out over the windows. Latency of an utterance is the number of windows times the
quantile of one window: for p95 that is conservative, as slow windows rarely come together.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from planner import catalogue
from planner.belief import belief, measurements
from planner.costs.flops import encoder_tokens
from planner.costs.latency import LatencyModel
from planner.dimensions import axis_values as axis_values
from planner.dimensions import config_from, config_of, dimensions
from planner.errors import InputError, OutsideDataError
from planner.evidence import Evidence
from planner.laws.result import LawFit
from planner.objectives import Situation, costs_of
from planner.plan.query import CandidateTable, Config, Floats, PlanQuery
from planner.records import Adaptation, Reduction

MAX_DISTANCE = math.log(4.0)
"""ln distance outside the data to which a law is trusted: four times, as far as intervals are checked
where no form holds the truth (tests/benchmarks/wrong_forms.py)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What an utterance is: seconds of those that were scored, and output tokens.

    Attributes:
        seconds: durations of utterances, empty when unknown (each then takes one window).
        output_tokens: mean output tokens of an utterance; source says where the number is from.
        windows_at: windows of an utterance as measured, by x_T: audio is cut at pauses, so that
            there are some more than seconds / x_T.
    """

    seconds: tuple[float, ...]
    output_tokens: float
    source: str
    windows_at: dict[float, float] = field(default_factory=dict)

    def windows(self, audio_seconds: float) -> float:
        """Mean number of windows that an utterance takes at x_T."""
        if audio_seconds in self.windows_at:
            return self.windows_at[audio_seconds]
        return max(1.0, self._ceiling(audio_seconds) * self._surplus())

    def _ceiling(self, audio_seconds: float) -> float:
        if not self.seconds:
            return 1.0
        return float(np.mean([max(1, math.ceil(s / audio_seconds - 1e-9)) for s in self.seconds]))

    def _surplus(self) -> float:
        """Windows measured over windows by length alone, averaged over the lengths measured."""
        if not self.windows_at:
            return 1.0
        return float(np.mean([n / self._ceiling(t) for t, n in self.windows_at.items()]))


def configs_of(evidence: Evidence, query: PlanQuery, ran: Sequence[Config]) -> tuple[Config, ...]:
    """The finite set: those listed, the measured ones, or every combination of the levels seen.

    With `grid` there are levels between those of the runs. What lies more than MAX_DISTANCE outside the
    data is left out, unless the query says `extrapolate`.

    Raises:
        InputError: a listed configuration cannot be read, or is not possible.
    """
    measured = dict.fromkeys(ran)
    padding = evidence.rows[0].trial.padding
    if query.candidates:
        first = ran[0]
        return tuple(dict.fromkeys(_listed(text, first) for text in query.candidates))
    if query.measured_only:
        return tuple(measured)
    levels = {}
    for d in dimensions():
        seen = d.ordered(c.value(d.name) for c in measured)
        levels[d.name] = d.finer(seen) if query.grid else seen
    out = dict(measured)
    for combination in itertools.product(*levels.values()):
        config = config_from(dict(zip(levels, combination, strict=True)), padding)
        if config not in out and possible(config):
            out[config] = None
    return tuple(out)


def _listed(text: str, like: Config) -> Config:
    """A configuration from `backbone,audio_seconds,reduction[,adaptation]`, the rest as in `like`."""
    parts = [p.strip() for p in text.split(",")]
    try:
        backbone, seconds, reduction, *rest = parts
        config = dataclasses.replace(
            like,
            backbone=catalogue.backbone(backbone).name,
            audio_seconds=float(seconds),
            reduction=Reduction.parse(reduction),
            adaptation=Adaptation.parse(rest[0]) if rest and rest[0] else like.adaptation,
        )
    except ValueError as problem:
        raise InputError(
            f"candidate {text!r} cannot be read: {problem}; write backbone,audio_seconds,reduction"
        ) from None
    encoder_tokens(
        catalogue.backbone(config.backbone), config.audio_seconds, config.reduction, config.padding
    )
    return config


def possible(config: Config) -> bool:
    """Whether the backbone takes that window and has that layer."""
    try:
        encoder_tokens(
            catalogue.backbone(config.backbone),
            config.audio_seconds,
            config.reduction,
            config.padding,
        )
    except InputError:
        return False
    return True


def build(
    query: PlanQuery,
    evidence: Evidence,
    fit: LawFit,
    workload: Workload,
    latency: LatencyModel | None,
    configs: Sequence[Config] | None = None,
) -> CandidateTable:
    """The table that the planner chooses from; every number is computed here, none is stored twice.

    Raises:
        OutsideDataError: everything that could be chosen lies too far outside the data.
    """
    ran = [config_of(r.trial) for r in evidence.rows]
    chosen = tuple(configs if configs is not None else configs_of(evidence, query, ran))
    x = np.array([axis_values(c, evidence.axes) for c in chosen], dtype=np.float64)
    distance = fit.distance(x).max(axis=1)
    if not query.extrapolate:
        near = distance <= MAX_DISTANCE
        if not near.any():
            raise OutsideDataError(_too_far(chosen, distance))
        chosen = tuple(c for c, keep in zip(chosen, near, strict=True) if keep)
        x, distance = x[near], distance[near]
    n_windows = _windows(query, workload, chosen)
    situation = Situation(
        query=query, evidence=evidence, configs=chosen, ran=ran, n_windows=n_windows,
        tokens=_tokens(query, workload, evidence, chosen, ran), latency=latency,
    )  # fmt: skip
    costs, unknown = costs_of(situation)
    measured = measurements(evidence, chosen, ran)
    labels = [c.label for c in chosen]
    found = belief(fit, x, labels, measured, query.n_draws, query.seed, query.level)
    return CandidateTable(
        configs=chosen,
        error=found.error,
        error_low=found.low,
        error_high=found.high,
        draws=found.draws,
        least_draw=found.least_draw,
        own_weight=found.own_weight,
        costs=costs,
        run_ids=measured.run_ids,
        measured_error=measured.error,
        distance=distance,
        n_windows=n_windows,
        unknown=unknown,
    )


def _too_far(configs: Sequence[Config], distance: Floats) -> str:
    j = int(distance.argmin())
    return (
        f"{configs[j].label} lies {math.exp(distance[j]):.3g}x outside the measured range, and laws are "
        f"trusted to {math.exp(MAX_DISTANCE):.3g}x; run something nearer, or ask with --extrapolate"
    )


def _asked(query: PlanQuery, workload: Workload) -> Workload:
    """What an utterance is under the question: its length and output tokens where they are given."""
    seconds, windows_at = workload.seconds, workload.windows_at
    if query.utterance_seconds:
        seconds, windows_at = (query.utterance_seconds,), {}
    tokens = query.output_tokens or workload.output_tokens
    return Workload(
        seconds=seconds, output_tokens=tokens, source=workload.source, windows_at=windows_at
    )


def _windows(query: PlanQuery, workload: Workload, configs: Sequence[Config]) -> Floats:
    """Windows of one utterance at each candidate, shape (m,)."""
    if query.per == "window":
        return np.ones(len(configs))
    asked = _asked(query, workload)
    by_length = {s: asked.windows(s) for s in {c.audio_seconds for c in configs}}
    return np.array([by_length[c.audio_seconds] for c in configs])


def _tokens(
    query: PlanQuery,
    workload: Workload,
    evidence: Evidence,
    configs: Sequence[Config],
    ran: Sequence[Config],
) -> list[int]:
    """Output tokens of one window of each candidate, length m.

    Those given are shared over the utterance's windows; else a run's own mean, else those of a scored
    utterance shared over its windows.
    """
    own = {c: r.mean_output_tokens for c, r in zip(ran, evidence.rows, strict=True)}
    shared_by = _asked(query, workload) if query.output_tokens else workload
    total = shared_by.output_tokens
    shared = {s: total / shared_by.windows(s) for s in {c.audio_seconds for c in configs}}
    out = []
    for config in configs:
        measured = None if query.output_tokens else own.get(config)
        tokens = shared[config.audio_seconds] if measured is None else measured
        out.append(max(round(tokens), 1) if total else 0)
    return out
