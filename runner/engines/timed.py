"""An exported model as a contestant: one window to so many tokens, by the rule of `runner.trial.timing`."""

from __future__ import annotations

import time

import numpy as np

from runner.data.audio import Audio
from runner.engines.features import log_mel, normalised
from runner.engines.runtime import Model
from runner.trial.timing import Ready

STAGES = ("features", "rest")
"""An engine runs encoder and decoder in one call; the line over the tokens parts them."""

REPEATS = 3
"""How often the features of a window are computed to know their share (assumption: they hardly vary)."""


def engine_ready(model: Model, threads: int) -> Ready:
    """The model under the clock.

    Args:
        model: an opened folder.
        threads: that it was opened with. With one, the process's clock is that of the thread that computes,
            wherever the engine keeps it; with several no clock tells waiting from idling.
    """
    feature_rate = _feature_seconds(model) / model.about.n_samples

    def window(audio: Audio, n_output_tokens: int) -> tuple[float, float]:
        began = time.perf_counter()
        model.engine.run([audio], exactly=n_output_tokens or None)
        whole = time.perf_counter() - began
        features = min(whole, feature_rate * len(audio))
        return features, whole - features

    return Ready(
        time_window=window,
        stages=STAGES,
        processor_seconds=time.process_time if threads == 1 else None,
    )


def _feature_seconds(model: Model) -> float:
    """Seconds that the features of a whole window take by themselves: the least of a few."""
    about, least = model.about, float("inf")
    audio = np.random.default_rng(0).normal(0.0, 0.05, about.n_samples).astype(np.float32)
    for _ in range(REPEATS):
        began = time.perf_counter()
        if about.family == "whisper":
            log_mel([audio], *about.mel_shape)
        else:
            normalised([audio], about.n_samples)
        least = min(least, time.perf_counter() - began)
    return least
