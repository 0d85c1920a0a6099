"""`soundscale probe`: measure the latency of configurations on this device, without training them.

The number of output tokens is forced, and so the time does not depend on what the weights say:
models are built at random and nothing is downloaded. Samples come from fresh processes, one after the
other, each with the configurations in another order: what one process's memory layout or clock does to its
times is then seen as the difference between processes.
"""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from planner.costs.flops.lengths import check_seconds, encoder_tokens
from planner.costs.latency.probe_points import calibration_points
from planner.costs.windows import windows_of
from planner.errors import InputError, SoundscaleError
from planner.words.catalogue import BUILT_IN, Catalogue
from planner.words.records import Device, Latency, Reduction
from planner.words.units import format_ms
from runner.engines.formats import asked_engine, why_not
from runner.probing import in_engine
from runner.probing.child import (
    Point,
    ProbeJob,
    Sampled,
    read_samples,
    trial_of,
    write_job,
)
from runner.trial.quantiles import METHOD, by_processor, measured
from runner.trial.timing import TimedRequest

LIMIT_SECONDS = 90.0
"""Time that a probe which chooses its own points may take by default."""
START_SECONDS = 12.0
"""Starting a process and building a model of each point, taken off the time (assumption)."""
IMPORT_SECONDS = 5.0
"""Of that, before a process's own clock starts (assumption)."""
WARMUPS = 1
FEWEST = 3
"""Fewest samples of a point in one process."""
CALIBRATION = {
    "asr": (("whisper-tiny", "whisper-base", "whisper-small"), (2.0, 5.0, 10.0, 20.0, 30.0)),
    "emotion": (("wav2vec2-micro", "wav2vec2-base"), (2.0, 4.0, 8.0, 16.0)),
}
"""Backbones and seconds that a probe may choose from when it is not told which to measure."""
CALIBRATION_REDUCTIONS = ("none", "stem:2", "stem:4", "layer2:2")
CALIBRATION_TOKENS = (2, 10, 25, 60)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRequest:
    """What is measured, and how.

    Attributes:
        backbones, audio_seconds, reductions, batch_sizes: every combination is a candidate; without
            backbones or seconds they are those of `CALIBRATION`.
        task: `asr` or `emotion`; None: each backbone's own.
        n_output_tokens: decoded tokens of a window; None where points are chosen: several.
        n_samples: samples of a point over all processes.
        n_processes: fresh processes, one after the other.
        points: most points; None: every candidate.
        seconds: time allowed where points are chosen.
        threads: compute threads.
        device_label: name of the device; None: derived from its model.
        precision: `auto`, `fp32` or `bf16`; of torch.
        engine: `NAME[:PRECISION]` of what the models are exported to; None: torch.
        attention: `sdpa` or `eager`.
    """

    backbones: tuple[str, ...] = ()
    audio_seconds: tuple[float, ...] = ()
    reductions: tuple[str, ...] = ()
    batch_sizes: tuple[int, ...] = (1,)
    task: str | None = None
    n_output_tokens: int | None = None
    n_samples: int = 15
    n_processes: int = 3
    points: int | None = None
    seconds: float = LIMIT_SECONDS
    threads: int = 1
    device_label: str | None = None
    precision: str = "auto"
    attention: str = "sdpa"
    engine: str | None = None


def candidates(request: ProbeRequest, catalogue: Catalogue = BUILT_IN) -> list[Point]:
    """Every combination that could be measured, each checked against its backbone.

    Raises:
        InputError: a length or a reduction does not fit a backbone.
    """
    names, lengths = CALIBRATION[request.task or "asr"]
    chooses = request.points is not None
    tokens = (request.n_output_tokens,) if request.n_output_tokens else CALIBRATION_TOKENS
    points = []
    for name, seconds, text, n, batch in itertools.product(
        request.backbones or names,
        request.audio_seconds or lengths,
        request.reductions or (CALIBRATION_REDUCTIONS if chooses else ("none",)),
        tokens if chooses else (request.n_output_tokens or 20,),
        request.batch_sizes,
    ):
        shape, reduction = catalogue.backbone(name), Reduction.parse(text)
        task = request.task or shape.task
        check_seconds(shape, seconds)
        encoder_tokens(shape, seconds, reduction)
        point = Point(
            task=task,
            backbone=shape.name,
            audio_seconds=seconds,
            reduction=str(reduction),
            n_output_tokens=n if task == "asr" else 0,
            batch_size=batch,
        )
        if point not in points and _held(request, point, shape.family):
            points.append(point)
    return points


