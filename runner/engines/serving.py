"""An exported model behind the planner's service: a recording's bytes in, its transcript as text out."""

from __future__ import annotations

import json
import math
from pathlib import Path

from runner.data.audio import audio_of_bytes
from runner.engines.cutting import DEFAULT_CUT
from runner.engines.runtime import Model, Transcript, open_folder
from runner.engines.subtitles import written

MOST_SECONDS = 3600.0
"""Longest recording that is taken (s): an hour is 230 MB of samples (assumption: longer ones come in parts)."""
LANGUAGES = ("en", "english")
"""Every model here is prompted for English."""


class Served:
    """A model that is asked by several threads; see `planner.http.transcribing.Transcriber`."""

    languages = LANGUAGES

    def __init__(self, model: Model) -> None:
        model.require_task("asr")
        self._model, self.label = model, f"{model.about.label} in {model.about.engine}"

    def transcribe(self, raw: bytes, name: str, form: str, cut: str | None) -> str:
        """The transcript of a recording's file, in the format named.

        Raises:
            InputError: it is too long, or there is no such way to cut.
            AudioError: it cannot be read.
        """
        samples = audio_of_bytes(raw, name, most_seconds=MOST_SECONDS)
        found = self._model.transcribe(samples, cut=cut or DEFAULT_CUT)
        if form == "openai_json":
            return json.dumps({"text": found.text}, ensure_ascii=False)
        return as_verbose_json(found) if form == "verbose_json" else written(name, found, form)


def as_verbose_json(found: Transcript) -> str:
    """What OpenAI's clients read as `verbose_json`: a segment for each window with text."""
    segments = [
        {
            "id": place,
            "start": one.start_seconds,
            "end": one.end_seconds,
            "text": one.text,
            "avg_logprob": math.log(max(one.confidence, 1e-9)) if one.confidence else None,
        }
        for place, one in enumerate(w for w in found.windows if w.text)
    ]
    whole = {
        "task": "transcribe",
        "language": "english",
        "duration": found.audio_seconds,
        "text": found.text,
        "segments": segments,
    }
    return json.dumps(whole, ensure_ascii=False)


def open_served(folder: Path, threads: int) -> Served:
    """The model of an exported folder, ready to serve.

    Raises:
        InputError: it names classes.
        MissingResourceError: the folder holds no model, or its engine is not installed.
    """
    return Served(open_folder(folder, threads))
