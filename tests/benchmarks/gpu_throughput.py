"""Audio seconds a second of encoder and decoder in batches, and what they draw."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from gpu_common import Bench, noise, trial_of

from planner.words.catalogue import BUILT_IN
from planner.words.records import Adaptation, Decoding
from runner.models.adapt import DTYPES, deploy
from runner.models.base import Audio, SpeechModel
from runner.trial.device import synchronise

BATCHES = (1, 8, 32, 128)
N_TOKENS = 80
"""Output tokens of a window of half a minute (assumption: some 2.6 a second)."""
EVERY_SECONDS = 0.02
"""Between two readings of the power (assumption: the counter itself is renewed some ten times a second)."""


def _model(bench: Bench, name: str) -> tuple[SpeechModel, float]:
    seconds = 2.0 if bench.small else 30.0
    trial = trial_of(
        BUILT_IN.backbone(name), seconds, "asr", Adaptation(kind="none", lora_rank=None)
    )
    model = bench.built(name, trial)
    model.module.requires_grad_(False)
    deploy(model, bench.precision)
    model.module.eval()
    return model, seconds


@torch.inference_mode()
def measure(bench: Bench) -> dict[str, Any]:
    """Each batch size of each model: features, encoder, decoding of a forced number of tokens."""
    found = []
    n_tokens = 8 if bench.small else N_TOKENS
    for name in bench.whispers():
        model, seconds = _model(bench, name)
        for batch in BATCHES if not bench.small else (1, 4):
            if bench.left <= 0:
                break
            windows = noise(batch, seconds)
            stages = _stages(bench, model, windows, n_tokens)
            taken = {k: float(np.median(v)) for k, v in stages.items()}
            found.append(
                {
                    "model": name, "batch_size": batch, "n_output_tokens": n_tokens, "seconds": taken,
                    "rtfx": batch * seconds / sum(taken.values()),
                    "encoder_rtfx": batch * seconds / taken["encoder"],
                }
            )  # fmt: skip
        del model
        bench.free()
    return {"batches": found}


def _stages(
    bench: Bench, model: SpeechModel, windows: Sequence[Audio], n_tokens: int
) -> dict[str, list[float]]:
    """Seconds of each stage for one batch, warmed up."""
    features = model.features(windows).to(DTYPES[bench.precision])
    encoded = model.encode(features)
    model.decode(encoded, Decoding(), exactly=n_tokens)
    return {
        "features": bench.timed(lambda: model.features(windows), 3),
        "encoder": bench.timed(lambda: model.encode(features), 3),
        "decoding": bench.timed(lambda: model.decode(encoded, Decoding(), exactly=n_tokens), 2),
    }


def rows(part: dict[str, Any]) -> list[tuple[str, str]]:
    """Lines of the table: the best batch of each model."""
    best: dict[str, dict[str, Any]] = {}
    for one in part["batches"]:
        kept = best.get(one["model"])
        best[one["model"]] = one if kept is None or one["rtfx"] > kept["rtfx"] else kept
    return [
        (
            f"throughput, {name}, batch {one['batch_size']}, {one['n_output_tokens']} tokens a window",
            f"{one['rtfx']:,.0f} audio seconds a second ({one['encoder_rtfx']:,.0f} of the encoder alone)",
        )
        for name, one in best.items()
    ]


class Meter:
    """Energy of one NVIDIA card: its own counter (mJ since the driver was loaded), and power over time."""

    def __init__(self) -> None:
        import pynvml

        pynvml.nvmlInit()
        self._nvml, self._handle = pynvml, pynvml.nvmlDeviceGetHandleByIndex(0)
        self._watts: list[tuple[float, float]] = []
        self._over = threading.Event()

    def __enter__(self) -> Meter:
        self._first = self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._over.is_set():
            watts = self._nvml.nvmlDeviceGetPowerUsage(self._handle) / 1e3
            self._watts.append((time.perf_counter(), watts))
            self._over.wait(EVERY_SECONDS)

    def __exit__(self, *problem: object) -> None:
        self._over.set()
        self._thread.join()
        self.counted = (
            self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle) - self._first
        ) / 1e3
        at, watts = (np.array(column) for column in zip(*self._watts, strict=True))
        self.integrated = float(np.trapezoid(watts, at))
        self.watts = float(watts.mean())


@torch.inference_mode()
def measure_energy(bench: Bench) -> dict[str, Any]:
    """Joules of encoding in batches for a while, by the counter and by power times time."""
    if bench.device.type != "cuda":
        return {"problem": "only NVIDIA's cards count their energy"}
    model, seconds = _model(bench, bench.whispers()[0])
    windows = noise(32, seconds)
    features = model.features(windows).to(DTYPES[bench.precision])
    n, began = 0, time.perf_counter()
    with Meter() as meter:
        while time.perf_counter() - began < max(5.0, min(30.0, bench.left - 2.0)):
            model.encode(features)
            synchronise(bench.device)
            n += 1
    spent = time.perf_counter() - began
    hours = n * len(windows) * seconds / 3600
    return {
        "joules_counted": meter.counted,
        "joules_integrated": meter.integrated,
        "watts": meter.watts,
        "seconds_measured": spent,
        "joules_per_audio_hour": meter.counted / hours,
    }


def energy_rows(part: dict[str, Any]) -> list[tuple[str, str]]:
    """Lines of the table."""
    return [
        (
            f"energy of encoding for {part['seconds_measured']:.0f} s",
            f"{part['joules_counted']:,.0f} J by the card's counter, {part['joules_integrated']:,.0f} J by power times "
            f"time ({part['watts']:.0f} W); {part['joules_per_audio_hour']:.3g} J an hour of audio",
        )
    ]