def _held(request: ProbeRequest, point: Point, family: str) -> bool:
    """Whether the engine can hold a point; of points that were asked for by name it says why it cannot."""
    if request.engine is None or request.reductions:
        return True
    return why_not(asked_engine(request.engine)[0], trial_of(point), family) is None


def points_of(request: ProbeRequest, catalogue: Catalogue = BUILT_IN) -> list[Point]:
    """The points to measure: all candidates, or the most telling that fit the time.

    Raises:
        InputError: nothing fits the time.
    """
    points = candidates(request, catalogue)
    if request.points is None or len(points) <= request.points:
        return points
    windows = [
        windows_of(
            catalogue.backbone(p.backbone),
            p.audio_seconds,
            Reduction.parse(p.reduction),
            n_output_tokens=p.n_output_tokens,
            batch_size=p.batch_size,
        )
        for p in points
    ]
    spare = max(request.seconds - request.n_processes * START_SECONDS, 1.0)
    # Each process needs its warm-ups and its fewest samples of every point.
    samples = request.n_processes * (WARMUPS + FEWEST)
    chosen = calibration_points(windows, request.points, seconds=spare, samples=samples)
    return [points[i] for i in chosen]


def measure(
    request: ProbeRequest, points: Sequence[Point], catalogue: Catalogue = BUILT_IN
) -> Iterator[tuple[int, list[Sampled]]]:
    """Samples of every point, from one process after the other.

    Raises:
        SoundscaleError: a process ended without its samples, or a point cannot be exported.
    """
    with TemporaryDirectory(prefix="soundscale-probe-") as folder:
        exported = in_engine.export_points(request.engine, points, catalogue, Path(folder))
        began = time.monotonic()
        for k in range(request.n_processes):
            left = request.seconds - (time.monotonic() - began)
            job = ProbeJob(
                points=tuple(points),
                seed=k,
                n_samples=max(FEWEST, -(-request.n_samples // request.n_processes)),
                fewest=FEWEST,
                n_warmups=WARMUPS,
                # A grid that was asked for is measured whole, however long it takes.
                seconds=left / (request.n_processes - k) - IMPORT_SECONDS
                if request.points
                else None,
                threads=request.threads,
                device_label=request.device_label,
                precision=request.precision,
                attention=request.attention,
                folders=exported,
            )
            yield k, _in_fresh_process(job, catalogue, Path(folder) / str(k))


def _in_fresh_process(job: ProbeJob, catalogue: Catalogue, folder: Path) -> list[Sampled]:
    folder.mkdir()
    given, made = folder / "job.json", folder / "samples.json"
    write_job(job, catalogue, given)
    command = [sys.executable, "-m", "runner.probing.child", str(given), str(made)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise SoundscaleError(
            f"a measuring process ended with code {done.returncode}: {last}; nothing was stored"
        )
    return read_samples(made)


def latency_of(point: Point, samples: Sequence[Sampled], request: ProbeRequest) -> Latency:
    """Percentiles over all samples of a point's window, and how far processes differ.

    They are of one window that was repeated: their p95 over p50 is the machine's part alone, and nothing
    is said of requests. The noise floor is A against A: the largest relative difference of a process's
    median from the median of all; from one process, that of its even and odd samples.
    """
    taken = [
        TimedRequest(
            round=k,
            n_output_tokens=(n,),
            stages_ms=1e3 * np.array([row]),
            wall_seconds=sum(row),
            processor_seconds=clock,
        )
        for s in samples
        for k, (row, clock, n) in enumerate(
            zip(s.seconds, s.processor_seconds, s.n_output_tokens, strict=True)
        )
    ]
    one, sizes = samples[0], np.array([[1.0, point.n_output_tokens]])
    told = measured(
        taken,
        sizes,
        point.n_output_tokens,
        one.stages,
        alone=False,
        on_cpu=one.device["kind"] == "cpu",
    )
    told |= dict.fromkeys(("request_p50_ms", "request_p95_ms", "n_requests", "share_above_p95"))
    told["method"] = told["method"].replace(METHOD, f"probe/3 of {len(samples)} processes")
    if len(samples) > 1:
        alike = taken if told["quiet"] is not False else [by_processor(t) for t in taken]
        seconds = np.array([t.wall_seconds for t in alike])
        ends = np.cumsum([len(s.seconds) for s in samples])[:-1]
        whole = np.array([t.n_output_tokens[0] == point.n_output_tokens for t in alike])
        medians = np.array(
            [
                np.median(part[kept])
                for part, kept in zip(np.split(seconds, ends), np.split(whole, ends), strict=True)
            ]
        )
        seconds = seconds[whole]
        told["noise_floor"] = float(np.abs(medians / np.median(seconds) - 1.0).max())
    return Latency(
        device=Device(**one.device),
        backbone=point.backbone,
        audio_seconds=point.audio_seconds,
        reduction=Reduction.parse(point.reduction),
        n_output_tokens=point.n_output_tokens,
        n_warmup=WARMUPS,
        batch_size=point.batch_size,
        dtype=one.precision if request.engine is None else in_engine.precision_in(request.engine),
        attention=request.attention
        if request.engine is None
        else in_engine.name_of(request.engine),
        **told,
    )


def row_of(latency: Latency) -> dict[str, Any]:
    """A measurement as plain values; rates say what they are of."""
    p50_seconds = latency.p50_ms / 1e3
    return {
        "device": latency.device.name,
        "backbone": latency.backbone,
        "audio_seconds": latency.audio_seconds,
        "reduction": str(latency.reduction),
        "n_output_tokens": latency.n_output_tokens,
        "batch_size": latency.batch_size,
        "p50_ms": latency.p50_ms,
        "p90_ms": latency.p90_ms,
        "p95_ms": latency.p95_ms,
        "p99_ms": latency.p99_ms,
        "n_samples": latency.n_samples,
        "noise_floor": latency.noise_floor,
        "jitter": latency.jitter,
        "processor_ms": latency.processor_ms,
        "contention": latency.contention,
        "quiet": latency.quiet,
        "stages_ms": latency.stages_ms,
        "real_time_factor": p50_seconds / latency.audio_seconds,
        "audio_seconds_per_second": latency.batch_size * latency.audio_seconds / p50_seconds,
        "dtype": latency.dtype,
        "attention": latency.attention,
        "method": latency.method,
    }


COLUMNS = (
    ("backbone", "backbone"),
    ("audio_seconds", "x_T s"),
    ("reduction", "x_V"),
    ("n_output_tokens", "tokens"),
    ("batch_size", "batch"),
    ("p50_ms", "window ms"),
    ("jitter", "p95 / p50"),
    ("noise_floor", "noise"),
    ("contention", "contention"),
    ("real_time_factor", "p50 / x_T"),
    ("audio_seconds_per_second", "audio s/s"),
)


def probe(
    db: str | None,
    request: ProbeRequest,
    say: Callable[[str], None],
    *,
    store: bool,
    catalogue: Catalogue = BUILT_IN,
) -> list[Latency]:
    """Measure every point in fresh processes, and store the latencies where asked."""
    points = points_of(request, catalogue)
    say(f"{len(points)} points, {request.n_processes} fresh processes one after the other")
    by_point: list[list[Sampled]] = [[] for _ in points]
    for k, samples in measure(request, points):
        for i, sampled in enumerate(samples):
            by_point[i].append(sampled)
        worst = max(range(len(points)), key=lambda i: sum(map(sum, by_point[i][-1].seconds)))
        slow = format_ms(1e3 * float(np.median([sum(s) for s in by_point[worst][-1].seconds])))
        say(f"  process {k + 1} of {request.n_processes} done; the slowest point takes {slow}")
    latencies = [latency_of(p, s, request) for p, s in zip(points, by_point, strict=True)]
    if store and request.engine is None:
        save(db, latencies)
    elif store:
        in_engine.save(db, by_point, latencies, request.threads)
    say(f"device {latencies[0].device.name}: {'stored' if store else 'not stored'}")
    return latencies


def save(db: str | None, latencies: list[Latency]) -> None:
    """Store latencies of torch."""
    from planner.store.engine import opened
    from planner.store.write import save_latencies

    with opened(db) as engine:
        save_latencies(engine, latencies)


def check(request: ProbeRequest) -> None:
    """Refuse what could not be measured before anything starts.

    Raises:
        InputError: the seconds are not a positive number.
    """
    if not (math.isfinite(request.seconds) and request.seconds > 0):
        raise InputError(f"--seconds must be a positive number, got {request.seconds:g}")
