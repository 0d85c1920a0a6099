"""What an exported folder says about itself: `soundscale.json`, read without torch or transformers."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from planner.errors import MissingResourceError
from planner.words.records import Decoding, to_json

FILE = "soundscale.json"
FORMAT = "soundscale-model/2"
BEFORE = "soundscale-model/1"
"""Its graphs gave scores of the whole vocabulary; folders without graphs are the same."""
GRAPHS = ("onnx", "openvino")

ENGINES = {
    "onnx": "onnxruntime",
    "openvino": "openvino",
    "ctranslate2": "ctranslate2",
    "ggml": "whispercpp",
    "pt2": "torchexport",
    "hf": "transformers",
    "peft": "peft",
}
"""Format of an export, and the engine that runs it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Specials:
    """Token ids that steer a decoder; see `runner.models.decode.Specials`.

    Attributes:
        prompt: what the decoder is given before its first output.
        end: the id that ends a text; every larger id is never written.
        silent: smaller ids that are never written.
        begin: ids that no text begins with.
    """

    prompt: tuple[int, ...]
    end: int
    silent: tuple[int, ...]
    begin: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """A model in a folder: what it takes, what it gives, how it decodes, and where it came from.

    Attributes:
        format: a name of ENGINES; precision: of its weights (`float32`, `int8`, …).
        task: `asr` or `emotion`; family: `whisper` (log-mel input) or `wav2vec2` (waveforms).
        audio_seconds: x_T; reduction: x_V in words; tokens_per_second: what follows from it.
        n_mels, n_frames: shape of the log-mel input; None for waveforms.
        d_model, n_layers, n_heads, vocab_size: of the decoder; 0 where there is none.
        max_positions: most ids of prompt and text together.
        stem_stride: stride of the second convolution; other than 2 only where it runs outside of the engine.
        output_stride: factor of a stride after the encoder that runs outside of the engine; 1: none does.
        text: `tokenizer` (tokenizer.json beside this file), `bytes` (randomly initialised models) or `characters`.
        labels: classes that the model names.
        characters, blank: of a model that writes by CTC: its tokens in the order of their ids, and the blank's id.
        cut, policy: how long audio is cut into windows (`window_cut` and reference policy of the trial).
        error: the run's stored error, on `metric`.
    """

    format: str
    precision: str
    task: str
    family: str
    backbone: str
    label: str
    audio_seconds: float
    reduction: str
    tokens_per_second: float
    n_mels: int | None = None
    n_frames: int | None = None
    d_model: int = 0
    n_layers: int = 0
    n_heads: int = 0
    vocab_size: int = 0
    max_positions: int = 0
    stem_stride: int = 2
    output_stride: int = 1
    text: str = "tokenizer"
    labels: tuple[str, ...] = ()
    characters: tuple[str, ...] = ()
    blank: int = 0
    specials: Specials | None = None
    decoding: Decoding = field(default_factory=Decoding)
    policy: str = "window"
    normaliser: str = "none"
    metric: str = "wer"
    error: float | None = None
    run_id: int | None = None
    answer_id: str | None = None
    fingerprint: str | None = None
    weights_source: str | None = None
    weights_digest: str | None = None
    versions: dict[str, str] = field(default_factory=dict)
    created_utc: str | None = None

    @property
    def engine(self) -> str:
        """Name of the engine that runs the folder."""
        return ENGINES[self.format]

    @property
    def mel_shape(self) -> tuple[int, int]:
        """Frames and mel bands of a whole window.

        Raises:
            MissingResourceError: the description lacks them.
        """
        if self.n_frames is None or self.n_mels is None:
            raise MissingResourceError(f"{FILE} names no log-mel input; export the model again")
        return self.n_frames, self.n_mels

    @property
    def steering(self) -> Specials:
        """The ids that steer the decoder.

        Raises:
            MissingResourceError: the description lacks them.
        """
        if self.specials is None:
            raise MissingResourceError(f"{FILE} names no special ids; export the model again")
        return self.specials

    @property
    def room(self) -> int:
        """Positions of the decoder beside its prompt."""
        return self.max_positions - len(self.steering.prompt)

    @property
    def n_samples(self) -> int:
        """Samples of a whole window at 16 kHz."""
        return round(self.audio_seconds * 16_000)


def write(description: Description, folder: Path) -> None:
    """Put the description into a folder."""
    content = {"schema": FORMAT} | to_json(description)
    (folder / FILE).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def read(folder: Path) -> Description:
    """The description of an exported folder.

    Raises:
        MissingResourceError: the folder holds none, or one of another version.
    """
    path = folder / FILE
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingResourceError(
            f"folder {folder} holds no exported model: {FILE} is missing; "
            "make one with: soundscale export RUN --to onnx FOLDER"
        ) from None
    except (OSError, ValueError) as problem:
        raise MissingResourceError(
            f"{path} cannot be read: {problem}; export the model again"
        ) from problem
    schema = content.pop("schema", None)
    alike = schema == BEFORE and content.get("format") not in GRAPHS
    if schema != FORMAT and not alike:
        raise MissingResourceError(
            f"{path} is of another version than {FORMAT}; export the model again with this Soundscale"
        )
    known = {f.name for f in dataclasses.fields(Description)}
    kept = {name: value for name, value in content.items() if name in known}
    special = kept.get("specials")
    kept["specials"] = None if special is None else _specials(special)
    kept["decoding"] = Decoding(**kept["decoding"])
    for name in ("labels", "characters"):
        kept[name] = tuple(kept.get(name, ()))
    return Description(**kept)


def _specials(stored: dict[str, Any]) -> Specials:
    lists = {name: tuple(stored[name]) for name in ("prompt", "silent", "begin")}
    return Specials(end=int(stored["end"]), **lists)


def is_readable(folder: Path) -> bool:
    """Whether a folder holds an exported model of a version that this Soundscale runs."""
    try:
        read(folder)
    except MissingResourceError:
        return False
    return True
