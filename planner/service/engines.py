"""Which engines and precisions a question is about, and what was measured of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine

from planner.costs.latency.measured import configuration
from planner.costs.latency.model import LatencyModel, fit_latency_model
from planner.costs.latency.transfer import transfer_model
from planner.errors import InputError, UnknownNameError
from planner.evidence.study import Evidence
from planner.plan.engines import Deployed
from planner.service.devices import OWN_MODEL
from planner.store.engine_results import StoredEngineLatency, engine_latencies
from planner.store.read_engines import engine_scores
from planner.words.catalogue import Catalogue
from planner.words.engine_records import OWN_ENGINE, EngineScore
from planner.words.question import PlanQuery
from planner.words.records import Latency

ANY = "any"
OWN_PRECISION = "float32"
"""Of the weights by which trials are scored."""
SHORT = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
"""Short names of precisions."""
REMEDY = "measure it with: soundscale export RUN --to FORMAT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """The engines of a question.

    Attributes:
        chosen: in the order of their names; None stands for torch, by which trials are scored.
        last: keys of the last score and latency that were looked at; None where no other engine was.
    """

    chosen: tuple[Deployed | None, ...] = (None,)
    last: tuple[int, int] | None = None


Key = tuple[str, str]
"""Engine and precision."""


def engines_of(
    engine: Engine,
    query: PlanQuery,
    evidence: Evidence,
    own_latency: LatencyModel | None,
    last: tuple[int, int] | None = None,
) -> Engines:
    """The engines that the question names, with scores and the model of latency of each.

    Args:
        engine: the database.
        query: resolved: its device is the one that latency is meant on.
        evidence: the runs that the law was learned from.
        own_latency: the model of the device by torch, scaled where an engine was hardly measured.
        last: keys of the last score and latency that an earlier answer knew.

    Raises:
        UnknownNameError: an engine or precision that was not measured.
        InputError: none was measured as asked.
    """
    if query.engine is None and query.precision is None:
        return Engines()
    scores = _scores(engine, evidence, last)
    timed = _timed(engine, query.device, last)
    needs = own_latency is not None or bool(timed)
    own = (OWN_ENGINE, OWN_PRECISION)
    # What was scored and not timed on this device has no place beside what was.
    there = sorted(key for key in scores if key in timed or not needs)
    if own_latency is not None or not needs:
        there = sorted({own, *there})
    wanted = _wanted(query, there)
    chosen = tuple(
        None
        if key == own
        else Deployed(
            engine=key[0], precision=key[1], scores=tuple(scores[key]),
            latency=model_of_engine(timed.get(key, []), own_latency, evidence.catalogue),
        )
        for key in wanted
    )  # fmt: skip
    return Engines(chosen=chosen, last=_last(scores, timed))


def _scores(
    engine: Engine, evidence: Evidence, last: tuple[int, int] | None
) -> dict[Key, list[EngineScore]]:
    """What the study's exports scored, by engine and precision."""
    run_ids = [r.run_id for r in evidence.rows]
    study, newest = evidence.study, None if last is None else last[0]
    out: dict[Key, list[EngineScore]] = {}
    for score in engine_scores(engine, run_ids, study.split, study.metric, newest):
        out.setdefault((score.engine, score.precision), []).append(score)
    return out


def _timed(
    engine: Engine, device: str | None, last: tuple[int, int] | None
) -> dict[Key, list[StoredEngineLatency]]:
    """What was timed on the device, by engine and precision."""
    out: dict[Key, list[StoredEngineLatency]] = {}
    for one in [] if device is None else engine_latencies(engine, device):
        if last is None or one.engine_latency_id <= last[1]:
            out.setdefault((one.measured.engine, one.measured.latency.dtype), []).append(one)
    return out


def _last(
    scores: dict[Key, list[EngineScore]], timed: dict[Key, list[StoredEngineLatency]]
) -> tuple[int, int]:
    """Keys of the last score and latency, 0 where there is none: what a replay goes up to."""
    score_ids = [s.engine_evaluation_id for each in scores.values() for s in each]
    latency_ids = [t.engine_latency_id for each in timed.values() for t in each]
    return max(score_ids, default=0), max(latency_ids, default=0)


def names(text: str | None) -> tuple[str, ...]:
    """Names with commas between; `any` and nothing said are all, which is empty.

    >>> names("int8, fp32")
    ('int8', 'float32')
    """
    listed = [part.strip() for part in (text or ANY).split(",") if part.strip()]
    return () if ANY in listed else tuple(dict.fromkeys(SHORT.get(one, one) for one in listed))


def _wanted(query: PlanQuery, there: Sequence[Key]) -> list[Key]:
    """The measured pairs that the question names."""
    engines, precisions = names(query.engine), names(query.precision)
    for kind, asked, known in (
        ("engine", engines, {e for e, _ in there}),
        ("precision", precisions, {p for _, p in there}),
    ):
        for one in asked:
            if one not in known:
                raise UnknownNameError(kind, one, sorted(known), remedy=REMEDY)
    wanted = [
        (e, p)
        for e, p in there
        if (not engines or e in engines) and (not precisions or p in precisions)
    ]
    if not wanted:
        raise InputError(
            f"no run was scored in {query.engine or ANY} at {query.precision or ANY}; there are: "
            f"{', '.join(f'{e} {p}' for e, p in there)}; {REMEDY}"
        )
    return wanted


def model_of_engine(
    timed: Sequence[StoredEngineLatency], own: LatencyModel | None, catalogue: Catalogue
) -> LatencyModel | None:
    """The engine's own model from enough configurations, else torch's scaled to those that there are."""
    if not timed:
        return None
    # What the newest version takes; an older one was another program.
    version = timed[-1].measured.engine_version
    kept = [_as_measured(t) for t in timed if t.measured.engine_version == version]
    enough = len({configuration(m) for m in kept}) >= OWN_MODEL
    if enough or own is None:
        return fit_latency_model(kept, catalogue=catalogue)
    return transfer_model(own, kept, catalogue=catalogue)


def _as_measured(one: StoredEngineLatency) -> Latency:
    """The latency under the engine's one condition, whatever else its measurement named."""
    return dataclasses.replace(one.measured.latency, attention=one.measured.engine)
