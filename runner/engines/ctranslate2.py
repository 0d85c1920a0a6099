"""An exported Whisper in CTranslate2, called with features of the window's own length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import numpy as np

from planner.words.records import Decoding
from runner.data.audio import Audio
from runner.engines.base import Engine, Output, guarded, token_limit
from runner.engines.description import Description
from runner.engines.features import Floats, log_mel
from runner.engines.stem import Stem, between
from runner.engines.text import reader


class Recogniser:
    """Speech to text by CTranslate2's own decoder, held to the rules of `runner.models.decode`."""

    def __init__(self, folder: Path, about: Description, threads: int) -> None:
        import ctranslate2

        self._library = ctranslate2
        self.about, self.version = about, version_of("ctranslate2")
        device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
        self._model = ctranslate2.models.Whisper(
            str(folder), device=device, compute_type=about.precision,
            intra_threads=threads, inter_threads=1,
        )  # fmt: skip
        special = about.steering
        self._never = [*special.silent, *range(special.end + 1, about.vocab_size)]
        self._decode = reader(folder, about.text, special.end)
        outside = about.stem_stride != 2
        self._stem = Stem.load(folder / "stem.npz", about.stem_stride) if outside else None

    def run(
        self, windows: Sequence[Audio], *, exactly: int | None = None, confidences: bool = False
    ) -> list[Output]:
        """Texts of windows that are decoded together; one limit holds for all of them."""
        about, n_samples = self.about, [len(window) for window in windows]

        def once(places: Sequence[int], decoding: Decoding, sure: bool) -> list[Output]:
            states = self._states([windows[i] for i in places])
            ends = [token_limit(decoding, n_samples[i], about.room) for i in places]
            return self._decoded(states, decoding, ends, exactly, sure)

        return guarded(
            once, n_samples, about.decoding, about.room, self._decode,
            exactly=exactly, confidences=confidences,
        )  # fmt: skip

    def _decoded(
        self, states: Any, decoding: Decoding, ends: Sequence[int], exactly: int | None, sure: bool
    ) -> list[Output]:
        special = self.about.steering
        found = self._model.generate(
            states,
            [list(special.prompt)] * len(ends),
            beam_size=1,
            max_length=_max_length(exactly or max(ends), len(special.prompt)),
            no_repeat_ngram_size=decoding.no_repeat_ngram,
            suppress_blank=True,
            suppress_tokens=[*self._never, special.end] if exactly else self._never,
            return_scores=sure,
            length_penalty=0,
        )
        return [self._output(one, end, exactly) for one, end in zip(found, ends, strict=True)]

    def _output(self, found: Any, end: int, exactly: int | None) -> Output:
        ids = [int(i) for i in found.sequences_ids[0]]
        ids = [i for i in ids if i < self.about.steering.end]
        n_tokens = min(len(ids) + 1, end) if exactly is None else exactly
        ids = ids[:n_tokens]
        sure = math.exp(found.scores[0] / n_tokens) if found.scores else None
        return Output(text=self._decode(ids), ids=tuple(ids), n_tokens=n_tokens, confidence=sure)

    def _states(self, windows: Sequence[Audio]) -> Any:
        """Encoder states, or what CTranslate2's encoder takes where nothing follows it."""
        features = log_mel(windows, *self.about.mel_shape)
        if self._stem is not None:
            features = np.stack([between(self._stem.frames(one)) for one in features])
        encoded = self._model.encode(self._view(features), to_cpu=self.about.output_stride > 1)
        if self.about.output_stride == 1:
            return encoded
        return self._view(self._reduced(np.asarray(encoded)))

    def _reduced(self, states: Floats) -> Floats:
        factor = self.about.output_stride
        if "mean-pool" not in self.about.reduction:
            return np.ascontiguousarray(states[:, ::factor])
        starts = range(0, states.shape[1], factor)
        pooled = [states[:, i : i + factor].mean(axis=1, keepdims=True) for i in starts]
        return np.concatenate(pooled, axis=1)

    def _view(self, array: Floats) -> Any:
        return self._library.StorageView.from_array(np.ascontiguousarray(array))


def _max_length(n_tokens: int, n_prompt: int) -> int:
    """The `max_length` that gives so many output tokens (findings/ctranslate2_whisper_max_length.sh).

    CTranslate2 stops at the smaller of its half, and of it less the prompt but for the last id.

    >>> _max_length(17, 4), _max_length(1, 4)
    (34, 4)
    """
    return max(2 * n_tokens, n_tokens + n_prompt - 1)


def open_engine(folder: Path, about: Description, threads: int) -> Engine:
    """The folder's model, ready to run."""
    return Recogniser(folder, about, threads)
