"""Speech of LibriSpeech-like lengths, models on it, and fair timing, for the runner's benchmarks."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from planner.words.catalogue import backbone
from planner.words.records import Adaptation, Optimisation, Reduction, Trial
from runner.data.clips import DataSpec
from runner.data.corpus import load_corpus
from runner.data.packing import load_example
from runner.models.adapt import Group, adapt
from runner.models.base import Audio, BuildRequest, SpeechModel
from runner.models.builders import builder_for
from runner.models.whisper import ByteTokenizer
from runner.trial.features import Example
from runner.weights.base_weights import base_weights

MEAN, MEDIAN, LONGEST = 7.18, 5.92, 30.0
"""LibriSpeech dev-clean's utterances (s): mean and median give a lognormal, cut at the window."""


def utterances(n: int, seed: int = 0) -> list[tuple[Audio, str]]:
    """Recorded prompts, joined to lengths drawn from LibriSpeech's distribution, with their texts."""
    clips = [c for c in load_corpus(DataSpec(name="prompts", task="asr")).clips if c.fault is None]
    rng = np.random.default_rng(seed)
    lengths = rng.lognormal(np.log(MEDIAN), np.sqrt(2 * np.log(MEAN / MEDIAN)), n)
    lengths = np.clip(lengths, 1.5, LONGEST)
    order = iter(list(rng.permutation(len(clips))) * 50)
    found = []
    for wanted in lengths:
        run, held = [], 0.0
        while held < wanted - 1.0:
            clip = clips[int(next(order))]
            if held + clip.audio_seconds + 0.3 <= LONGEST and clip.audio_seconds <= wanted + 1.0:
                run.append(clip)
                held += clip.audio_seconds + 0.3
        found.append(load_example(run))
    return found


def made(
    name: str,
    audio_seconds: float,
    *,
    reduction: str = "none",
    padding: str = "dynamic",
    adaptation: Adaptation | None = None,
    optimisation: Optimisation | None = None,
    pretrained: bool = True,
) -> tuple[SpeechModel, list[Group], Trial]:
    """An adapted Whisper for speech recognition, with real weights where they can be had."""
    trial = Trial(
        task="asr", dataset="bench", dataset_digest="0", split_policy="official", n_train=1, n_test=1,
        backbone=name, audio_seconds=audio_seconds, reduction=Reduction.parse(reduction), padding=padding,
        adaptation=adaptation or Adaptation(lora_rank=8), optimisation=optimisation or Optimisation(),
        initialisation="pretrained" if pretrained else "random",
    )  # fmt: skip
    shape = backbone(name)
    base: dict[str, Any] = {"state": None, "tokenizer": ByteTokenizer()}
    if pretrained:
        weights = base_weights(shape, None)
        base = {"state": weights.state, "tokenizer": weights.tokenizer, "config": weights.config}
    request = BuildRequest(trial=trial, backbone=shape, device=torch.device("cpu"), **base)
    model = builder_for("whisper", "asr")(request)
    return model, adapt(model, trial.adaptation, 0), trial


def examples_of(spoken: Sequence[tuple[Audio, str]]) -> list[Example]:
    """Training examples that are in memory already."""
    return [
        Example(name=str(i), read=lambda pair=pair: pair, seconds=len(pair[0]) / 16_000)
        for i, pair in enumerate(spoken)
    ]


def seconds_of(work: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """The reference's time over ours, from interleaved pairs, and the noise floor of such a ratio."""

    ours: float
    reference: float
    ratio: float
    noise: float


def compared(
    ours: Callable[[], object], reference: Callable[[], object], n_rounds: int, warm: bool = True
) -> Ratio:
    """Time both in the order A B B A; the noise floor is the spread of ours against itself."""
    if warm:
        ours()
        reference()
    a: list[float] = []
    b: list[float] = []
    for _ in range(n_rounds):
        a.append(seconds_of(ours))
        b.append(seconds_of(reference))
        b.append(seconds_of(reference))
        a.append(seconds_of(ours))
    pairs = np.array(b) / np.array(a)
    same = np.array(a[::2]) / np.array(a[1::2])
    return Ratio(
        ours=float(np.median(a)),
        reference=float(np.median(b)),
        ratio=float(np.median(pairs)),
        noise=float(np.max(np.abs(same - 1))),
    )


def line(name: str, found: Ratio, target: float, more: str = "") -> None:
    """One row: ours, reference (s), ratio, noise floor, target and verdict."""
    verdict = "met" if found.ratio >= target else "MISSED"
    print(
        f"{name:46s} {found.ours:8.3f} {found.reference:8.3f} {found.ratio:7.2f}x  noise "
        f"{100 * found.noise:4.1f} %  target {target:5.2f}x  {verdict}  {more}",
        flush=True,
    )
