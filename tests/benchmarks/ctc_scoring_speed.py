"""CTC scoring in batches of 16 against one window at a time, with identical texts.

Run: OMP_NUM_THREADS=1 python tests/benchmarks/ctc_scoring_speed.py [BACKBONE ...]

Random weights with a lively head, 64 windows of simulated speech of half a second to 2 s, x_T = 2 s, float32.
"""

from __future__ import annotations

import sys

import numpy as np
import speech_bench
import torch
from torch import nn

from planner.words.catalogue import backbone
from planner.words.records import Trial
from runner.models.base import Audio, BuildRequest, Prediction
from runner.models.builders import builder_for
from runner.trial.hearing import predict

N, SECONDS, BATCH, TARGET = 64, 2.0, 16, 3.0
BACKBONES = ("wav2vec2-micro", "parakeet-micro", "w2v-bert-micro", "wav2vec2-base-960h")


def speech(n: int) -> list[Audio]:
    """Noise under slow envelopes, of lengths between a quarter of the window and all of it."""
    rng = np.random.default_rng(0)
    found = []
    for seconds in rng.uniform(0.25 * SECONDS, SECONDS, n):
        t = np.linspace(0.0, 20.0 * seconds, round(16_000 * seconds))
        found.append((0.1 * (1 + np.sin(t)) * rng.standard_normal(len(t))).astype(np.float32))
    return found


def main(names: list[str]) -> None:
    """Print ours, one by one, the ratio, its noise, the target and the verdict of each backbone."""
    torch.set_num_threads(1)
    audio = speech(N)
    for name in names:
        shape = backbone(name)
        trial = Trial(
            task="asr", dataset="bench", dataset_digest="0", split_policy="official", n_train=1, n_test=1,
            backbone=name, audio_seconds=SECONDS, initialisation="random",
        )  # fmt: skip
        model = builder_for(shape.family, "asr")(
            BuildRequest(trial=trial, backbone=shape, device=torch.device("cpu"))
        )
        nn.init.normal_(model.module.get_submodule(model.head_names()[0]).weight, 0.0, 1.0)  # type: ignore[arg-type]

        def batched() -> list[Prediction]:
            parts = [audio[i : i + BATCH] for i in range(0, N, BATCH)]
            return [p for part in parts for p in predict(model, part, trial, "float32")]  # noqa: B023

        def single() -> list[Prediction]:
            return [predict(model, [a], trial, "float32")[0] for a in audio]  # noqa: B023

        equal = sum(a.text == b.text for a, b in zip(batched(), single(), strict=True))
        found = speech_bench.compared(batched, single, 2, warm=False)
        speech_bench.line(name, found, TARGET, f"identical texts {equal} of {N}")


if __name__ == "__main__":
    main(sys.argv[1:] or list(BACKBONES))
