"""The frozen words that travel along the one path: what is trained, and how it is executed.

Everything that decides a trial's result is a field of `Trial`, and every field is hashed into its
`fingerprint`. How it is executed (`Resources`) is never hashed.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
from dataclasses import dataclass, field
from typing import Any

from planner.errors import InputError
from planner.words.asked import UNSAID
from planner.words.languages import language_of
from planner.words.outcomes import IMPORTED as IMPORTED
from planner.words.outcomes import IN_TURNS as IN_TURNS
from planner.words.outcomes import Device as Device
from planner.words.outcomes import Evaluation as Evaluation
from planner.words.outcomes import Latency as Latency
from planner.words.outcomes import RunRecord as RunRecord
from planner.words.outcomes import Step as Step
from planner.words.outcomes import Utterance as Utterance
from planner.words.treatments import OPERATORS as OPERATORS
from planner.words.treatments import PLACES as PLACES
from planner.words.treatments import Adaptation as Adaptation
from planner.words.treatments import Reduction as Reduction

TRIAL_SCHEMA = "trial/1"
"""Version of the fields below; part of the fingerprint, so that a new meaning is a new trial."""

TASKS = {"asr": "wer", "emotion": "unweighted_error"}
"""Task and the error metric a law is fitted to: word error rate; 1 - mean recall over classes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimisation:
    """How it is trained. Rates are per parameter group; `None` means the recipe's default.

    `batch_size` is the effective batch in examples, whatever the micro-batch.
    """

    optimiser: str = "adamw"
    learning_rate: float = 1e-3
    head_learning_rate: float | None = None
    top_k_learning_rate: float | None = None
    schedule: str = "linear"
    warmup_fraction: float = 0.1
    steps: int = 40
    batch_size: int = 4
    weight_decay: float = 0.0
    clip_norm: float = 1.0

    def __post_init__(self) -> None:
        for name in ("learning_rate", "clip_norm"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"{name} must be positive, got {value!r}")
        if self.steps < 0 or self.batch_size < 1:
            raise InputError(
                f"steps must be 0 or more and batch_size at least 1, got {self.steps!r} and {self.batch_size!r}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """How text is generated and guarded against hallucination; recorded with every error rate.

    `max_tokens_per_second` bounds the output by the window's length (assumption: nobody speaks more
    than 8 tokens a second); `no_repeat_ngram` refuses a repeated n-gram (0: off). `window_cut` says
    where long audio is cut into windows: at the quietest moment of a window's second half (`pause`)
    or at its full length (`fixed`), which splits words.

    A window whose text is suspicious is decoded again without repeated n-grams of `fallback_ngram` ids: one
    that ran into its limit, whose compression ratio is above `max_compression_ratio` or whose mean
    log-probability of a token lies below `min_log_probability`. None: not guarded, as all records of before
    were; the defaults of a sweep file are in `GUARDED`. With `cut_repeats` a window that runs on (by limit, loop or
    compression) and whose end was all said before in it keeps one copy, and is decoded again only where its end is new.
    """

    beams: int = 1
    max_new_tokens: int = 128
    max_tokens_per_second: float = 8.0
    no_repeat_ngram: int = 0
    kv_cache: bool = True
    window_cut: str = "pause"
    fallback_ngram: int | None = field(default=None, metadata={UNSAID: True})
    max_compression_ratio: float | None = field(default=None, metadata={UNSAID: True})
    min_log_probability: float | None = field(default=None, metadata={UNSAID: True})
    cut_repeats: bool | None = field(default=None, metadata={UNSAID: True})

    @property
    def is_guarded(self) -> bool:
        """Whether suspicious texts are decoded again."""
        return self.fallback_ngram is not None

    @property
    def unguarded(self) -> Decoding:
        """The same without a second decoding."""
        return dataclasses.replace(
            self, fallback_ngram=None, max_compression_ratio=None, min_log_probability=None, cut_repeats=None
        )  # fmt: skip

    @property
    def fallback(self) -> Decoding:
        """What a suspicious window is decoded again by."""
        return dataclasses.replace(self.unguarded, no_repeat_ngram=self.fallback_ngram or 0)


GUARDED = Decoding(
    max_new_tokens=444, fallback_ngram=3, max_compression_ratio=2.4, min_log_probability=-1.0, cut_repeats=True
)  # fmt: skip
"""What a sweep file decodes by where it says nothing else. 444 is all the room that a Whisper decoder has beside
its prompt (448 positions), so that a window's limit is `max_tokens_per_second` times its length; both thresholds
are those of OpenAI's decoder (whisper/transcribe.py)."""

