"""What the parts of `gpu.py` share: models with random weights on the device, its data sheet, fair timing."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from planner.costs.latency.data_sheets import DATA_SHEETS
from planner.costs.latency.transfer import DataSheet
from planner.words.catalogue import BUILT_IN, Backbone
from planner.words.records import Adaptation, Reduction, Trial
from runner.models.adapt import Group, adapt
from runner.models.base import SAMPLE_RATE, Audio, BuildRequest, SpeechModel
from runner.models.builders import builder_for
from runner.models.whisper import ByteTokenizer
from runner.probing.imported import FORMAT as FORMAT
from runner.trial.device import describe, synchronise

CPU_SHEET = DataSheet(name="one core", kind="cpu", peak_flops=1e11, bandwidth=1e10)
"""A CPU core (assumption), so that the path can be tried without a GPU."""


@dataclass(kw_only=True)
class Bench:
    """The device under test.

    Attributes:
        device: where everything runs.
        small: micro models in place of those that people deploy.
        ends: when the part that runs should end (monotonic seconds).
    """

    device: torch.device
    small: bool = False
    ends: float = field(default=float("inf"))

    @property
    def left(self) -> float:
        """Seconds that the part still has."""
        return self.ends - time.monotonic()

    @property
    def precision(self) -> str:
        """Element type of training and deployment."""
        return "bfloat16" if self.device.type == "cuda" else "float32"

    @property
    def sheet(self) -> DataSheet | None:
        """The maker's data sheet of the device, where it is one that is known."""
        if self.device.type == "cpu":
            return CPU_SHEET
        return DATA_SHEETS.get(describe(self.device).name)

    def whispers(self) -> tuple[str, ...]:
        """Names of the speech recognisers, the smallest first."""
        if self.small:
            return ("whisper-micro",)
        return ("whisper-small", "whisper-medium", "whisper-large-v3")

    def built(self, name: str, trial: Trial) -> SpeechModel:
        """A model with random weights on the device."""
        shape = BUILT_IN.backbone(name)
        request = BuildRequest(
            trial=trial, backbone=shape, device=self.device, tokenizer=ByteTokenizer(),
            labels=("a", "b", "c"), attention="sdpa",
        )  # fmt: skip
        return builder_for(shape.family, trial.task)(request)

    def adapted(
        self, name: str, seconds: float, task: str
    ) -> tuple[SpeechModel, list[Group], Trial]:
        """A model with LoRA of rank 16 on it."""
        trial = trial_of(BUILT_IN.backbone(name), seconds, task, Adaptation(lora_rank=16))
        model = self.built(name, trial)
        return model, adapt(model, trial.adaptation, 0), trial

    def timed(self, work: Callable[[], object], n: int) -> list[float]:
        """Wall seconds of n calls, each until the device has done what it was asked."""
        found = []
        for _ in range(n):
            synchronise(self.device)
            started = time.perf_counter()
            work()
            synchronise(self.device)
            found.append(time.perf_counter() - started)
        return found

    def free(self) -> None:
        """Give back what a part has left behind."""
        gc.collect()
        torch._dynamo.reset()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def versions(self) -> dict[str, str]:
        """Of what the figures depend on."""
        import peft
        import transformers

        told = {
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "peft": peft.__version__,
        }
        if self.device.type == "cuda":
            told["cuda"] = str(torch.version.cuda)
        return told


def trial_of(shape: Backbone, seconds: float, task: str, adaptation: Adaptation) -> Trial:
    """A trial of a backbone at full token rate that no data belong to."""
    return Trial(
        task=task, dataset="none", dataset_digest="", split_policy="none", n_train=0, n_test=0,
        backbone=shape.name, audio_seconds=seconds, reduction=Reduction(), adaptation=adaptation,
        initialisation="random",
    )  # fmt: skip


def noise(n: int, seconds: float) -> list[Audio]:
    """Windows of noise, always the same ones."""
    rng = np.random.default_rng(0)
    return [
        rng.normal(0.0, 0.05, round(SAMPLE_RATE * seconds)).astype(np.float32) for _ in range(n)
    ]


def ms(seconds: float) -> str:
    """A time for people.

    >>> ms(0.0123)
    '12.3 ms'
    """
    return f"{1e3 * seconds:.3g} ms"


def share(value: Any) -> str:
    """A ratio in percent, or a dash.

    >>> share(0.4321), share(None)
    ('43.2 %', '–')
    """
    return "–" if value is None else f"{100 * value:.1f} %"
