"""Parity before trust: an exported folder is scored in its engine on the run's own test clips.

Texts, counts and errors come by the same path as the run's own (`runner.trial.evaluate`), windows one at a
time; texts are compared with the stored ones, errors in pairs. Memory and cold start are those of a fresh
process without torch.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch

from planner.errors import SoundscaleError
from planner.words.engine_records import EngineEvaluation, EngineLatency
from planner.words.records import Decoding, Device, Evaluation, Latency, Trial, Utterance
from runner.data.clips import Clip
from runner.engines.base import Engine
from runner.engines.features import log_mel, normalised
from runner.engines.runtime import Model, open_folder
from runner.engines.writing.folder import size_bytes
from runner.models.base import Audio, Prediction, SpeechModel
from runner.trial.evaluate import evaluate
from runner.trial.metrics import rate_std_error
from runner.trial.probe import STAGES, ProbePlan, spread
from runner.trial.progress import Report

LEAST_EQUAL = 0.99
"""Share of clips whose text must be that of torch in float32."""

METHOD = "engine-probe/1"
"""Stages by difference: decoding from windows of one and of all forced tokens, features by themselves, and the
encoder as what is left."""


class ParityError(SoundscaleError):
    """A float32 export writes other texts than the run did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """What an export came to in its engine.

    Attributes:
        different: utterances whose text is not the run's, with both texts.
        cold_start_seconds: from the start of a process to the first text.
    """

    score: EngineEvaluation
    latency: EngineLatency
    different: tuple[tuple[str, str, str], ...]
    cold_start_seconds: float | None


@dataclass(slots=True)
class _Input:
    """Windows in place of features, as `hear` hands them from one call to the next."""

    windows: Sequence[Audio]

    def to(self, _dtype: torch.dtype) -> _Input:
        return self


class _AsSpeechModel:
    """An engine in the place of a torch model: `evaluate` scores it by the same path; each window is timed."""

    def __init__(self, engine: Engine, n_prompt_tokens: int) -> None:
        self.engine, self.n_prompt_tokens = engine, n_prompt_tokens
        self.wall_seconds: list[float] = []
        self.cpu_seconds: list[float] = []

    def features(self, windows: Sequence[Audio]) -> _Input:
        return _Input(windows)

    def encode(self, features: _Input) -> _Input:
        return features

    def decode(
        self, encoded: _Input, decoding: Decoding, limits: Sequence[int] | None = None
    ) -> list[Prediction]:
        return [self._one(window) for window in encoded.windows]

    def _one(self, window: Audio) -> Prediction:
        wall, cpu = time.perf_counter(), time.process_time()
        output = self.engine.run([window])[0]
        self.cpu_seconds.append(time.process_time() - cpu)
        self.wall_seconds.append(time.perf_counter() - wall)
        return Prediction(
            text=output.text,
            n_tokens=output.n_tokens,
            log_probabilities=output.log_probabilities,
            token_ids=output.ids,
        )


def score(
    folder: Path,
    trial: Trial,
    clips: Sequence[Clip],
    own: Sequence[Utterance],
    window: Audio,
    device: Device,
    *,
    labels: Sequence[str] = (),
    threads: int = 1,
    report: Report | None = None,
    plan: ProbePlan | None = None,
) -> Parity:
    """Score and time an exported folder.

    Args:
        folder: of the export.
        trial: what it was exported from.
        clips: of the test split.
        own: the run's stored utterances.
        window: audio of a window to time.
        device: what it runs on.
        labels: of an emotion model.
        threads: of the engine.
        report: takes progress.
        plan: how many samples the latency takes.
    """
    model = open_folder(folder, threads)
    prompt = () if model.about.specials is None else model.about.specials.prompt
    as_model = _AsSpeechModel(model.engine, len(prompt) or 1)
    found = evaluate(
        cast("SpeechModel", as_model), clips, trial,
        precision="float32", split="test", labels=labels, report=report,
    )  # fmt: skip
    cold = cold_start(folder, threads)
    pairs = _pairs(found, own)
    beside = _engine_evaluation(model, found, pairs, trial, device, threads)
    beside = dataclasses.replace(
        beside,
        size_bytes=size_bytes(folder),
        peak_memory_bytes=cold.get("peak_bytes"),
        window_ms=1e3 * float(np.mean(as_model.wall_seconds)),
        window_cpu_ms=1e3 * float(np.mean(as_model.cpu_seconds)),
    )
    tokens = found.mean_output_tokens
    n_tokens = 0 if tokens is None else max(1, round(tokens))
    latency = measure(model, window, trial, n_tokens, device, plan or ProbePlan())
    return Parity(
        score=beside,
        latency=EngineLatency(
            engine=beside.engine, engine_version=beside.engine_version, n_threads=threads,
            latency=latency,
        ),
        different=tuple(
            (new.utterance_id, new.hypothesis, old.hypothesis)
            for new, old in pairs
            if new.hypothesis != old.hypothesis
        ),
        cold_start_seconds=cold.get("seconds"),
    )  # fmt: skip


