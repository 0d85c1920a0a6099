"""A folder that was exported, ready to use: audio of any length and rate in, text with times out.

    from runner.engines.runtime import open_folder
    model = open_folder("exported")
    print(model.transcribe("speech.wav").text)

Imports no torch, transformers or ray (but to run a transformers folder); a test holds it to that.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from planner.errors import InputError
from runner.data.audio import SAMPLE_RATE, Audio, read_audio
from runner.engines.base import Engine, Output
from runner.engines.cutting import DEFAULT_CUT, Span, spans
from runner.engines.description import Description, read
from runner.engines.formats import format_of, require_installed

WINDOWS_AT_ONCE = 8
"""Windows that are decoded together (assumption: what batched engines take by default)."""

Report = Callable[[int, int], None]
"""Takes the windows that are done, and all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One window of a file: from where to where (s), what was heard, and how sure the model was."""

    start_seconds: float
    end_seconds: float
    text: str
    confidence: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """The text of one file, and its windows in order."""

    text: str
    audio_seconds: float
    windows: tuple[Heard, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The class of one file: of highest mean log-probability over its windows."""

    label: str
    probabilities: dict[str, float]
    audio_seconds: float
    n_windows: int


class Model:
    """An exported model.

    Attributes:
        about: what its folder says of it.
        engine: what runs it.
    """

    def __init__(self, about: Description, engine: Engine) -> None:
        self.about, self.engine = about, engine

    def transcribe(
        self,
        audio: Path | str | Audio,
        *,
        cut: str = DEFAULT_CUT,
        at_once: int = WINDOWS_AT_ONCE,
        report: Report | None = None,
    ) -> Transcript:
        """The text of a file, or of mono samples at 16 kHz.

        Args:
            audio: the file, or the samples.
            cut: how it is cut into windows, of `runner.engines.cutting.CUTS`.
            at_once: windows that are decoded together.
            report: takes the windows that are done, and all of them.

        Raises:
            InputError: the model names classes and writes no text.
            AudioError: the file cannot be used.
            MissingResourceError: Silero's package is not installed.
        """
        self.require_task("asr")
        samples = _samples(audio)
        where = self.spans(samples, cut)
        outputs = self._run([samples[a:b] for a, b in where], at_once, report)
        heard = [
            Heard(
                start_seconds=first / SAMPLE_RATE,
                end_seconds=end / SAMPLE_RATE,
                text=output.text,
                confidence=output.confidence,
            )
            for (first, end), output in zip(where, outputs, strict=True)
        ]
        return Transcript(
            text=" ".join(one.text for one in heard if one.text),
            audio_seconds=len(samples) / SAMPLE_RATE,
            windows=tuple(heard),
        )

    def classify(self, audio: Path | str | Audio) -> Judged:
        """The class of a file, or of mono samples at 16 kHz, in consecutive windows as in scoring.

        Raises:
            InputError: the model writes text.
            AudioError: the file cannot be used.
        """
        self.require_task("emotion")
        samples = _samples(audio)
        cut = [samples[a:b] for a, b in self.spans(samples, "consecutive")]
        table = np.array([one.log_probabilities for one in self._run(cut, WINDOWS_AT_ONCE, None)])
        mean = table.mean(axis=0)
        shares = np.exp(mean - mean.max())
        shares /= shares.sum()
        return Judged(
            label=self.about.labels[int(mean.argmax())],
            probabilities=dict(zip(self.about.labels, shares.tolist(), strict=True)),
            audio_seconds=len(samples) / SAMPLE_RATE,
            n_windows=len(cut),
        )

    def require_task(self, task: str) -> None:
        """Refuse a model of the other task.

        Raises:
            InputError: it is one.
        """
        if self.about.task == task:
            return
        if task == "asr":
            raise InputError(f"{self.about.label} names classes; use soundscale classify")
        raise InputError(f"{self.about.label} writes text; use soundscale transcribe")

    def spans(self, samples: Audio, cut: str) -> list[Span]:
        """Windows of at most x_T, as first samples and ends."""
        return spans(samples, self.about.audio_seconds, cut, self.about.decoding.window_cut)

    def _run(self, cut: Sequence[Audio], at_once: int, report: Report | None) -> list[Output]:
        # Windows of similar length end together, so they are decoded together.
        order = sorted(range(len(cut)), key=lambda i: -len(cut[i]))
        out: dict[int, Output] = {}
        for first in range(0, len(order), at_once):
            chosen = order[first : first + at_once]
            found = self.engine.run([cut[i] for i in chosen], confidences=True)
            out |= dict(zip(chosen, found, strict=True))
            if report:
                report(len(out), len(cut))
        return [out[i] for i in range(len(cut))]


def _samples(audio: Path | str | Audio) -> Audio:
    return audio if isinstance(audio, np.ndarray) else read_audio(audio)


def open_folder(folder: Path | str, threads: int = 1) -> Model:
    """The model of an exported folder.

    Raises:
        MissingResourceError: the folder holds no exported model, or its engine is not installed.
    """
    place = Path(folder)
    about = read(place)
    require_installed(format_of(about.format), writing=False)
    module = importlib.import_module(f"runner.engines.{about.engine}")
    engine: Engine = module.open_engine(place, about, threads)
    return Model(about, engine)
