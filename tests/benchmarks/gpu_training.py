"""LoRA steps: FLOPs counted against FLOP/s achieved, and peak memory against the closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gpu_common import Bench, ms, noise, share

from planner.costs.flops.training import training_flops
from planner.costs.memory.peak import training_memory
from planner.words.catalogue import BUILT_IN
from planner.words.records import Optimisation, Resources, Trial
from runner.models.adapt import execute_as
from runner.models.base import SpeechModel
from runner.trial.device import PeakMemory
from runner.trial.features import Item
from runner.trial.train import accumulate, is_out_of_memory, make_optimiser

SECONDS = 30.0
N_LABELS = 80
"""Tokens of half a minute of speech with the end token, at some 2.6 a second (assumption)."""
GAIN = 1.03
"""A larger micro-batch is kept where throughput rises by so much (assumption: below it is noise)."""
N_TIMED = 4


def measure(bench: Bench) -> dict[str, Any]:
    """Every model's largest useful micro-batch, its rate and memory; the first one also compiled."""
    found, models = [], [(name, "asr") for name in bench.whispers()]
    models.append(("wav2vec2-micro" if bench.small else "wav2vec2-large", "emotion"))
    for place, (name, task) in enumerate(models):
        share_left = bench.left / (len(models) - place)
        found.append(_model(bench, name, task, compiled=False))
        # Compiling pays for itself in a session's training, hardly within these minutes: one model shows it.
        if place == 0 and bench.left > share_left / 2:
            found.append(_model(bench, name, task, compiled=True))
        bench.free()
        if bench.left <= 0:
            break
    return {"steps": found, "seconds_of_audio": SECONDS, "n_label_tokens": N_LABELS}


def _model(bench: Bench, name: str, task: str, *, compiled: bool) -> dict[str, Any]:
    seconds = 2.0 if bench.small else SECONDS if task == "asr" else 10.0
    model, groups, trial = bench.adapted(name, seconds, task)
    execute_as(model, Resources(compile=compiled))
    optimiser = make_optimiser(groups, Optimisation())
    best: dict[str, Any] = {}
    batch = 1 if bench.small else 4
    while bench.left > 0:
        try:
            told = _batch(bench, model, optimiser, trial, batch)
        except Exception as problem:
            if not is_out_of_memory(problem):
                raise
            best["largest_refused"] = batch
            bench.free()
            break
        if best and told["windows_per_second"] < GAIN * best["windows_per_second"]:
            break
        best, batch = told, 2 * batch
    return {"model": name, "task": task, "compiled": compiled, **best}


def _batch(
    bench: Bench, model: SpeechModel, optimiser: torch.optim.Optimizer, trial: Trial, batch: int
) -> dict[str, Any]:
    """Steps of one micro-batch: seconds, achieved FLOP/s, peak memory, beside what is counted."""
    windows = noise(min(batch, 4), trial.audio_seconds)
    with torch.no_grad():
        rows = model.features(windows)
    labels = model.targets(["x" * (N_LABELS - 1)] if trial.task == "asr" else ["a"])[0]
    items = [Item(rows[i % len(rows)], labels, trial.audio_seconds) for i in range(batch)]

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        accumulate(model, items, batch, bench.precision)
        optimiser.step()

    model.module.train()
    bench.timed(step, 2)
    peak = PeakMemory(bench.device)
    taken = bench.timed(step, N_TIMED)
    used = peak.peak_bytes()
    seconds = float(np.median(taken))
    shape = BUILT_IN.backbone(trial.backbone)
    asked: dict[str, Any] = {
        "audio_seconds": trial.audio_seconds, "reduction": trial.reduction, "adaptation": trial.adaptation,
        "n_label_tokens": N_LABELS if trial.task == "asr" else 0, "task": trial.task,
    }  # fmt: skip
    flops = batch * training_flops(shape, **asked).total
    counted = training_memory(shape, micro_batch=batch, precision=bench.precision, **asked)
    sheet = bench.sheet
    return {
        "micro_batch": batch,
        "step_seconds": seconds,
        "step_spread": float(np.ptp(taken) / seconds),
        "windows_per_second": batch / seconds,
        "flops": flops,
        "achieved_flops_per_second": flops / seconds,
        "mfu": None if sheet is None else flops / seconds / sheet.peak_flops,
        "peak_bytes": used,
        "counted_bytes": counted.total,
        "counted_parts": counted.parts,
    }


def rows(part: dict[str, Any]) -> list[tuple[str, str]]:
    """Lines of the table."""
    found = []
    for one in part["steps"]:
        if "step_seconds" not in one:
            found.append((f"LoRA step, {one['model']}", "no time was left"))
            continue
        memory = "not told" if one["peak_bytes"] is None else f"{one['peak_bytes'] / 2**30:.1f} GiB"
        found.append(
            (
                f"LoRA step, {one['model']} ({one['task']}), {'compiled' if one['compiled'] else 'eager'}, "
                f"batch {one['micro_batch']}",
                f"{ms(one['step_seconds'])} (spread {share(one['step_spread'])}), "
                f"{one['achieved_flops_per_second'] / 1e12:.3g} TFLOP/s, MFU {share(one['mfu'])}; peak {memory} "
                f"against {one['counted_bytes'] / 2**30:.1f} GiB counted",
            )
        )
    return found
