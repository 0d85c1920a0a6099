"""An exported Whisper in whisper.cpp: its encoder and decoder by its C interface, ids chosen by our own rules.

`whisper_full`, which its programs call, cuts and guards by rules of its own; here it is given the log-mel features of
one window and one id after the other, so that texts are those of scoring.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from importlib.metadata import version as version_of
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from planner.errors import MissingResourceError
from planner.words.records import Decoding
from runner.data.audio import Audio
from runner.engines.base import Engine, Output, confidence_of, guarded, one_by_one
from runner.engines.description import Description
from runner.engines.features import Floats, log_mel
from runner.engines.greedy import Candidates, Ids, greedy, never_written
from runner.engines.text import reader

FILE = "ggml-model.bin"
PACKAGE = "pywhispercpp"
"""Brings the library; its own Python interface passes no ids (1.5.1)."""

_Log = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


class _Settings(ctypes.Structure):
    """`whisper_context_params`: its first two fields, and room for the rest of it, which is passed by value."""

    _fields_ = (
        ("use_gpu", ctypes.c_bool),
        ("flash_attention", ctypes.c_bool),
        ("rest", ctypes.c_char * 126),
    )


class Library:
    """whisper.cpp's shared library.

    Raises:
        MissingResourceError: it is not where its package puts it.
    """

    def __init__(self) -> None:
        # The package's own library is loaded with it, and found again by its name.
        found = find_spec(f"_{PACKAGE}")
        folder = Path(found.origin).parent if found and found.origin else Path()
        places = [*folder.glob(f"{PACKAGE}.libs/libwhisper*"), *folder.glob("libwhisper.so")]
        __import__(f"_{PACKAGE}")
        if not places:
            raise MissingResourceError(
                f"package {PACKAGE} holds no libwhisper here; install with: pip install 'soundscale[whispercpp]'"
            )
        self.call: Any = ctypes.CDLL(str(places[0]))
        pointer = ctypes.c_void_p
        self.call.whisper_context_default_params_by_ref.restype = ctypes.POINTER(_Settings)
        self.call.whisper_init_from_file_with_params.restype = pointer
        self.call.whisper_init_from_file_with_params.argtypes = [ctypes.c_char_p, _Settings]
        self.call.whisper_set_mel.argtypes = [pointer, pointer, ctypes.c_int, ctypes.c_int]
        self.call.whisper_encode.argtypes = [pointer, ctypes.c_int, ctypes.c_int]
        self.call.whisper_decode.argtypes = [
            pointer,
            pointer,
            ctypes.c_int,
            ctypes.c_int,
            ctypes.c_int,
        ]
        self.call.whisper_get_logits.argtypes = [pointer]
        self.call.whisper_get_logits.restype = ctypes.POINTER(ctypes.c_float)
        self.call.whisper_free.argtypes = [pointer]
        self._silent = _Log(lambda level, text, more: None)
        self.call.whisper_log_set(self._silent, None)

    def open(self, path: Path) -> Any:
        """A model, on the CPU or where the library was built for a GPU there.

        Raises:
            MissingResourceError: the file cannot be read.
        """
        at = self.call.whisper_context_default_params_by_ref()
        settings = _Settings.from_buffer_copy(at.contents)
        # Over it windows are filled with zeros to a multiple of 256 positions, which are attended to (1.8.5).
        settings.flash_attention = False
        context = self.call.whisper_init_from_file_with_params(str(path).encode(), settings)
        if not context:
            raise MissingResourceError(f"whisper.cpp cannot read {path}; export the model again")
        return context


class _Steps:
    """The decoder over one window."""

    def __init__(self, model: Recogniser) -> None:
        self._model, self._used, self._last = model, 0, 0

    def after(self, tokens: Ids) -> Candidates:
        """Scores of every id after the new ones."""
        ids = np.ascontiguousarray(tokens[0], dtype=np.int32)
        self._model.feed(ids, self._used)
        self._used, self._last = self._used + len(ids), len(ids)
        return self.more(self._model.about.vocab_size)

    def more(self, n_candidates: int) -> Candidates:
        """All of them: the whole vocabulary is scored in every step."""
        return self._model.scores(self._last)

    def keep(self, rows: Sequence[int]) -> None:
        """There is one row."""


class Recogniser:
    """Speech to text, one window after the other."""

    def __init__(self, folder: Path, about: Description, threads: int) -> None:
        self.about, self.version, self._threads = about, version_of(PACKAGE), threads
        self._library = Library()
        self._context = self._library.open(folder / FILE)
        special = about.steering
        self._never = never_written(special.end, special.silent, about.vocab_size)
        self._every = np.arange(about.vocab_size)[None]
        self._decode = reader(folder, about.text, special.end)

    def __del__(self) -> None:
        if getattr(self, "_context", None):
            self._library.call.whisper_free(self._context)

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
        features = np.ascontiguousarray(log_mel([window], *self.about.mel_shape)[0])
        self._ask("whisper_set_mel", features.ctypes.data, features.shape[1], features.shape[0])
        self._ask("whisper_encode", 0, self._threads)
        (row,) = greedy(
            _Steps(self), self.about.steering, self.about.vocab_size, decoding, [limit],
            exactly=exactly, confidences=sure,
        )  # fmt: skip
        return Output(
            text=self._decode(row.ids),
            ids=tuple(row.ids),
            n_tokens=row.n_tokens,
            confidence=confidence_of(row.log_probability, row.n_tokens) if sure else None,
        )

    def feed(self, ids: Any, n_past: int) -> None:
        """Decode ids after `n_past` others."""
        self._ask("whisper_decode", ids.ctypes.data, len(ids), n_past, self._threads)

    def scores(self, n_last: int) -> Candidates:
        """Scores after the last of `n_last` ids that were fed."""
        at = self._library.call.whisper_get_logits(self._context)
        size = self.about.vocab_size
        table: Floats = np.ctypeslib.as_array(at, (n_last, size))
        scores = (table[-1] + self._never)[None]
        top = scores.max()
        total = top + np.log(np.exp(scores - top).sum(keepdims=True))
        lowest = np.full((1, 1), -np.inf, dtype=np.float32)
        return Candidates(ids=self._every, scores=scores, ceiling=lowest, total=total)

    def _ask(self, name: str, *arguments: Any) -> None:
        failed = getattr(self._library.call, name)(self._context, *arguments)
        if failed:
            raise RuntimeError(f"{name} of whisper.cpp failed with {failed}")


def open_engine(folder: Path, about: Description, threads: int) -> Engine:
    """The folder's model, ready to run."""
    return Recogniser(folder, about, threads)
