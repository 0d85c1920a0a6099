"""What a run's exported model came to in an engine: the frozen words between parity, store and planner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from planner.words.records import Device, Evaluation, Latency

OWN_ENGINE = "torch"
"""The engine of a run's own evaluation and latency."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A folder that a run's model was written to. `sha256` is of the names and digests of its files."""

    run_id: int
    format: str
    engine: str
    precision: str
    folder: str
    size_bytes: int
    sha256: str
    versions: dict[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineEvaluation:
    """How an export scored in its engine, paired with the run's own texts on the same utterances.

    Attributes:
        evaluation: counts and utterances, as of any evaluation.
        n_equal_texts: utterances whose text is the run's own, letter for letter.
        error_difference: this error less the run's own on the same utterances; `…_std_error` its paired
            standard error.
        window_ms, window_cpu_ms: of a window while scoring, batch 1: by the clock, and of the processor.
    """

    engine: str
    engine_version: str
    precision: str
    device: Device
    n_threads: int
    evaluation: Evaluation
    n_equal_texts: int | None = None
    error_difference: float | None = None
    error_difference_std_error: float | None = None
    size_bytes: int | None = None
    peak_memory_bytes: int | None = None
    window_ms: float | None = None
    window_cpu_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLatency:
    """One window's latency in an engine; `latency.dtype` is the precision."""

    engine: str
    engine_version: str
    n_threads: int
    latency: Latency


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineScore:
    """How a run scored in an engine at a precision, as the planner reads it.

    Attributes:
        error: on the utterances of the export's evaluation; n_units: what it is a share of.
        pairs: of each utterance that both scored: the run's errors, the export's, units, reference, speaker.
    """

    run_id: int
    engine: str
    engine_version: str
    precision: str
    engine_evaluation_id: int
    error: float
    n_units: int | None
    size_bytes: int | None = None
    peak_memory_bytes: int | None = None
    pairs: tuple[tuple[int, int, int, str, str | None], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BorderLoss:
    """What the borders of consecutive windows cost a run's model in an engine, on its test clips.

    Attributes:
        found: cut (what they are compared with), n_clips, n_borders, n_words, error_share, lost_share, std_error;
            see `runner.engines.borders`.
    """

    run_id: int
    engine: str
    precision: str
    engine_evaluation_id: int
    found: dict[str, Any]
