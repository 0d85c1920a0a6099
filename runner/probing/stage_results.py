"""From a stage's turns to the latencies of its runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from planner.store import read
from planner.store.latency_stages import TurnRow
from planner.words.engine_records import OWN_ENGINE, EngineLatency
from planner.words.records import IN_TURNS, Device, Latency
from runner.probing.contestants import Contestant
from runner.trial.quantiles import measured, whole_tokens
from runner.trial.timing import Floats, TimedRequest

if TYPE_CHECKING:
    from sqlalchemy import Engine


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the measuring process says of a contestant (`runner.probing.stage_child.Loaded.facts`)."""

    contestant: str
    device: Mapping[str, Any]
    engine_version: str
    attention: str
    stages: list[str]
    n_windows: dict[str, int]
    n_timed: int
    n_warmup: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The latency of one run; in another engine than torch, `in_engine` says of which."""

    key: str
    run_id: int
    latency: Latency
    in_engine: EngineLatency | None = None


def results_of(
    engine: Engine, contestant: Contestant, facts: Facts, turns: Sequence[TurnRow]
) -> list[Measured]:
    """The latency of a contestant's run, and of each run that it stands for, with its own tokens."""
    taken = [timed_request(t) for t in turns if t.contestant == contestant.key]
    if not taken:
        return []
    found = [_result(contestant, facts, taken)]
    for run_id in contestant.also:
        scored = read.utterances(engine, run_id)
        mean = read.run(engine, run_id).mean_output_tokens
        same = dataclasses.replace(
            contestant,
            run_id=run_id,
            utterances=tuple((u.utterance_id, u.audio_seconds, u.n_output_tokens) for u in scored),
            mean_output_tokens=mean,
        )
        found.append(_result(same, facts, taken))
    return found


def timed_request(turn: TurnRow) -> TimedRequest:
    """A stored turn as `runner.trial.timing` made it."""
    timed = turn.timed
    return TimedRequest(
        round=turn.round,
        n_output_tokens=tuple(timed["n_output_tokens"]),
        stages_ms=np.array(timed["stages_ms"], dtype=np.float64),
        wall_seconds=timed["wall_seconds"],
        processor_seconds=timed["processor_seconds"],
    )


def sizes_of(contestant: Contestant, n_windows: Mapping[str, int]) -> Floats:
    """Windows and output tokens of each utterance whose windows were counted, shape (n, 2)."""
    return np.array(
        [
            (n_windows[name], tokens or 0)
            for name, _, tokens in contestant.utterances
            if name in n_windows
        ],
        dtype=np.float64,
    )


def _result(contestant: Contestant, facts: Facts, taken: Sequence[TimedRequest]) -> Measured:
    trial, device = contestant.trial, Device(**facts.device)
    n_tokens = whole_tokens(contestant.mean_output_tokens)
    told = measured(
        taken, sizes_of(contestant, facts.n_windows), n_tokens, facts.stages,
        alone=True, on_cpu=device.kind == "cpu",
    )  # fmt: skip
    latency = Latency(
        device=device,
        backbone=trial.backbone,
        audio_seconds=trial.audio_seconds,
        reduction=trial.reduction,
        n_output_tokens=n_tokens,
        n_warmup=facts.n_warmup,
        dtype=contestant.precision,
        attention=facts.attention,
        kv_cache=trial.decoding.kv_cache,
        **told | {"method": told["method"] + IN_TURNS},
    )
    in_engine = None
    if contestant.engine != OWN_ENGINE:
        in_engine = EngineLatency(
            engine=contestant.engine,
            engine_version=facts.engine_version,
            n_threads=max(1, int(contestant.resources.cpus)),
            latency=latency,
        )
    return Measured(
        key=contestant.key, run_id=contestant.run_id, latency=latency, in_engine=in_engine
    )
