"""Latency of configurations that were not measured, from twelve that were; and from the data sheet alone."""

from __future__ import annotations

import random
import time
from typing import Any

import numpy as np
from gpu_common import CPU_SHEET, Bench, share

from planner.costs.flops.forward import forward_flops
from planner.costs.latency.model import fit_latency_model
from planner.costs.latency.probe_points import calibration_points
from planner.costs.latency.transfer import datasheet_model
from planner.costs.windows import Windows, windows_of
from planner.words.catalogue import BUILT_IN
from planner.words.records import Latency, Reduction, Resources, to_json
from runner.probing import drive
from runner.probing.child import Point, Sampled, trial_of
from runner.probing.random_models import RandomModels
from runner.trial.device import describe, torch_device
from runner.trial.probe import torch_ready
from runner.trial.requests import Request
from runner.trial.timing import RequestPlan, Timer

N_CALIBRATION, N_HELD_OUT = 12, 24
N_SAMPLES = 12


def measure(bench: Bench) -> dict[str, Any]:
    """Chosen points and held-out ones in shuffled order, then what each model says of the held-out."""
    names = bench.whispers()
    request = drive.ProbeRequest(
        backbones=names,
        audio_seconds=(0.5, 1.0, 2.0) if bench.small else (2.0, 5.0, 10.0, 20.0, 30.0),
        reductions=("none", "stem:2", "stem:4"),
        points=N_CALIBRATION,
    )
    pool = drive.candidates(request)
    windows = [windows_for(p) for p in pool]
    sheet = bench.sheet or CPU_SHEET
    order = calibration_points(windows, N_CALIBRATION, base=datasheet_model(sheet))
    rest = [i for i in random.Random(7).sample(range(len(pool)), len(pool)) if i not in order]
    chosen = [*order, *rest[:N_HELD_OUT]]
    points = [pool[i] for i in chosen]
    sampled = sample(bench, points)
    asked = drive.ProbeRequest(n_processes=1)
    known = [drive.latency_of(p, [s], asked) for p, s in zip(points, sampled, strict=True)]
    judged = judge(
        known, [windows[i] for i in chosen], datasheet_model(sheet) if bench.sheet else None
    )
    return {**judged, "latencies": [to_json(one) for one in known]}


def windows_for(point: Point) -> Windows:
    """What the costs of a point are counted for."""
    return windows_of(
        BUILT_IN.backbone(point.backbone), point.audio_seconds, Reduction.parse(point.reduction),
        n_output_tokens=point.n_output_tokens, batch_size=point.batch_size,
    )  # fmt: skip


def sample(bench: Bench, points: list[Point]) -> list[Sampled]:
    """Every point's samples; points of one backbone follow one another, in an order of chance."""
    device = torch_device(Resources(gpus=1.0)) if bench.device.type == "cuda" else bench.device
    models = RandomModels(BUILT_IN, device, "sdpa")
    record, found = to_json(describe(device)), {}
    order = random.Random(0).sample(range(len(points)), len(points))
    for place, i in enumerate(sorted(order, key=lambda i: points[i].backbone)):
        point, trial = points[i], trial_of(points[i])
        ready = torch_ready(models.deployed(trial, bench.precision), trial, bench.precision, device)
        noise = np.random.default_rng(0).normal(0.0, 0.05, round(16_000 * point.audio_seconds))
        timer = Timer(
            ready=ready,
            requests=[Request(utterance_id="noise", windows=(noise.astype(np.float32),),
                              n_output_tokens=(point.n_output_tokens,))],
        )  # fmt: skip
        seconds = max(0.5, bench.left / (len(points) - place))
        timer.run(RequestPlan(n_warmup=2, passes=N_SAMPLES, fewest=4, seconds=seconds))
        found[i] = Sampled(
            seconds=[(t.stages_ms[0] / 1e3).tolist() for t in timer.taken],
            processor_seconds=[t.processor_seconds for t in timer.taken],
            n_output_tokens=[t.n_output_tokens[0] for t in timer.taken],
            device=record, precision=bench.precision, stages=list(ready.stages),
        )  # fmt: skip
    return [found[i] for i in range(len(points))]


def judge(known: list[Latency], windows: list[Windows], by_sheet: Any) -> dict[str, Any]:
    """Errors on the held-out of the fitted model, of FLOPs at one rate, and of the data sheet."""
    began = time.monotonic()
    truth = np.array([m.p50_ms for m in known])
    model = fit_latency_model(known[:N_CALIBRATION])
    told = model.predict_each(windows[N_CALIBRATION:])
    held = truth[N_CALIBRATION:]
    errors = np.abs(np.array([p.p50_ms for p in told]) / held - 1)
    inside = [p.p50_low_ms <= t <= p.p50_high_ms for p, t in zip(told, held, strict=True)]
    flops = np.array([
        forward_flops(BUILT_IN.backbone(m.backbone), audio_seconds=m.audio_seconds, reduction=m.reduction,
                      n_output_tokens=m.n_output_tokens, task="asr").total
        for m in known
    ], dtype=float)  # fmt: skip
    rate = np.median(truth[:N_CALIBRATION] / flops[:N_CALIBRATION])
    plain = np.abs(rate * flops[N_CALIBRATION:] / held - 1)
    found = {
        "n_calibration": N_CALIBRATION,
        "n_held_out": len(held),
        "error_median": float(np.median(errors)),
        "error_p90": float(np.quantile(errors, 0.9)),
        "intervals_hold": float(np.mean(inside)),
        "flops_alone_error_median": float(np.median(plain)),
        "noise_floor_median": float(np.median([m.noise_floor or 0.0 for m in known])),
        "fit_seconds": time.monotonic() - began,
    }
    if by_sheet is not None:
        by_maker = by_sheet.predict_each(windows)
        gap = np.log(truth / np.array([p.p50_ms for p in by_maker]))
        found["datasheet_median_ratio"] = float(np.exp(np.median(gap)))
        found["datasheet_intervals_hold"] = float(
            np.mean(
                [p.p50_low_ms <= t <= p.p50_high_ms for p, t in zip(by_maker, truth, strict=True)]
            )
        )
    return found


def rows(part: dict[str, Any]) -> list[tuple[str, str]]:
    """Lines of the table."""
    found = [
        (
            f"latency of {part['n_held_out']} held-out configurations from {part['n_calibration']}",
            f"median error {share(part['error_median'])}, p90 {share(part['error_p90'])}, 90 % intervals hold "
            f"{share(part['intervals_hold'])}; FLOPs alone {share(part['flops_alone_error_median'])}; noise floor "
            f"{share(part['noise_floor_median'])}",
        )
    ]
    if "datasheet_median_ratio" in part:
        found.append(
            (
                "latency from the data sheet alone",
                f"measured over predicted {part['datasheet_median_ratio']:.2f} (median), intervals hold "
                f"{share(part['datasheet_intervals_hold'])}",
            )
        )
    return found
