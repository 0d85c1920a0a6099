"""An exported transformers folder, run by transformers' own generate: the slow reference of the others."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from planner.words.records import Decoding
from runner.data.audio import Audio
from runner.engines.base import Engine, Output, guarded, one_by_one
from runner.engines.description import Description
from runner.engines.features import log_mel
from runner.engines.quiet import quiet_transformers
from runner.engines.text import reader


def load_stock(folder: Path) -> Any:
    """What transformers makes of a folder; the code beside its weights is ours, and a stock one brings none."""
    from transformers import AutoModelForSpeechSeq2Seq

    own_code = "auto_map" in json.loads((folder / "config.json").read_text())
    return AutoModelForSpeechSeq2Seq.from_pretrained(folder, trust_remote_code=own_code)


class Recogniser:
    """Speech to text by AutoModelForSpeechSeq2Seq."""

    def __init__(
        self,
        folder: Path,
        about: Description,
        threads: int,
        load: Callable[[Path], Any] | None = None,
    ) -> None:
        import torch

        torch.set_num_threads(threads)
        self._torch: Any = torch
        self.about, self.version = about, version_of("transformers")
        with quiet_transformers():
            loaded = (load or load_stock)(folder)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model = loaded.eval().to(self._device)
        self._decode = reader(folder, about.text, about.steering.end)

    def run(
        self, windows: Sequence[Audio], *, exactly: int | None = None, confidences: bool = False
    ) -> list[Output]:
        """Texts of windows, one after the other."""
        about, n_samples = self.about, [len(window) for window in windows]

        def one(place: int, decoding: Decoding, limit: int, sure: bool) -> Output:
            return self._one(windows[place], decoding, limit, exactly, sure)

        return guarded(
            one_by_one(one, n_samples, about.room, exactly), n_samples, about.decoding, about.room,
            self._decode, exactly=exactly, confidences=confidences,
        )  # fmt: skip

    def _one(
        self, window: Audio, decoding: Decoding, limit: int, exactly: int | None, sure: bool
    ) -> Output:
        torch = self._torch
        features = torch.from_numpy(log_mel([window], *self.about.mel_shape))
        with torch.inference_mode(), quiet_transformers():
            found = self._model.generate(
                features.to(self._device, self._model.dtype),
                max_new_tokens=limit,
                min_new_tokens=exactly,
                no_repeat_ngram_size=decoding.no_repeat_ngram,
                return_dict_in_generate=True,
                output_scores=sure,
            )
        end = self.about.steering.end
        ids = [int(i) for i in found["sequences"][0] if int(i) < end]
        known = self._confidence(found, ids) if sure else None
        n_tokens = exactly or min(len(ids) + 1, limit)
        return Output(text=self._decode(ids), ids=tuple(ids), n_tokens=n_tokens, confidence=known)

    def _confidence(self, found: Any, ids: list[int]) -> float | None:
        """Geometric mean probability of the ids that were written."""
        scores = found.get("scores")
        if not scores:
            return None
        logs = [float(s[0].log_softmax(-1).max()) for s in scores[: len(ids) + 1]]
        return float(self._torch.tensor(logs).mean().exp())


def open_engine(folder: Path, about: Description, threads: int) -> Engine:
    """The folder's model, ready to run."""
    return Recogniser(folder, about, threads)
