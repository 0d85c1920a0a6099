"""Whether the device computes what the CPU computes: losses, tokens and features in float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gpu_common import Bench, ms, noise, trial_of

from planner.words.catalogue import BUILT_IN
from planner.words.records import Adaptation, Decoding, Optimisation
from runner.models.adapt import adapt
from runner.models.base import BuildRequest
from runner.models.builders import builder_for
from runner.models.logmel import log_mel
from runner.models.whisper import ByteTokenizer
from runner.trial.features import Item
from runner.trial.train import accumulate, make_optimiser

LOSS_TOLERANCE = 1e-4
"""Largest relative difference of a float32 loss over five steps (sums run in another order)."""
N_STEPS = 5


def measure(bench: Bench) -> dict[str, Any]:
    """The same weights and windows on the CPU and on the device, TF32 off."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    name = "whisper-micro" if bench.small else "whisper-tiny"
    there = {d: _losses(name, torch.device(d)) for d in ("cpu", bench.device.type)}
    (first, tokens), (second, others) = there["cpu"], there[bench.device.type]
    gap = float(np.max(np.abs(np.array(second) / np.array(first) - 1)))
    windows = noise(32, 2.0 if bench.small else 30.0)
    n_frames = round(100 * len(windows[0]) / 16_000)
    here, other = log_mel(windows, n_frames, 80), log_mel(windows, n_frames, 80, bench.device)
    on_cpu = bench.timed(lambda: log_mel(windows, n_frames, 80), 3)
    on_device = bench.timed(lambda: log_mel(windows, n_frames, 80, bench.device), 3)
    return {
        "model": name,
        "loss_difference": gap,
        "losses_agree": gap <= LOSS_TOLERANCE,
        "tokens_equal": tokens == others,
        "features_difference": float((here - other.cpu()).abs().max()),
        "features_cpu_seconds": float(np.median(on_cpu)),
        "features_device_seconds": float(np.median(on_device)),
    }


def _losses(name: str, device: torch.device) -> tuple[list[float], list[tuple[int, ...]]]:
    """Losses of a few LoRA steps from the same start, and the tokens that are decoded after them."""
    torch.manual_seed(0)
    shape = BUILT_IN.backbone(name)
    trial = trial_of(shape, 4.0, "asr", Adaptation(lora_rank=8))
    # The weights of a whole window: a shorter one takes the first rows of its positions.
    whole = trial_of(shape, 30.0, "asr", Adaptation(kind="none", lora_rank=None))
    request = BuildRequest(
        trial=whole,
        backbone=shape,
        device=torch.device("cpu"),
        tokenizer=ByteTokenizer(),
        attention="sdpa",
    )
    state = builder_for("whisper", "asr")(request).module.state_dict()
    on_device = BuildRequest(
        trial=trial,
        backbone=shape,
        device=device,
        tokenizer=ByteTokenizer(),
        attention="sdpa",
        state=state,
    )
    model = builder_for("whisper", "asr")(on_device)
    groups = adapt(model, trial.adaptation, 0)
    optimiser = make_optimiser(groups, Optimisation())
    rows = model.features(noise(4, 4.0))
    items = [Item(row, model.targets(["some words"])[0], 4.0) for row in rows]
    losses = []
    model.module.train()
    for _ in range(N_STEPS):
        optimiser.zero_grad(set_to_none=True)
        losses.append(accumulate(model, items, 2, "float32"))
        optimiser.step()
    model.module.eval()
    with torch.inference_mode():
        decoded = model.decode(model.encode(rows), Decoding(), exactly=12)
    return losses, [one.token_ids for one in decoded]


def rows(part: dict[str, Any]) -> list[tuple[str, str]]:
    """Lines of the table."""
    return [
        (
            f"float32 against the CPU, {part['model']}",
            f"losses of five steps differ by {part['loss_difference']:.1e} at most "
            f"({'within' if part['losses_agree'] else 'BEYOND'} {LOSS_TOLERANCE:g}), tokens "
            f"{'equal' if part['tokens_equal'] else 'differ'}",
        ),
        (
            "features of 32 windows",
            f"{ms(part['features_device_seconds'])} on the device, {ms(part['features_cpu_seconds'])} on the CPU; "
            f"at most {part['features_difference']:.1e} apart",
        ),
    ]
