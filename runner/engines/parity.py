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
from runner.engines.runtime import Model, open_folder
from runner.engines.timed import engine_ready
from runner.engines.writing.folder import size_bytes
from runner.models.base import Audio, Prediction, SpeechModel
from runner.trial.evaluate import evaluate
from runner.trial.metrics import rate_std_error
from runner.trial.progress import Report
from runner.trial.quantiles import measured, whole_tokens
from runner.trial.requests import Requests, scored_requests
from runner.trial.timing import RequestPlan, Timer

LEAST_EQUAL = 0.99
"""Share of clips whose text must be that of torch in float32."""


class ParityError(SoundscaleError):
    """A float32 export writes other texts than the run did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """What an export came to in its engine.

    Attributes:
        latency: of requests; None where it was not taken.
        different: utterances whose text is not the run's, with both texts.
        cold_start_seconds: from the start of a process to the first text.
    """

    score: EngineEvaluation
    latency: EngineLatency | None
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

    backbone = None
    """Its dimensions bound no output here: the engine has its own limit."""

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
            fell_back=output.fell_back,
            repeats_cut=output.repeats_cut,
        )


def score(
    folder: Path,
    trial: Trial,
    clips: Sequence[Clip],
    own: Sequence[Utterance],
    device: Device,
    *,
    labels: Sequence[str] = (),
    threads: int = 1,
    report: Report | None = None,
    timed: bool = True,
    plan: RequestPlan | None = None,
) -> Parity:
    """Score and time an exported folder on a trial's test clips, beside the run's `own` utterances.

    `labels` are those of an emotion model; `timed`: whether its latency is taken too, by `plan`.
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
    beside = dataclasses.replace(
        _engine_evaluation(model, found, pairs, trial, device, threads),
        size_bytes=size_bytes(folder),
        peak_memory_bytes=cold.get("peak_bytes"),
        window_ms=1e3 * float(np.mean(as_model.wall_seconds)),
        window_cpu_ms=1e3 * float(np.mean(as_model.cpu_seconds)),
    )
    return Parity(
        score=beside,
        latency=_latency(model, clips, found, trial, device, threads, plan) if timed else None,
        different=tuple(
            (new.utterance_id, new.hypothesis, old.hypothesis)
            for new, old in pairs
            if new.hypothesis != old.hypothesis
        ),
        cold_start_seconds=cold.get("seconds"),
    )


def _latency(
    model: Model,
    clips: Sequence[Clip],
    found: Evaluation,
    trial: Trial,
    device: Device,
    threads: int,
    plan: RequestPlan | None,
) -> EngineLatency:
    """The latency of the requests that were scored."""
    requests = scored_requests(clips, found.utterances, trial)
    n_tokens = whole_tokens(found.mean_output_tokens)
    return EngineLatency(
        engine=model.about.engine,
        engine_version=model.engine.version,
        n_threads=threads,
        latency=measure(model, requests, trial, n_tokens, device, threads, plan or RequestPlan()),
    )


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
    model: Model,
    requests: Requests,
    trial: Trial,
    n_tokens: int,
    device: Device,
    threads: int,
    plan: RequestPlan,
) -> Latency:
    """Latency of requests and of a window of so many tokens, batch 1, in an engine by itself."""
    timer = Timer(ready=engine_ready(model, threads), requests=requests.timed)
    timer.run(plan)
    return Latency(
        device=device,
        backbone=trial.backbone,
        audio_seconds=trial.audio_seconds,
        reduction=trial.reduction,
        n_output_tokens=n_tokens,
        n_warmup=plan.n_warmup,
        dtype=model.about.precision,
        attention=model.about.engine,
        kv_cache=True,
        **measured(
            timer.taken, requests.sizes, n_tokens, timer.ready.stages,
            alone=False, on_cpu=device.kind == "cpu",
        ),
    )  # fmt: skip


def cold_start(folder: Path, threads: int) -> dict[str, Any]:
    """Peak memory (bytes) and seconds to the first text of a fresh process; empty where it fails."""
    command = [sys.executable, "-m", "runner.engines.cold", str(folder), str(threads)]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return {}
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told | {"seconds": time.monotonic() - began}
