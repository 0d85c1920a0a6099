"""What a question is asked under: the device, its latencies, and what an utterance is."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine

from planner.costs.flops.forward import resolve_convention
from planner.costs.latency.data_sheets import DATA_SHEETS
from planner.costs.latency.model import LatencyModel
from planner.errors import InputError, UnknownNameError
from planner.evidence.study import Evidence
from planner.plan.workload import Workload
from planner.service import devices
from planner.store import read
from planner.store.device_sheets import data_sheet
from planner.store.row_types import StoredLatency
from planner.words.question import PlanQuery
from planner.words.records import IMPORTED, Latency

DEFAULT_OUTPUT_TOKENS_PER_SECOND = 3.3
"""Output tokens for each second of speech where no run tells: assumption (English, 2.8 words/s in
LibriSpeech dev-clean by its manifest, about 1.2 tokens a word)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AsOf:
    """What an earlier answer knew: the runs its law looked at, the last measurement, and the law.

    `engines` are the last score and latency in other engines, `by_window` says that latency was windows
    times the quantile of one, `untold_as_none` that a latency without output tokens was of none.
    `set_fits` are the laws of further test sets that the question has rules for.
    Without `fit_id` the law of those runs is fitted by this version of the code.
    """

    run_ids: frozenset[int]
    latency_id: int | None
    fit_id: str | None = None
    engines: tuple[int, int] = (0, 0)
    by_window: bool = False
    untold_as_none: bool = False
    set_fits: tuple[str, ...] | None = None


def resolved(engine: Engine, query: PlanQuery) -> PlanQuery:
    """The query with its convention's full name and the device that latency is meant on."""
    convention = resolve_convention(query.convention)
    return dataclasses.replace(query, convention=convention, device=device_of(engine, query))


def device_of(engine: Engine, query: PlanQuery) -> str | None:
    """The device that latency is asked for: named, or the only one that was measured."""
    measured = devices.measured_names(engine)
    if query.device is not None:
        require_device(engine, query.device, measured)
        return query.device
    if len(measured) == 1:
        return measured[0]
    if query.latency_ms is None:
        return None
    if not measured:
        raise InputError(
            "a latency limit needs a device with measurements and the database has none; "
            "run a sweep or soundscale probe on the device"
        )
    raise InputError(
        f"a latency limit needs a device; say --device with one of {', '.join(measured)}"
    )


def require_device(engine: Engine, name: str, measured: Sequence[str]) -> None:
    """A device that was measured, or whose data sheet is known.

    Raises:
        UnknownNameError: it is neither.
    """
    if name not in measured and data_sheet(engine, name) is None:
        sheets = f"data sheets are known of {', '.join(sorted(DATA_SHEETS))}"
        remedy = f"measure it with: soundscale probe, or soundscale devices add; {sheets}"
        raise UnknownNameError("device", name, measured, remedy=remedy)


def latencies_of(
    engine: Engine, query: PlanQuery, as_of: AsOf | None = None
) -> list[StoredLatency]:
    """Measurements on the query's device, those of an earlier answer alone where asked."""
    if query.device is None:
        return []
    stored = read.latencies(engine, device=query.device)
    if as_of is None:
        return stored
    return [s for s in stored if s.latency_id <= (as_of.latency_id or 0)]


def latency_model(
    engine: Engine,
    query: PlanQuery,
    stored: list[StoredLatency],
    evidence: Evidence,
    as_of: AsOf | None = None,
) -> LatencyModel | None:
    """The model of the query's device, None where latency is not asked on any.

    What requests took is known of the study's own utterances alone: runs on others tell of windows. A latency that
    a table told of a run of the study without its output tokens is of those that the study's utterances have.
    """
    if query.device is None:
        return None
    own = {row.run_id for row in evidence.rows}
    known = [s.latency if s.run_id in own else _of_a_window(s.latency) for s in stored]
    untold = {s.latency_id for s in stored if s.run_id in own and _untold(s.latency)}
    if untold and not (as_of and as_of.untold_as_none):
        workload = workload_of(engine, evidence)
        known = [
            _with_tokens(m, workload) if s.latency_id in untold else m
            for s, m in zip(stored, known, strict=True)
        ]
    return devices.model_of(engine, query.device, known)


def _untold(latency: Latency) -> bool:
    """Whether a table told a latency and not what was written in that time."""
    return latency.method.startswith(IMPORTED) and latency.n_output_tokens == 0


def _with_tokens(latency: Latency, workload: Workload) -> Latency:
    """The latency as one of a window with the study's own output; of a task without a decoder as it is."""
    tokens = round(workload.output_tokens / workload.windows(latency.audio_seconds))
    return dataclasses.replace(latency, n_output_tokens=tokens)


def _of_a_window(latency: Latency) -> Latency:
    return dataclasses.replace(latency, request_p50_ms=None, request_p95_ms=None)


def workload_of(engine: Engine, evidence: Evidence) -> Workload:
    """Durations and output tokens of the utterances that the study scored."""
    rows = evidence.rows
    means = [
        r.mean_output_tokens * (r.mean_windows or 1.0)
        for r in rows
        if r.mean_output_tokens is not None
    ]
    windows_at = {r.setup.audio_seconds: r.mean_windows for r in rows if r.mean_windows is not None}
    sizes = read.utterance_sizes(engine, rows[0].run_id, evidence.study.split or None)
    seconds = tuple(size[0] for size in sizes)
    tokens_each = tuple(float(size[1] or 0) for size in sizes)
    if evidence.study.task != "asr":
        return Workload(seconds=seconds, output_tokens=0.0, source="no decoder", as_scored=True)
    if means:
        mean = sum(means) / len(means)
        source = f"measured mean of {len(means)} runs"
        return Workload(
            seconds=seconds, output_tokens=mean, source=source, tokens=tokens_each, as_scored=True,
            windows_at=windows_at,
        )  # fmt: skip
    longest = max(r.setup.audio_seconds for r in rows)
    length = sum(seconds) / len(seconds) if seconds else longest
    tokens = DEFAULT_OUTPUT_TOKENS_PER_SECOND * length
    return Workload(seconds=seconds, output_tokens=tokens, source="assumption")
