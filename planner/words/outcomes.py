"""What came of a trial: scored utterances, errors, latencies, steps, and the record of one attempt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from planner.words.treatments import Reduction


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """One scored utterance; for emotion, reference and hypothesis are labels and `n_units` is 1.

    `part_ends` says where the references of joined clips end in `reference`, in characters: `10 15`.
    """

    utterance_id: str
    speaker: str | None
    reference: str
    hypothesis: str
    n_units: int
    n_errors: int
    n_substitutions: int | None = None
    n_insertions: int | None = None
    n_deletions: int | None = None
    audio_seconds: float
    audio_coverage: float = 1.0
    n_output_tokens: int | None = None
    failure_text: str | None = None
    part_ends: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Error counts of one run on one split, with the definition that a rate alone hides.

    `error` is n_errors / n_units for WER and 1 - mean recall for `unweighted_error`; `std_error`
    comes from a bootstrap over utterances. Published rows carry a rate and no counts.
    `mean_output_tokens` is that of one window, the end token included.
    """

    split: str
    metric: str
    error: float
    n_units: int | None = None
    n_errors: int | None = None
    n_substitutions: int | None = None
    n_insertions: int | None = None
    n_deletions: int | None = None
    n_utterances: int | None = None
    n_broken: int = 0
    std_error: float | None = None
    selection: str = "final"
    audio_coverage: float | None = None
    speaker_overlap: int | None = None
    mean_output_tokens: float | None = None
    output_tokens: dict[str, float] | None = None
    details: dict[str, Any] | None = None
    utterances: tuple[Utterance, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device that latencies are measured on. `name` is short, stable and what `--device` takes."""

    name: str
    kind: str
    model: str
    n_threads: int
    memory_bytes: int | None = None
    driver: str | None = None
    details: dict[str, Any] | None = None


IN_TURNS = " in turns"
"""Ends the method of a latency that a stage of the sweep took: alone on its host, contestants in turns."""
IMPORTED = "imported"
"""Begins the method of a latency that a table told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Percentiles of one configuration's latency on one device, and how they were taken.

    One sample is one utterance window of `audio_seconds` end to end (features, encoder, decoding of
    `n_output_tokens`), batch `batch_size`, after `n_warmup` warm-ups, synchronised. `p50_ms … p99_ms`
    are of that window and differ by the machine alone; what requests take is beside them.

    Attributes:
        noise_floor: A against A: how far medians of repeated passes or processes differ, as a share.
        request_p50_ms: median over whole utterances of the scored set, each with its own windows and
            output tokens; None where one window was repeated and no utterance timed.
        request_p95_ms: 95 % quantile of the same.
        share_above_p95: share of timed utterances that took longer than the p95 stated without them.
        n_requests: utterances that were timed for it, one timed again counted again.
        jitter: p95 over p50 of one window: the machine's part.
        processor_ms: median of the window by the processor's clock.
        contention: wall time over processor time; other work shows above 1.1.
        quiet: whether nothing else was at work on the device, its host held by a lease and its contention
            low; None where it is not known.
    """

    device: Device
    backbone: str
    audio_seconds: float
    reduction: Reduction
    n_output_tokens: int
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    n_samples: int
    n_warmup: int
    batch_size: int = 1
    dtype: str = "float32"
    attention: str = "sdpa"
    kv_cache: bool = True
    synchronised: bool = True
    n_processes: int = 1
    noise_floor: float | None = None
    stages_ms: dict[str, float] | None = None
    method: str = "probe/1"
    request_p50_ms: float | None = None
    request_p95_ms: float | None = None
    share_above_p95: float | None = None
    n_requests: int | None = None
    jitter: float | None = None
    processor_ms: float | None = None
    contention: float | None = None
    quiet: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One optimiser step: loss, gradient norm before clipping, learning rate, seconds since start."""

    step: int
    loss: float
    grad_norm: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """The outcome of one attempt at a trial: what the runner hands to the store.

    `status` is `finished` or `failed`; a failed run has a class (`out-of-memory`, `lost-node`,
    `preempted`, `broken-data`, `diverged`, `missing-resource`, `programming-error`) and its text.
    """

    status: str
    failure_class: str | None = None
    failure_text: str | None = None
    evaluations: tuple[Evaluation, ...] = ()
    latencies: tuple[Latency, ...] = ()
    steps: tuple[Step, ...] = ()
    device: Device | None = None
    n_params: int | None = None
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
    versions: dict[str, str] | None = None
    code_revision: str | None = None
    details: dict[str, Any] | None = None
