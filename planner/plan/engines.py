"""Candidates in other engines and precisions: every configuration crossed with what was measured of them.

The error of a configuration in an engine is its error as trials are scored (in torch), draw by draw, times
exp(offset) of the engine and precision (planner.evidence.paired.engine_offset): the draws of a configuration in
two engines hold the same draw of its law, of its own deviation and of the test set, which cancel in their
difference. FLOPs and the cost of training are the same; latency is by the engine's own model of stages, size
and memory by its files.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from planner.costs.latency.model import LatencyModel
from planner.costs.memory.parameters import held_parameters
from planner.costs.memory.peak import BYTES, inference_bytes
from planner.costs.windows import windows_of
from planner.evidence.paired.engine_offset import Offset, offset
from planner.evidence.study import Evidence
from planner.plan.belief import LARGEST_LOG, quantiles
from planner.plan.configurations import Config, config_of
from planner.plan.cost import Cost, Floats
from planner.plan.deployment import Z95
from planner.plan.objectives import costs_of
from planner.plan.situation import Situation
from planner.plan.streams import Streams
from planner.plan.table import CandidateTable
from planner.words.engine_records import EngineScore
from planner.words.student import t_quantile

FILE_SD = 0.05
"""Spread in ln of a file's size that is told from other configurations' (assumption: names and alignment)."""
PEAK_SD = 0.2
"""Spread in ln of a process's peak memory that is told from other configurations' (assumption)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """What was measured of one engine and precision.

    Attributes:
        scores: of exports of the study's runs.
        latency: the engine's model of the device; None where no latency is asked for.
    """

    engine: str
    precision: str
    scores: tuple[EngineScore, ...]
    latency: LatencyModel | None

    @property
    def name(self) -> str:
        """`ctranslate2 int8`."""
        return f"{self.engine} {self.precision}"

    @property
    def extra(self) -> tuple[tuple[str, str], ...]:
        """The levels of its configurations."""
        return ("engine", self.engine), ("precision", self.precision)


def offset_of(deployed: Deployed, evidence: Evidence) -> Offset:
    """The offset of its error, from the exports of the runs that the law was learned from."""
    configs = {r.run_id: config_of(r.trial) for r in evidence.rows}
    return offset(deployed.scores, configs, evidence.study.task, deployed.precision)


def crossed(
    own: CandidateTable, situation: Situation, engines: Sequence[Deployed | None]
) -> CandidateTable:
    """The candidates of each of the engines, one after another; None stands for those as trials are scored."""
    parts = [own if one is None else _deployed(own, situation, one) for one in engines]
    if len(parts) == 1:
        return dataclasses.replace(parts[0], hidden=frozenset())
    known = [n for n in parts[0].costs if all(n in p.costs for p in parts)]
    unknown = {n: why for p in parts for n, why in p.unknown.items()}

    columns: dict[str, Any] = {
        name: np.concatenate([getattr(p, name) for p in parts]) for name in _COLUMNS
    }
    rows = np.concatenate([p.draws.T for p in parts])
    return CandidateTable(
        configs=tuple(c for p in parts for c in p.configs),
        draws=rows.T,
        costs={n: _end_to_end([p.costs[n] for p in parts]) for n in known},
        unknown=unknown,
        run_ids=tuple(r for p in parts for r in p.run_ids),
        **columns,
    )


_COLUMNS = (
    "error", "error_low", "error_high", "measured_error", "distance", "n_windows", "least_draw",
    "own_weight", "same_low", "same_high",
)  # fmt: skip


def _deployed(own: CandidateTable, situation: Situation, deployed: Deployed) -> CandidateTable:
    """The same configurations in one engine and precision."""
    configs = tuple(dataclasses.replace(c, extra=(*c.extra, *deployed.extra)) for c in own.configs)
    found = offset_of(deployed, situation.evidence)
    there = dataclasses.replace(situation, configs=configs, latency=deployed.latency)
    costs, unknown = costs_of(there)
    _by_files(costs, own, situation, deployed)
    measured = _measured(own.configs, situation, deployed)
    return dataclasses.replace(
        own, configs=configs, costs=costs, unknown=unknown, hidden=frozenset(),
        run_ids=tuple(ids for ids, _ in measured),
        measured_error=np.array([error for _, error in measured]),
        own_weight=np.where([bool(ids) for ids, _ in measured], own.own_weight, 0.0),
        **_errors(own, situation, deployed, found),
    )  # fmt: skip


