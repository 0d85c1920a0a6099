"""Latency predicted for configurations that were not measured, against FLOPs and against the noise.

Run: OMP_NUM_THREADS=1 python tests/benchmarks/latency_holdout.py [ROUNDS [HOLDOUTS]]

Whisper-shaped models with random weights (the time does not depend on what they say) run the runner's
own path, features to tokens, on one thread. A design chooses 12 configurations out of a pool for
calibration; as many others as asked are held out. Three fresh processes measure all of them in shuffled
rounds, so that no configuration meets a quieter machine than another. Wall time gives the verdict;
the same figures by processor time tell what a busy machine did to them.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from planner.costs.flops.forward import forward_flops
from planner.costs.latency.model import fit_latency_model
from planner.costs.latency.probe_points import calibration_points
from planner.costs.latency.stages import GROUPS
from planner.costs.windows import Windows, windows_of
from planner.words.catalogue import Backbone, Catalogue, Whisper
from planner.words.records import Decoding, Device, Latency, Reduction

PROCESSES = 3
N_CALIBRATION = 12
SHAPES = {
    "d128-e2-d2": (128, 2, 2), "d192-e6-d3": (192, 6, 3), "d256-e4-d4": (256, 4, 4), "d384-e4-d4": (384, 4, 4),
    "d384-e8-d2": (384, 8, 2), "d512-e3-d6": (512, 3, 6), "d512-e6-d6": (512, 6, 6),
}  # fmt: skip


BACKBONES = {
    name: Whisper(
        name=name, d_model=d, encoder_layers=encoder, decoder_layers=decoder, n_heads=d // 64,
        n_mels=80, vocab_size=51865, ffn_dim=4 * d,
    )
    for name, (d, encoder, decoder) in SHAPES.items()
}  # fmt: skip
"""The shapes above; two are whisper-tiny's and whisper-base's."""
CATALOGUE = Catalogue(tuple(BACKBONES.values()))


@dataclass(frozen=True, kw_only=True)
class Window:
    """One window by its numbers: these are drawn, compared and timed one by one."""

    backbone: Backbone
    audio_seconds: float
    reduction: Reduction
    n_output_tokens: int

    def counted(self) -> Windows:
        """What its costs are counted for."""
        return windows_of(
            self.backbone, self.audio_seconds, self.reduction, n_output_tokens=self.n_output_tokens
        )


def pool(n: int) -> list[Window]:
    """n different configurations drawn from the axes, always the same ones."""
    rng, found = random.Random(7), []
    while len(found) < n:
        window = Window(
            backbone=CATALOGUE.backbone(rng.choice(list(SHAPES))),
            audio_seconds=rng.choice((1.0, 2.0, 4.0, 8.0, 15.0, 30.0)),
            reduction=Reduction.parse(
                rng.choice(("none", "none", "stem:2", "stem:4", "layer2:2", "output:4"))
            ),
            n_output_tokens=rng.choice((1, 4, 12, 24, 40)),
        )
        if window not in found:
            found.append(window)
    return found


class Bench:
    """One module for each shape; x_T and x_V are applied before each sample, outside the clock."""

    def __init__(self) -> None:
        import torch
        from transformers import WhisperForConditionalGeneration

        from runner.models.whisper import config_of

        torch.set_num_threads(1)
        torch.manual_seed(0)
        self.modules: dict[str, tuple[Any, Any]] = {}
        for name in SHAPES:
            module = WhisperForConditionalGeneration(config_of(CATALOGUE.backbone(name)))
            module.tie_weights()
            self.modules[name] = (module.eval(), module.model.encoder.embed_positions.weight.data)
        self.audio = np.random.default_rng(0).normal(0, 0.05, 480_000).astype(np.float32)

    def sample(self, w: Window) -> list[list[float]]:
        """Seconds of each stage: by the wall, and by the processor."""
        import torch
        from torch import nn

        from planner.costs.flops.lengths import encoder_positions, mel_frames
        from runner.models.reduction import attach_to_layers
        from runner.models.whisper import ByteTokenizer, WhisperRecogniser

        module, table = self.modules[w.backbone.name]
        encoder, step = module.model.encoder, w.reduction.factor if w.reduction.place == "stem" else 1  # fmt: skip
        rows = table[::step][: encoder_positions(w.backbone, w.audio_seconds, w.reduction)]
        encoder.conv2.stride = (2 * step,)
        encoder.embed_positions = nn.Embedding(*rows.shape, _weight=rows.clone())
        module.config.max_source_positions = len(rows)
        for part in (encoder, *encoder.layers):
            part._forward_hooks.clear()
        attach_to_layers(encoder, encoder.layers, w.reduction, w.backbone.name)
        frames = mel_frames(w.backbone, w.audio_seconds, w.reduction)  # type: ignore[arg-type]
        model = WhisperRecogniser(module, w.backbone, frames, ByteTokenizer(), torch.device("cpu"))  # type: ignore[arg-type]
        clip = self.audio[: round(16_000 * w.audio_seconds)]
        marks = [(time.perf_counter(), time.process_time())]
        with torch.inference_mode():
            features = model.features([clip])
            marks.append((time.perf_counter(), time.process_time()))
            encoded = model.encode(features)
            marks.append((time.perf_counter(), time.process_time()))
            model.decode(encoded, Decoding(), exactly=w.n_output_tokens)
            marks.append((time.perf_counter(), time.process_time()))
        return np.diff(np.array(marks), axis=0).T.tolist()


def measure(out: Path, rounds: int, seed: int, n: int) -> None:
    """One process: every configuration once a round, in shuffled order; samples to a file."""
    windows, bench, rng = chosen(n), Bench(), random.Random(seed)
    for window in windows[::4]:
        bench.sample(window)  # warm-up: libraries, allocator, hooks
    samples: list[list[Any]] = [[] for _ in windows]
    for _ in range(rounds):
        for i in rng.sample(range(len(windows)), len(windows)):
            samples[i].append(bench.sample(windows[i]))
    out.write_text(json.dumps(samples))


def chosen(n_holdouts: int) -> list[Window]:
    """Calibration points first, then the held-out ones."""
    candidates = pool(N_CALIBRATION + 2 * n_holdouts)
    points = calibration_points(
        [w.counted() for w in candidates], N_CALIBRATION, seconds=90.0, samples=15
    )
    rest = [w for i, w in enumerate(candidates) if i not in points]
    return [*(candidates[i] for i in points), *rest[:n_holdouts]]


def latency_of(w: Window, seconds: np.ndarray) -> Latency:
    """A record as `soundscale probe` writes it, from samples of shape (n, stages)."""
    total = 1e3 * seconds.sum(axis=1)
    p50, p90, p95, p99 = (float(q) for q in np.quantile(total, (0.5, 0.9, 0.95, 0.99)))
    low, high = np.quantile(total, (0.25, 0.75))
    return Latency(
        device=Device(name="here", kind="cpu", model="", n_threads=1), backbone=w.backbone.name,
        audio_seconds=w.audio_seconds, reduction=w.reduction, n_output_tokens=w.n_output_tokens,
        p50_ms=p50, p90_ms=p90, p95_ms=p95, p99_ms=p99, n_samples=len(total), n_warmup=1, n_processes=PROCESSES,
        noise_floor=float((high - low) / (2 * p50)),
        stages_ms=dict(zip(GROUPS, (1e3 * np.median(seconds, axis=0)).tolist(), strict=True)),
    )  # fmt: skip


def noise_floor(seconds: np.ndarray) -> float:
    """Median difference between the medians of two halves of the samples, A against A."""
    totals = seconds.sum(axis=2)
    a, b = np.median(totals[:, ::2], axis=1), np.median(totals[:, 1::2], axis=1)
    return float(np.median(np.abs(a / b - 1)))


def baseline_errors(windows: list[Window], found: list[Latency]) -> np.ndarray:
    """Errors of one rate of FLOPs, the median of the calibration points, on the held-out ones."""
    flops = np.array([flops_of(w) for w in windows])
    times = np.array([m.p50_ms for m in found])
    rate = np.median(times[:N_CALIBRATION] / flops[:N_CALIBRATION])
    return np.abs(rate * flops / times - 1)[N_CALIBRATION:]


def report(clock: str, windows: list[Window], seconds: np.ndarray) -> None:
    """Errors, baseline, noise floor, coverage and verdict for samples (configuration, sample, stage)."""
    from scipy.stats import spearmanr

    found = [latency_of(w, s) for w, s in zip(windows, seconds, strict=True)]
    model = fit_latency_model(found[:N_CALIBRATION], catalogue=CATALOGUE)
    predicted = model.predict_each([w.counted() for w in windows[N_CALIBRATION:]])
    held, noise = found[N_CALIBRATION:], noise_floor(seconds)
    pairs = list(zip(predicted, held, strict=True))
    errors = np.array([abs(p.p50_ms / m.p50_ms - 1) for p, m in pairs])
    baseline = np.median(baseline_errors(windows, found))
    rank = spearmanr([p.p50_ms for p in predicted], [m.p50_ms for m in held])[0]
    inside = np.mean([p.p50_low_ms <= m.p50_ms <= p.p50_high_ms for p, m in pairs])
    tail = np.mean([p.p95_low_ms <= m.p95_ms <= p.p95_high_ms for p, m in pairs])
    median, high = np.median(errors), np.quantile(errors, 0.9)
    share = median / baseline
    times = [m.p50_ms for m in held]
    print(f"{clock}: {len(held)} held out, {min(times):.0f} to {max(times):.0f} ms")
    line("noise floor, A against A", noise)
    line("median error", median, max(0.06, noise), median <= max(0.06, noise))
    line("90th percentile of errors", high, 0.18, high <= 0.18)
    line("FLOP-proportional, median", float(baseline))
    line("share of that", share, 1 / 6, share <= 1 / 6)
    line("rank correlation", rank, 0.98, rank >= 0.98)
    line("90 % interval of p50 holds", inside, 0.85, inside >= 0.85)
    line("90 % interval of p95 holds", tail, 0.85, tail >= 0.85)
    line("half-width, median", np.median([p.p50_high_ms / p.p50_ms - 1 for p in predicted]))


def line(name: str, value: float, target: float | None = None, met: bool = True) -> None:
    """One row: a figure, and its target where one is set."""
    verdict = "" if target is None else f"target {target:.3f}  {'met' if met else 'MISSED'}"
    print(f"  {name:28s}{value:8.3f}   {verdict}".rstrip(), flush=True)


def flops_of(w: Window) -> int:
    """FLOPs of a window, decoding included."""
    return forward_flops(
        w.backbone, audio_seconds=w.audio_seconds, reduction=w.reduction,
        n_output_tokens=w.n_output_tokens,
    ).total  # fmt: skip


def main() -> None:
    """Measure in fresh processes, then judge."""
    rounds, n = (int(a) for a in (*sys.argv[1:3], *("4", "48")[len(sys.argv) - 1 :]))
    began, samples = time.perf_counter(), []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(PROCESSES):
            out = Path(folder) / f"{seed}.json"
            child = [sys.executable, __file__, "--child", str(out), str(rounds), str(seed), str(n)]
            subprocess.run(child, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
            samples.append(np.array(json.loads(out.read_text())))
    everything = np.concatenate(samples, axis=1)  # configuration, sample, clock, stage
    windows = chosen(n)
    spent = time.perf_counter() - began
    print(
        f"{PROCESSES} processes, {rounds} rounds each, {N_CALIBRATION} calibration points, "
        f"load {os.getloadavg()[0]:.1f}, {spent:.0f} s"
    )
    report("wall time", windows, everything[:, :, 0])
    report("processor time", windows, everything[:, :, 1])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        measure(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
    else:
        main()
