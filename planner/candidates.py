"""Every configuration that could be the answer, with its predicted error and its costs.

Joins the law, the costs and the latency model into one `CandidateTable`; knows no SQL.

FLOPs and latency are those of one utterance unless the query says `window`: an utterance of S seconds
takes ceil(S / x_T) consecutive windows, averaged over the utterances that were scored. Its output
tokens are shared out over the windows. Latency of an utterance is the number of windows times the
quantile of one window: for p95 that is conservative, as slow windows rarely come together.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from planner import catalogue
from planner.belief import belief, config_of, measurements
from planner.costs.flops import encoder_tokens, forward_flops, resolve_convention
from planner.costs.latency import LatencyModel
from planner.costs.memory import inference_memory
from planner.errors import InputError
from planner.evidence import Evidence
from planner.laws.result import LawFit
from planner.plan.query import CandidateTable, Config, Cost, Floats, PlanQuery
from planner.records import Adaptation, Reduction


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


def configs_of(evidence: Evidence, query: PlanQuery) -> tuple[Config, ...]:
    """The finite set: the measured configurations, or every combination of the levels seen."""
    measured = dict.fromkeys(config_of(r) for r in evidence.rows)
    if query.measured_only:
        return tuple(measured)
    first = evidence.rows[0].trial
    axes = (
        sorted({r.trial.backbone for r in evidence.rows}),
        sorted({r.trial.audio_seconds for r in evidence.rows}),
        sorted({r.trial.reduction for r in evidence.rows}, key=lambda v: (v.factor, str(v))),
        dict.fromkeys(r.trial.adaptation for r in evidence.rows),
    )
    out = dict(measured)
    for name, seconds, reduction, adaptation in itertools.product(*axes):
        config = Config(
            backbone=name, audio_seconds=seconds, reduction=reduction, adaptation=adaptation,
            padding=first.padding,
        )  # fmt: skip
        if _possible(config):
            out[config] = None
    return tuple(out)


def _possible(config: Config) -> bool:
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


def axis_values(config: Config, axes: Sequence[str]) -> list[float]:
    """A configuration's coordinates on the axes of a law."""
    adaptation: Adaptation = config.adaptation
    reduction: Reduction = config.reduction
    values = {
        "n_params": float(catalogue.backbone(config.backbone).n_params),
        "audio_seconds": config.audio_seconds,
        "tokens_per_second": reduction.tokens_per_second,
        "lora_rank": float(adaptation.lora_rank or 0),
        "top_k_layers": float(adaptation.top_k_layers),
    }
    unknown = [a for a in axes if a not in values]
    if unknown:
        raise InputError(
            f"axis {unknown[0]} is not a property of a configuration, so no plan can be made on it; "
            "fit on the compute axes"
        )
    return [values[a] for a in axes]


def build(
    query: PlanQuery,
    evidence: Evidence,
    fit: LawFit,
    workload: Workload,
    latency: LatencyModel | None,
    configs: Sequence[Config] | None = None,
) -> CandidateTable:
    """The table that the planner chooses from; every number is computed here, none is stored twice."""
    chosen = tuple(configs if configs is not None else configs_of(evidence, query))
    x = np.array([axis_values(c, evidence.axes) for c in chosen], dtype=np.float64)
    n_windows = _windows(query, workload, chosen)
    tokens = _tokens(query, workload, evidence, chosen)
    costs = {"flops": _flops(query, chosen, n_windows, tokens)}
    costs["memory_bytes"] = _memory(chosen, tokens)
    if latency is not None:
        costs["latency_ms"] = _latency(query, latency, chosen, n_windows, tokens)
    measured = measurements(evidence, chosen)
    error, draws = belief(fit, x, [c.label for c in chosen], measured, query.n_draws, query.seed)
    tail = (1 - query.level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    return CandidateTable(
        configs=chosen,
        error=error,
        error_low=np.minimum(low, error),
        error_high=np.maximum(high, error),
        draws=draws,
        costs=costs,
        run_ids=measured.run_ids,
        measured_error=measured.error,
        distance=fit.distance(x).max(axis=1),
        n_windows=n_windows,
    )


def _windows(query: PlanQuery, workload: Workload, configs: Sequence[Config]) -> Floats:
    """Windows of one utterance at each candidate, shape (m,)."""
    if query.per == "window":
        return np.ones(len(configs))
    asked = workload
    if query.utterance_seconds:
        length = query.utterance_seconds
        asked = Workload(
            seconds=(length,), output_tokens=workload.output_tokens, source=workload.source
        )
    by_length = {c.audio_seconds: asked.windows(c.audio_seconds) for c in configs}
    return np.array([by_length[c.audio_seconds] for c in configs])


def _tokens(
    query: PlanQuery, workload: Workload, evidence: Evidence, configs: Sequence[Config]
) -> list[int]:
    """Output tokens of one window: given, else a run's own mean, else the utterance's shared out."""
    own = {config_of(r): r.mean_output_tokens for r in evidence.rows}
    total = query.output_tokens or workload.output_tokens
    out = []
    for config in configs:
        measured = None if query.output_tokens else own.get(config)
        shared = total / workload.windows(config.audio_seconds)
        tokens = shared if measured is None else measured
        out.append(max(round(tokens), 1) if total else 0)
    return out


def _flops(
    query: PlanQuery, configs: Sequence[Config], n_windows: Floats, tokens: Sequence[int]
) -> Cost:
    convention = resolve_convention(query.convention)
    value = []
    for config, windows, n in zip(configs, n_windows.tolist(), tokens, strict=True):
        one = forward_flops(
            catalogue.backbone(config.backbone),
            audio_seconds=config.audio_seconds,
            reduction=config.reduction,
            n_output_tokens=n,
            padding=config.padding,
            convention=convention,
            task=query.task,
        )
        value.append(one.total * windows)
    return Cost.exact("flops", np.array(value, dtype=np.float64), convention)


def _memory(configs: Sequence[Config], tokens: Sequence[int]) -> Cost:
    value = [
        inference_memory(
            catalogue.backbone(c.backbone),
            audio_seconds=c.audio_seconds,
            reduction=c.reduction,
            n_output_tokens=n,
            padding=c.padding,
        ).total
        for c, n in zip(configs, tokens, strict=True)
    ]
    return Cost.exact("memory_bytes", np.array(value, dtype=np.float64), "closed form")


def _latency(
    query: PlanQuery,
    model: LatencyModel,
    configs: Sequence[Config],
    n_windows: Floats,
    tokens: Sequence[int],
) -> Cost:
    if query.quantile not in ("p50", "p95"):
        raise InputError(
            f"latency is predicted at p50 and p95, not {query.quantile}; ask with --quantile p95"
        )
    value, low, high, source = [], [], [], []
    for config, windows, n in zip(configs, n_windows.tolist(), tokens, strict=True):
        one = model.predict(
            catalogue.backbone(config.backbone),
            config.audio_seconds,
            config.reduction,
            n,
        )
        q = query.quantile
        value.append(getattr(one, f"{q}_ms") * windows)
        low.append(getattr(one, f"{q}_low_ms") * windows)
        high.append(getattr(one, f"{q}_high_ms") * windows)
        source.append(one.source)
    return Cost(
        name="latency_ms", value=np.array(value), low=np.array(low), high=np.array(high),
        source=tuple(source),
    )  # fmt: skip
