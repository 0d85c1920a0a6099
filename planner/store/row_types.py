"""What is read from the store: frozen rows with the columns' names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from planner.words.records import Latency, Resources, Trial

FitRun = tuple[int, bool, str | None]
"""A run that a fit looked at: its key, whether it was used, and why not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRow:
    """One run with its trial, the main error of its task and its own latency (view `v_results`).

    `error` is the trial's `metric` on the split `test` where there is one; `latency_*` is the run's
    own measurement of its own configuration at the smallest batch, on `latency_device`. `n_params` is
    the catalogue's count (x_N), `n_params_counted` the runner's.
    """

    run_id: int
    trial_id: int
    trial: Trial
    fingerprint: str | None = None
    state: str
    attempt: int
    status: str
    provenance: str
    source: str | None = None
    source_kind: str | None = None
    n_params: int
    tokens_per_second: float
    metric: str
    split: str | None = None
    error: float | None = None
    std_error: float | None = None
    n_units: int | None = None
    n_errors: int | None = None
    n_utterances: int | None = None
    n_broken: int | None = None
    selection: str | None = None
    audio_coverage: float | None = None
    speaker_overlap: int | None = None
    mean_output_tokens: float | None = None
    evaluation_details: dict[str, Any] = field(default_factory=dict)
    latency_device: str | None = None
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    device: str | None = None
    n_params_counted: int | None = None
    n_trainable: int | None = None
    train_seconds: float | None = None
    score_seconds: float | None = None
    train_audio_seconds: float | None = None
    train_flops: float | None = None
    peak_memory_bytes: int | None = None
    micro_batch: int | None = None
    precision: str | None = None
    weights_source: str | None = None
    weights_digest: str | None = None
    data_source: str | None = None
    artifact: str | None = None
    host: str | None = None
    worker_version: str | None = None
    code_revision: str | None = None
    started_utc: str
    finished_utc: str | None = None
    failure_class: str | None = None
    failure_text: str | None = None

    @property
    def setup(self) -> Trial:
        """The trial; what asks for it does not look at the seed (`LearnedRun` shares it)."""
        return self.trial

    @property
    def mean_windows(self) -> float | None:
        """Windows of `audio_seconds` in a scored utterance, on average; None where not recorded."""
        found = self.evaluation_details.get("windows_per_utterance")
        return None if found is None else float(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredLatency:
    """A latency measurement, the run that took it (None: taken by itself) and when."""

    latency: Latency
    run_id: int | None
    latency_id: int
    measured_utc: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRow:
    """One sweep in a list, with its trials in each state."""

    sweep_id: int
    name: str
    created_utc: str
    n_trials: int
    n_queued: int
    n_running: int
    n_finished: int
    n_failed: int
    n_cancelled: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialStatus:
    """One trial of a sweep with its latest attempt: where it stands, what it gave, why it failed.

    `lease_seconds_left` and `elapsed_seconds` are by the database's clock; the run's fields are None
    before the first attempt.
    """

    trial_id: int
    position: int
    trial: Trial
    resources: Resources
    state: str
    token: int
    n_attempts: int
    max_attempts: int
    lease_seconds_left: float | None = None
    run_id: int | None = None
    status: str | None = None
    provenance: str | None = None
    host: str | None = None
    pid: int | None = None
    phase: str | None = None
    step: int | None = None
    n_steps: int | None = None
    loss: float | None = None
    started_utc: str | None = None
    heartbeat_utc: str | None = None
    finished_utc: str | None = None
    elapsed_seconds: float | None = None
    metric: str
    error: float | None = None
    std_error: float | None = None
    failure_class: str | None = None
    failure_text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepStatus:
    """A sweep now: its trials in order, and the database's time at which that was so."""

    sweep_id: int
    name: str
    spec_json: str
    created_utc: str
    now_utc: str
    rows: tuple[TrialStatus, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FitRow:
    """A fitted law as stored: `fit_json` is the fit to the bit, `selection_json` what chose its runs."""

    fit_id: str
    task: str
    metric: str
    law: str
    status: str
    n_runs: int
    objective: float
    selection_json: str
    fit_json: str
    version: str
    created_utc: str | None = None
    runs: tuple[FitRun, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """An answer as stored, with the question that it answers."""

    answer_id: str
    fit_id: str | None
    task: str
    query_json: str
    answer_json: str
    version: str
    created_utc: str | None = None


class LearnedRun(NamedTuple):
    """A finished run as a law sees it: fields of `RunRow` by the same names.

    `setup` is the trial with seed 0, one object for all runs that differ by their seed alone.
    """

    run_id: int
    setup: Trial
    seed: int
    evaluation_details: dict[str, Any]
    fingerprint: str
    provenance: str
    source: str | None
    data_source: str | None
    n_params: int
    metric: str
    split: str | None
    error: float | None
    std_error: float | None
    n_units: int | None
    n_errors: int | None
    mean_output_tokens: float | None
    train_flops: float | None
    train_seconds: float | None
    score_seconds: float | None

    @property
    def trial(self) -> Trial:
        """The trial that was run."""
        return self.setup if self.seed == 0 else self.setup.with_seed(self.seed)

    @property
    def mean_windows(self) -> float | None:
        """As `RunRow.mean_windows`."""
        found = self.evaluation_details.get("windows_per_utterance")
        return None if found is None else float(found)


Run = RunRow | LearnedRun
"""A finished run, whole or with what a law looks at alone."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScoredCounts:
    """Counts of scored utterances in columns, one entry a run and utterance, shape (n,) each.

    `utterance` and `speaker` are codes that all runs share; -1 is a speaker that is not known.
    """

    run_id: NDArray[np.int64]
    utterance: NDArray[np.int64]
    speaker: NDArray[np.int64]
    errors: NDArray[np.int64]
    words: NDArray[np.int64]
