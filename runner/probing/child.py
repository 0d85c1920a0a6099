"""One fresh process of `soundscale probe`: `python -m runner.probing.child JOB.json SAMPLES.json`."""

from __future__ import annotations

import json
import math
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.words.catalogue import Catalogue, from_stored, to_config
from planner.words.records import Adaptation, Reduction, Resources, Trial, to_json

if TYPE_CHECKING:
    from runner.trial.timing import Ready, TimedRequest


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
    """What one process does: its points in an order of its own, within its time where there is one.

    `folders` are of the points' exported models, in their order; empty: torch is timed.
    """

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
    folders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """Seconds of each stage in each sample of a point, those of its processor, and where they were taken.

    `n_output_tokens` of each sample: an engine's encoder is told from its decoder by windows of fewer tokens.
    """

    seconds: list[list[float]]
    processor_seconds: list[float | None]
    n_output_tokens: list[int]
    device: dict[str, Any]
    precision: str
    stages: list[str]
    engine_version: str = ""


def write_job(job: ProbeJob, catalogue: Catalogue, path: Path) -> None:
    """Write a job with the dimensions of its backbones, the user's own included."""
    shapes = {p.backbone: to_config(catalogue.backbone(p.backbone)) for p in job.points}
    path.write_text(json.dumps({"job": asdict(job), "backbones": shapes}), encoding="utf-8")


def read_job(path: Path) -> tuple[ProbeJob, Catalogue]:
    """Read a job, and its backbones."""
    document = json.loads(path.read_text("utf-8"))
    catalogue = Catalogue(tuple(map(from_stored, document["backbones"].values())))
    given = document["job"] | {"points": tuple(Point(**p) for p in document["job"]["points"])}
    given["folders"] = tuple(given["folders"])
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
    from runner.probing.random_models import RandomModels
    from runner.trial.device import describe, torch_device, use_threads
    from runner.trial.probe import torch_ready
    from runner.trial.recipe import precision_for

    ended = None if job.seconds is None else time.monotonic() + job.seconds
    resources = Resources(cpus=float(job.threads), gpus=1.0)
    use_threads(resources)
    device = torch_device(resources)
    precision = precision_for(job.precision, device.type)
    record = to_json(describe(device, job.device_label))
    order = random.Random(job.seed).sample(range(len(job.points)), len(job.points))
    models = RandomModels(catalogue, device, job.attention)
    samples: dict[int, Sampled] = {}
    for place, i in enumerate(order):
        seconds = math.inf
        if ended is not None:
            seconds = max(0.0, ended - time.monotonic()) / (len(order) - place)
        point, trial, version = job.points[i], trial_of(job.points[i]), ""
        if job.folders:
            ready, version = _in_engine(Path(job.folders[i]), job.threads)
        else:
            model = models.deployed(trial, precision)
            ready = torch_ready(model, trial, precision, device, point.batch_size)
        taken = _timed(job, point, ready, seconds)
        samples[i] = Sampled(
            seconds=[(t.stages_ms[0] / 1e3).tolist() for t in taken],
            processor_seconds=[t.processor_seconds for t in taken],
            n_output_tokens=[t.n_output_tokens[0] for t in taken],
            device=record,
            precision=precision,
            stages=list(ready.stages),
            engine_version=version,
        )
    return [samples[i] for i in range(len(job.points))]


def _in_engine(folder: Path, threads: int) -> tuple[Ready, str]:
    """An exported model under the clock, and the version of its engine."""
    from runner.engines.runtime import open_folder
    from runner.engines.timed import engine_ready

    model = open_folder(folder, threads)
    return engine_ready(model, threads), model.engine.version


def _timed(job: ProbeJob, point: Point, ready: Ready, seconds: float) -> list[TimedRequest]:
    """Samples of one window of noise, by the rule that everything is timed by; in an engine also of its first token."""
    import numpy as np

    from runner.models.base import SAMPLE_RATE
    from runner.trial.requests import Request
    from runner.trial.timing import RequestPlan, Timer

    length = round(point.audio_seconds * SAMPLE_RATE)
    noise = np.random.default_rng(0).normal(0.0, 0.05, length).astype(np.float32)
    few = [1] if job.folders and point.n_output_tokens > 1 else []
    windows = [
        Request(utterance_id=f"noise {n}", windows=(noise,), n_output_tokens=(n,))
        for n in (point.n_output_tokens, *few)
    ]
    timer = Timer(ready=ready, requests=windows)
    timer.run(
        RequestPlan(
            n_warmup=job.n_warmups, passes=job.n_samples, fewest=job.fewest, seconds=seconds
        )
    )
    return timer.taken


def main(arguments: Sequence[str]) -> None:
    """Read a job, work on it, write the samples."""
    samples = work(*read_job(Path(arguments[0])))
    Path(arguments[1]).write_text(json.dumps([asdict(s) for s in samples]), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
