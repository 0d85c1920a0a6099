"""One fresh process of `soundscale probe`: `python -m runner.probing.child JOB.json SAMPLES.json`."""

from __future__ import annotations

import json
import math
import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.words.catalogue import Catalogue, from_stored, to_config
from planner.words.records import Adaptation, Reduction, Resources, Trial, to_json

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from runner.models.base import SpeechModel

STAGES = ("features", "encoder", "decode")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A configuration to measure."""

    task: str
    backbone: str
    audio_seconds: float
    reduction: str
    n_output_tokens: int
    batch_size: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeJob:
    """What one process does: its points in an order of its own, within its time where there is one."""

    points: tuple[Point, ...]
    seed: int
    n_samples: int
    fewest: int
    n_warmups: int
    seconds: float | None
    threads: int
    device_label: str | None
    precision: str
    attention: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """Seconds of each stage in each sample of a point, and where they were taken."""

    seconds: list[list[float]]
    device: dict[str, Any]
    precision: str


def write_job(job: ProbeJob, catalogue: Catalogue, path: Path) -> None:
    """Write a job with the dimensions of its backbones, the user's own included."""
    shapes = {p.backbone: to_config(catalogue.backbone(p.backbone)) for p in job.points}
    path.write_text(json.dumps({"job": asdict(job), "backbones": shapes}), encoding="utf-8")


def read_job(path: Path) -> tuple[ProbeJob, Catalogue]:
    """Read a job, and its backbones."""
    document = json.loads(path.read_text("utf-8"))
    catalogue = Catalogue(tuple(map(from_stored, document["backbones"].values())))
    given = document["job"] | {"points": tuple(Point(**p) for p in document["job"]["points"])}
    return ProbeJob(**given), catalogue


def read_samples(path: Path) -> list[Sampled]:
    """Samples of each point, in the job's order."""
    return [Sampled(**row) for row in json.loads(path.read_text("utf-8"))]


def trial_of(point: Point) -> Trial:
    """The point as a trial that trains nothing."""
    return Trial(
        task=point.task,
        dataset="none",
        dataset_digest="",
        split_policy="none",
        n_train=0,
        n_test=0,
        backbone=point.backbone,
        audio_seconds=point.audio_seconds,
        reduction=Reduction.parse(point.reduction),
        adaptation=Adaptation(kind="none", lora_rank=None),
        initialisation="random",
    )


def work(job: ProbeJob, catalogue: Catalogue) -> list[Sampled]:
    """Measure every point; later ones get fewer samples where the time runs short."""
    from runner.models.adapt import deploy
    from runner.trial.device import describe, torch_device, use_threads
    from runner.trial.recipe import precision_for

    ended = None if job.seconds is None else time.monotonic() + job.seconds
    resources = Resources(cpus=float(job.threads), gpus=1.0)
    use_threads(resources)
    device = torch_device(resources)
    precision = precision_for(job.precision, device.type)
    record = to_json(describe(device, job.device_label))
    order = random.Random(job.seed).sample(range(len(job.points)), len(job.points))
    samples: dict[int, Sampled] = {}
    values: dict[str, Mapping[str, Tensor]] = {}
    for place, i in enumerate(order):
        until = None
        if ended is not None:
            now = time.monotonic()
            until = now + max(0.0, ended - now) / (len(order) - place)
        model = _model(job, catalogue, job.points[i], device, values)
        deploy(model, precision)
        seconds = _samples(job, job.points[i], model, device, precision, until)
        samples[i] = Sampled(seconds=seconds, device=record, precision=precision)
    return [samples[i] for i in range(len(job.points))]


def _model(
    job: ProbeJob,
    catalogue: Catalogue,
    point: Point,
    device: torch.device,
    values: dict[str, Mapping[str, Tensor]],
) -> SpeechModel:
    """A model of the point; the random values of a backbone are drawn once and kept in `values`."""
    from runner.models.base import BuildRequest
    from runner.models.builders import builder_for
    from runner.models.whisper import ByteTokenizer

    shape, trial = catalogue.backbone(point.backbone), trial_of(point)
    request = BuildRequest(
        trial=trial,
        backbone=shape,
        device=device,
        tokenizer=ByteTokenizer(),
        labels=tuple(f"class {i}" for i in range(6)),
        attention=job.attention,
    )
    builder = builder_for(shape.family, trial.task)
    if point.backbone not in values:
        longest = getattr(shape, "max_audio_seconds", math.inf)
        whole = longest if math.isfinite(longest) else point.audio_seconds
        full = replace(trial, audio_seconds=whole, reduction=Reduction())
        drawn = builder(replace(request, trial=full, device=torch_cpu())).module
        values[point.backbone] = drawn.state_dict()
    return builder(replace(request, state=values[point.backbone]))


def torch_cpu() -> torch.device:
    """The CPU, where random values are drawn."""
    import torch

    return torch.device("cpu")


def _samples(
    job: ProbeJob,
    point: Point,
    model: SpeechModel,
    device: torch.device,
    precision: str,
    until: float | None,
) -> list[list[float]]:
    import numpy as np

    from runner.models.base import SAMPLE_RATE
    from runner.trial.probe import time_once

    trial = trial_of(point)
    length = round(trial.audio_seconds * SAMPLE_RATE)
    noise = np.random.default_rng(0).normal(0.0, 0.05, length).astype(np.float32)
    batch = [noise] * point.batch_size

    def once() -> list[float]:
        return list(time_once(model, batch, trial, point.n_output_tokens, precision, device))

    for _ in range(job.n_warmups):
        once()
    stage_seconds: list[list[float]] = []
    while len(stage_seconds) < job.n_samples:
        if len(stage_seconds) >= job.fewest and until is not None and time.monotonic() > until:
            break
        stage_seconds.append(once())
    return stage_seconds


def main(arguments: Sequence[str]) -> None:
    """Read a job, work on it, write the samples."""
    samples = work(*read_job(Path(arguments[0])))
    Path(arguments[1]).write_text(json.dumps([asdict(s) for s in samples]), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