def _errors(
    own: CandidateTable, situation: Situation, deployed: Deployed, found: Offset
) -> dict[str, Any]:
    """Expected error, its intervals and draws."""
    query = situation.query
    believed = np.array([found.believed(c) for c in own.configs])
    moved, spread = believed[:, 0], believed[:, 1]
    streams = Streams(query.n_draws, query.seed)
    labels = [f"{c.label} in {deployed.name}" for c in own.configs]
    common = (found.sd * streams.of([deployed.name])[0]).astype(np.float32)
    weight = np.array([found.share(c) for c in own.configs], dtype=np.float32)
    left = (found.between * np.sqrt(1.0 - weight)).astype(np.float32)
    shifts = moved.astype(np.float32)[:, None] + (1 - weight[:, None]) * common
    shifts += left[:, None] * streams.of(labels)
    rows = np.minimum(own.draws.T * np.exp(shifts), np.float32(math.exp(LARGEST_LOG)))
    bounds = quantiles(rows, query.level)
    error = np.minimum(own.error * np.exp(moved), math.exp(LARGEST_LOG))
    z = t_quantile(0.5 + 0.5 * query.level, math.inf)
    centre = 0.5 * (np.log(own.same_low) + np.log(own.same_high)) + moved
    half = np.hypot(0.5 * np.log(own.same_high / own.same_low), z * spread)
    return {
        "error": error,
        "error_low": np.minimum(bounds[0], error),
        "error_high": np.maximum(bounds[1], error),
        "draws": rows.T,
        "least_draw": rows.min(axis=1),
        "same_low": np.exp(centre - half),
        "same_high": np.exp(np.minimum(centre + half, LARGEST_LOG)),
    }


def _measured(
    configs: Sequence[Config], situation: Situation, deployed: Deployed
) -> list[tuple[tuple[int, ...], float]]:
    """Runs of each configuration that were scored in the engine, and their mean error there."""
    at = {r.run_id: config_of(r.trial) for r in situation.evidence.rows}
    found: dict[Config, list[EngineScore]] = {}
    for score in deployed.scores:
        if score.run_id in at:
            found.setdefault(at[score.run_id], []).append(score)
    return [
        (
            tuple(s.run_id for s in found.get(c, ())),
            float(np.mean([s.error for s in found[c]])) if c in found else math.nan,
        )
        for c in configs
    ]


def _by_files(
    costs: dict[str, Cost], own: CandidateTable, situation: Situation, deployed: Deployed
) -> None:
    """Size and memory as the engine's files and processes came to, where some did."""
    at = {r.run_id: config_of(r.trial) for r in situation.evidence.rows}
    scored = {at[s.run_id]: s for s in deployed.scores if s.run_id in at}
    place = {c: j for j, c in enumerate(own.configs)}
    counted = {c: _counted(c, situation) for c in scored}
    sizes = {c: float(s.size_bytes) for c, s in scored.items() if s.size_bytes}
    peaks = {c: float(s.peak_memory_bytes) for c, s in scored.items() if s.peak_memory_bytes}
    closed = costs["size_bytes"].value
    if sizes:
        ratio = math.exp(float(np.mean([math.log(v / counted[c][0]) for c, v in sizes.items()])))
        said = f"by {len(sizes)} measured file{'s' * (len(sizes) > 1)}"
        known = {place[c]: v for c, v in sizes.items() if c in place}
        costs["size_bytes"] = _told("size_bytes", ratio * closed, known, FILE_SD, said)
    else:
        ratio = BYTES.get(deployed.precision, 4) / 4
        said = f"closed form, {deployed.precision}"
        costs["size_bytes"] = _told("size_bytes", ratio * closed, {}, 4 * FILE_SD, said)
    if peaks:
        # A process holds its libraries beside the model: the difference of two models is what is counted.
        beside = float(np.mean([v - counted[c][1] for c, v in peaks.items()]))
        closed = costs["memory_bytes"].value
        told = np.maximum(closed + beside, 0.25 * closed)
        said = f"by {len(peaks)} measured process{'es' * (len(peaks) > 1)}"
        known = {place[c]: v for c, v in peaks.items() if c in place}
        costs["memory_bytes"] = _told("memory_bytes", told, known, PEAK_SD, said)


def _counted(config: Config, situation: Situation) -> tuple[float, float]:
    """Bytes of the weights of a configuration, and of its inference, as counted in 32-bit numbers."""
    task = situation.query.task
    one = windows_of(
        situation.evidence.catalogue.backbone(config.backbone), [config.audio_seconds],
        config.reduction, n_output_tokens=int(np.median(situation.tokens)), padding=config.padding,
    )  # fmt: skip
    return 4.0 * float(held_parameters(one, task)[0]), float(inference_bytes(one, task)[0])


def _told(name: str, value: Floats, measured: Mapping[int, float], sd: float, said: str) -> Cost:
    """Measured where it was, else told from those with a spread."""
    spread, source = np.full(len(value), Z95 * sd), [said] * len(value)
    value = value.copy()
    for j, seen in measured.items():
        value[j], spread[j], source[j] = seen, 0.0, "measured"
    low, high = value * np.exp(-spread), value * np.exp(spread)
    return Cost(name=name, value=value, low=low, high=high, source=tuple(source))


def _end_to_end(parts: Sequence[Cost]) -> Cost:
    """One cost of all parts' candidates; counted alone, it stays exact."""
    value = np.concatenate([p.value for p in parts])
    source = tuple(s for p in parts for s in p.source)
    if all(p.low is p.high for p in parts):
        return Cost(name=parts[0].name, value=value, low=value, high=value, source=source)
    low, high = (np.concatenate([getattr(p, end) for p in parts]) for end in ("low", "high"))
    return Cost(name=parts[0].name, value=value, low=low, high=high, source=source)