def _engine_evaluation(
    model: Model,
    found: Evaluation,
    pairs: Sequence[tuple[Utterance, Utterance]],
    trial: Trial,
    device: Device,
    threads: int,
) -> EngineEvaluation:
    """The scores beside the run's own: texts that are equal, and the paired difference."""
    difference, std_error = _difference(pairs, trial)
    return EngineEvaluation(
        engine=model.about.engine,
        engine_version=model.engine.version,
        precision=model.about.precision,
        device=device,
        n_threads=threads,
        evaluation=found,
        n_equal_texts=sum(new.hypothesis == old.hypothesis for new, old in pairs),
        error_difference=difference,
        error_difference_std_error=std_error,
    )


def require_equal(parity: Parity, run_precision: str | None) -> None:
    """Refuse a float32 export of a float32 run that writes other texts.

    Raises:
        ParityError: fewer than 99 % of the texts are the run's.
    """
    scored, n_equal = parity.score, parity.score.n_equal_texts
    if scored.precision != "float32" or run_precision not in (None, "float32") or n_equal is None:
        return
    n = n_equal + len(parity.different)
    if n_equal < LEAST_EQUAL * n:
        name, new, old = parity.different[0]
        raise ParityError(
            f"the export writes other texts than the run on {n - n_equal} of {n} clips, first {name}: "
            f"{new[:60]!r} for {old[:60]!r}; nothing was written; use another format, or --no-parity"
        )


def _pairs(found: Evaluation, own: Sequence[Utterance]) -> list[tuple[Utterance, Utterance]]:
    by_name = {one.utterance_id: one for one in own if one.failure_text is None}
    return [
        (one, by_name[one.utterance_id])
        for one in found.utterances
        if one.failure_text is None and one.utterance_id in by_name
    ]


def _difference(
    pairs: Sequence[tuple[Utterance, Utterance]], trial: Trial
) -> tuple[float | None, float | None]:
    """Error rate less the run's own on the same utterances, and its standard error; None for no pair."""
    n_units = sum(new.n_units for new, _ in pairs)
    if not n_units:
        return None, None
    changed = [new.n_errors - old.n_errors for new, old in pairs]
    std_error, _ = rate_std_error(
        changed, [new.n_units for new, _ in pairs], [old.speaker for _, old in pairs], trial.seed
    )
    return sum(changed) / n_units, std_error


def measure(
    model: Model, window: Audio, trial: Trial, n_tokens: int, device: Device, plan: ProbePlan
) -> Latency:
    """Percentiles of one window's latency, batch 1, in an engine."""
    forced = n_tokens or None
    samples = _times(lambda: model.engine.run([window], exactly=forced), plan)
    stages = _stages(model, window, forced, float(np.median(samples)), plan)
    p50, p90, p95, p99 = (float(q) for q in np.quantile(samples, (0.5, 0.9, 0.95, 0.99)))
    return Latency(
        device=device,
        backbone=trial.backbone,
        audio_seconds=trial.audio_seconds,
        reduction=trial.reduction,
        n_output_tokens=n_tokens,
        p50_ms=p50,
        p90_ms=p90,
        p95_ms=p95,
        p99_ms=p99,
        n_samples=len(samples),
        n_warmup=plan.n_warmup,
        dtype=model.about.precision,
        attention=model.about.engine,
        kv_cache=True,
        noise_floor=spread(samples),
        stages_ms=stages,
        method=METHOD,
    )


def _times(run: Any, plan: ProbePlan) -> Any:
    """Milliseconds of each call, warm-ups left out."""
    for _ in range(plan.n_warmup):
        run()
    ended, rows = time.perf_counter() + plan.seconds, list[float]()
    while len(rows) < plan.n_samples:
        if len(rows) >= plan.fewest and time.perf_counter() > ended:
            break
        began = time.perf_counter()
        run()
        rows.append(1e3 * (time.perf_counter() - began))
    return np.array(rows)


def _stages(
    model: Model, window: Audio, forced: int | None, whole_ms: float, plan: ProbePlan
) -> dict[str, float]:
    """Features, encoder and decoding of a window (ms), which sum to the whole."""
    about = model.about

    def features() -> object:
        if about.family == "whisper":
            return log_mel([window], *about.mel_shape)
        return normalised([window], about.n_samples)

    features_ms = float(np.median(_times(features, plan)))
    decode_ms = 0.0
    if forced is not None and forced > 1:
        first = float(np.median(_times(lambda: model.engine.run([window], exactly=1), plan)))
        decode_ms = max(0.0, whole_ms - first) * forced / (forced - 1)
    encoder_ms = max(0.0, whole_ms - features_ms - decode_ms)
    return dict(zip(STAGES, (features_ms, encoder_ms, decode_ms), strict=True))


def cold_start(folder: Path, threads: int) -> dict[str, Any]:
    """Peak memory (bytes) and seconds to the first text of a fresh process; empty where it fails."""
    command = [sys.executable, "-m", "runner.engines.cold", str(folder), str(threads)]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {}
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told | {"seconds": time.monotonic() - began}