TOKENS_PER_SECOND_ABROAD = 20.0
"""Most output tokens a second in other languages than English, whose words take more tokens (assumption)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What is trained and scored: every field changes the result, so every field is hashed.

    Attributes:
        task: `asr` or `emotion`.
        dataset: name of the data source; `dataset_digest` is the SHA-256 of its utterance list.
        split_policy: how train and test were told apart (`speaker-disjoint`, `official`, …).
        n_train: training examples; n_test: utterances scored.
        reference_policy: `window` (all windows, full reference), `filter`, `truncate` (the study's).
        backbone: catalogue name; initialisation: `pretrained`, or `random` for tests of the machinery.
        audio_seconds: x_T, seconds that the encoder sees in one window.
        reduction: x_V. padding: `dynamic` (shapes follow x_T), `bucketed` (training windows have their own
            length, at most x_T, in batches of like lengths) or `padded30` (the study's execution).
        normaliser: text normaliser by name (`planner.words.scorers`), or `none`.
        language: what is spoken, by its code (`fr`); None: English.
        train_hours: hours of training audio, a nested subset of the training split; None: all of it.
    """

    task: str
    dataset: str
    dataset_digest: str
    split_policy: str
    n_train: int
    n_test: int
    backbone: str
    audio_seconds: float
    reduction: Reduction = field(default_factory=Reduction)
    adaptation: Adaptation = field(default_factory=Adaptation)
    optimisation: Optimisation = field(default_factory=Optimisation)
    decoding: Decoding = field(default_factory=Decoding)
    reference_policy: str = "window"
    initialisation: str = "pretrained"
    padding: str = "dynamic"
    normaliser: str = "whisper-english"
    precision: str = "auto"
    seed: int = 0
    language: str | None = field(default=None, metadata={UNSAID: True})
    train_hours: float | None = field(default=None, metadata={UNSAID: True})

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise InputError(f"task must be one of {', '.join(TASKS)}, got {self.task!r}")
        # 10 and 10.0 would hash apart: TOML reads an int where a user means seconds.
        object.__setattr__(self, "audio_seconds", float(self.audio_seconds))
        if not (math.isfinite(self.audio_seconds) and self.audio_seconds > 0):
            raise InputError(f"audio_seconds must be positive, got {self.audio_seconds!r}")
        if self.reference_policy not in ("window", "filter", "truncate"):
            raise InputError(
                f"reference_policy must be window, filter or truncate, got {self.reference_policy!r}"
            )
        if self.initialisation not in ("pretrained", "random"):
            raise InputError(
                f"initialisation must be pretrained or random, got {self.initialisation!r}"
            )
        if self.padding not in ("dynamic", "bucketed", "padded30"):
            raise InputError(f"padding must be dynamic, bucketed or padded30, got {self.padding!r}")
        if self.language is not None:
            language_of(self.language)
        if self.train_hours is not None:
            object.__setattr__(self, "train_hours", float(self.train_hours))
            if not (math.isfinite(self.train_hours) and self.train_hours > 0):
                raise InputError(f"train_hours must be positive, got {self.train_hours!r}")

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the canonical JSON of every field and of the schema's version."""
        return hashlib.sha256(
            f"{TRIAL_SCHEMA}\n{canonical_json(to_json(self))}".encode()
        ).hexdigest()

    def with_seed(self, seed: int) -> Trial:
        """The same trial with another seed; what was checked before is not checked again."""
        new = object.__new__(Trial)
        for name in Trial.__slots__:
            object.__setattr__(new, name, getattr(self, name))
        object.__setattr__(new, "seed", seed)
        return new

    @property
    def label(self) -> str:
        """One readable line: `whisper-base · 8 s · 25 tokens/s (stem:2) · lora:8`."""
        rate = f"{self.reduction.tokens_per_second:g} tokens/s"
        if self.reduction.factor > 1:
            rate += f" ({self.reduction})"
        seed = f" · seed {self.seed}" if self.seed else ""
        spoken = f" · {self.language}" if self.language else ""
        data = "" if self.train_hours is None else f" · {self.train_hours:g} h"
        window = f"{self.backbone} · {self.audio_seconds:g} s"
        return f"{window} · {rate} · {self.adaptation}{data}{spoken}{seed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """How a trial is executed; never hashed. `micro_batch` None: as large as the effective batch.

    `gradient_checkpointing` runs layers again in the backward pass in place of keeping their
    activations; `compile` compiles the encoder (torch.compile), which pays from some hundred steps on.
    `validate` scores the validation split too, which a search of learning rates chooses by.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    memory_bytes: int | None = None
    device_label: str | None = None
    micro_batch: int | None = None
    max_attempts: int = 3
    gradient_checkpointing: bool = False
    compile: bool = False
    validate: bool = False


@functools.cache
def _field_names(kind: type) -> tuple[str, ...]:
    """Fields of a record; empty for other types. A sweep of thousands asks for them all the time."""
    if not dataclasses.is_dataclass(kind):
        return ()
    return tuple(f.name for f in dataclasses.fields(kind))


@functools.cache
def _left_unsaid(kind: type) -> frozenset[str]:
    """Fields that are no part of a record's JSON where they are None: newer than records that are kept."""
    return frozenset(f.name for f in dataclasses.fields(kind) if f.metadata.get(UNSAID))


def to_json(value: Any) -> Any:
    """A record as plain JSON values, nested; reductions and adaptations keep all their fields."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    if names := _field_names(value.__class__):
        out = {name: to_json(getattr(value, name)) for name in names}
        for name in _left_unsaid(value.__class__):
            if out[name] is None:
                del out[name]
        return out
    if isinstance(value, dict):
        return {str(k): to_json(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(v) for v in value]
    return value


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces; NaN and infinities are refused.

    Raises:
        ValueError: a number is not finite.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def trial_from_json(value: dict[str, Any]) -> Trial:
    """The trial that `to_json` wrote."""
    nested = {
        "reduction": Reduction,
        "adaptation": Adaptation,
        "optimisation": Optimisation,
        "decoding": Decoding,
    }
    return Trial(**{k: nested[k](**v) if k in nested else v for k, v in value.items()})
