"""Latency of one configuration in torch: as a contestant, and by itself right after its training.

Latency does not depend on what weights and tokens say, only on how many there are, so that any weights
of the right shapes give the same. What is timed by itself drifts with its machine and was often taken
beside other trials: it is a fallback for what a stage of the sweep measures alone on the host
(`runner.probing.stage`). The rule of both is that of `runner.trial.timing` and `runner.trial.quantiles`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise

import torch

from planner.words.records import Device, Latency, Trial
from runner.models.adapt import DTYPES
from runner.models.base import Audio, SpeechModel
from runner.trial.device import synchronise
from runner.trial.progress import Report
from runner.trial.quantiles import measured
from runner.trial.requests import Requests
from runner.trial.timing import STAGES, Ready, RequestPlan, Timer

FALLBACK = RequestPlan(n_warmup=0, passes=1, fewest=2, seconds=1.0)
"""Beside training, where a stage of the sweep measures afterwards: enough for a sweep that is cut off. The model is
warm, as it has just scored."""


@torch.inference_mode()
def time_once(
    model: SpeechModel,
    batch: Sequence[Audio],
    trial: Trial,
    n_output_tokens: int,
    precision: str,
    device: torch.device,
) -> tuple[float, ...]:
    """Seconds of features, encoder and decoding for a batch of windows, in that order.

    The model is deployed in `precision` (`runner.models.adapt.deploy`).
    """
    marks = [time.perf_counter()]
    features = model.features(batch).to(DTYPES[precision])
    synchronise(device)
    marks.append(time.perf_counter())
    encoded = model.encode(features)
    synchronise(device)
    marks.append(time.perf_counter())
    model.decode(encoded, trial.decoding, exactly=n_output_tokens)
    synchronise(device)
    marks.append(time.perf_counter())
    return tuple(b - a for a, b in pairwise(marks))


def torch_ready(
    model: SpeechModel, trial: Trial, precision: str, device: torch.device, batch_size: int = 1
) -> Ready:
    """A deployed torch model as a contestant; a window is run as a batch of so many copies."""

    def window(audio: Audio, n_output_tokens: int) -> tuple[float, ...]:
        return time_once(model, [audio] * batch_size, trial, n_output_tokens, precision, device)

    return Ready(time_window=window, stages=STAGES)


def measure_latency(
    model: SpeechModel,
    requests: Requests,
    trial: Trial,
    *,
    n_output_tokens: int,
    device_record: Device,
    device: torch.device,
    precision: str,
    attention: str = "sdpa",
    plan: RequestPlan | None = None,
    report: Report | None = None,
) -> Latency:
    """Latency of requests and of a window of `n_output_tokens`, batch 1, and how it was taken."""
    plan = plan or RequestPlan()
    timer = Timer(ready=torch_ready(model, trial, precision, device), requests=requests.timed)
    timer.run(plan, report)
    return Latency(
        device=device_record,
        backbone=trial.backbone,
        audio_seconds=trial.audio_seconds,
        reduction=trial.reduction,
        n_output_tokens=n_output_tokens,
        n_warmup=plan.n_warmup,
        dtype=precision,
        attention=attention,
        kv_cache=trial.decoding.kv_cache,
        **measured(
            timer.taken, requests.sizes, n_output_tokens, STAGES,
            alone=False, on_cpu=device_record.kind == "cpu",
        ),
    )  # fmt: skip
