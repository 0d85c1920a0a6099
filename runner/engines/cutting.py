"""Where a recording is cut into windows: consecutively as in scoring, or at the silence between speech.

`consecutive` covers the whole recording. `energy` and `silero` look for speech first, pad it, and fill windows
with as much of it as they hold; what lies between is not heard. Speech is looked for in levelled audio: Silero
finds nothing in half of the prompts at -40 dB. Which is the default was measured (notebooks/LOG.md, 2026-11-30).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from planner.errors import MissingResourceError, UnknownNameError
from runner.data.audio import SAMPLE_RATE, Audio
from runner.trial.segment import pause_before, segments

CUTS = ("consecutive", "energy", "silero")
DEFAULT_CUT = "consecutive"

PAD_SECONDS = 0.15
"""Kept before and after speech (s): Silero cuts the start of 8 % of prompts by more than 50 ms."""
LEAST_SPEECH_SECONDS = 0.1
"""Shorter speech is taken for a click (s; assumption: the shortest words last longer)."""
LEVEL = 0.1
"""Level of the loudest frames that speech is looked for at (root mean square of 1.0; -20 dB)."""

FRAME_SAMPLES = SAMPLE_RATE // 50
"""Length over which energy is averaged, 20 ms."""
BELOW_LOUD_DB = 35.0
"""Speech lies within so much of the loudest frames (dB; assumption: weak consonants to stressed vowels)."""
ABOVE_FLOOR_DB = 6.0
"""Speech lies so much above the quietest frames (dB; assumption)."""

CHUNK_SAMPLES = 512
"""Samples that Silero judges at once, 32 ms."""
CONTEXT_SAMPLES = 64
"""Samples of the chunk before that it also hears."""
CHUNKS_AT_ONCE = 512
"""Chunks of one call, 16 s (Silero's own default for sequences)."""
SILERO_FILES = (
    ("silero_vad", "data/silero_vad_16k_sequence.onnx"),
    ("faster_whisper", "assets/silero_vad_v6.onnx"),
)
"""Packages that carry the network over whole sequences; the second one needs no torch."""
BEGINS, ENDS = 0.5, 0.35
"""Probabilities at which speech begins and ends (Silero's own defaults)."""

Span = tuple[int, int]
"""First sample, and the one after the last."""


def spans(samples: Audio, audio_seconds: float, how: str, window_cut: str) -> list[Span]:
    """Windows of at most `audio_seconds`, in order; none where there is nothing to hear.

    Args:
        samples: mono at 16 kHz, shape (n,).
        audio_seconds: x_T.
        how: of CUTS.
        window_cut: where consecutive windows end, `pause` or `fixed`; see `runner.trial.segment`.

    Raises:
        UnknownNameError: there is no such way to cut.
        MissingResourceError: Silero's package is not installed.
    """
    require_cut(how)
    if how == "consecutive":
        ends = np.cumsum([len(w) for w in segments(samples, audio_seconds, "window", window_cut)])
        return [(int(a), int(b)) for a, b in zip([0, *ends[:-1]], ends, strict=True)]
    found = by_energy(samples) if how == "energy" else by_silero(samples)
    return filled(samples, padded(found, len(samples)), round(audio_seconds * SAMPLE_RATE))


def require_cut(how: str) -> None:
    """Refuse a way to cut that is not known, or not installed.

    Raises:
        UnknownNameError, MissingResourceError: so it is.
    """
    if how not in CUTS:
        raise UnknownNameError("cut", how, CUTS)
    if how == "silero" and (find_spec("onnxruntime") is None or _silero_file() is None):
        raise MissingResourceError(
            "cut silero needs onnxruntime and Silero's network, not installed here; install with: "
            "pip install 'soundscale[vad]', or cut by energy"
        )


def levelled(samples: Audio) -> Audio:
    """The samples brought to one level: their loudest twentieth of frames is LEVEL; silence stays silence."""
    loud = float(np.quantile(_rms(samples), 0.95))
    return samples if loud <= 0 else np.clip(samples * (LEVEL / loud), -1.0, 1.0)


def _rms(samples: Audio) -> npt.NDArray[np.float64]:
    """Root mean square of each frame; the last one may be shorter."""
    starts = np.arange(0, len(samples), FRAME_SAMPLES)
    power = np.add.reduceat(np.square(samples, dtype=np.float64), starts)
    return np.asarray(np.sqrt(power / np.diff([*starts, len(samples)])))


def by_energy(samples: Audio) -> list[Span]:
    """Speech by its level alone: far enough above the floor, and not too far below the loudest.

    The threshold is max(loud - 35 dB, floor + 6 dB), at most loud - 3 dB, with floor and loud the 5 % and 95 %
    quantiles of the frames' levels; it moves with the recording's level.
    """
    db = 20.0 * np.log10(np.maximum(_rms(samples), 1e-6))
    floor, loud = np.quantile(db, [0.05, 0.95])
    threshold = min(max(loud - BELOW_LOUD_DB, floor + ABOVE_FLOOR_DB), loud - 3.0)
    return _regions((db > threshold) & (db > -110.0), FRAME_SAMPLES, len(samples))


def by_silero(samples: Audio) -> list[Span]:
    """Speech by Silero's network, in levelled audio, with its own hysteresis.

    Raises:
        MissingResourceError: no package that carries the network is installed.
    """
    speaking, now = [], False
    for probability in silero_probabilities(levelled(samples)):
        now = bool(probability >= (ENDS if now else BEGINS))
        speaking.append(now)
    return _regions(np.array(speaking), CHUNK_SAMPLES, len(samples))


def silero_probabilities(samples: Audio) -> npt.NDArray[np.float32]:
    """Probability of speech in each chunk of CHUNK_SAMPLES, the last one padded with silence."""
    session = _silero()
    chunks = np.pad(samples, (0, -len(samples) % CHUNK_SAMPLES)).reshape(-1, CHUNK_SAMPLES)
    before = np.zeros((len(chunks), CONTEXT_SAMPLES), dtype=np.float32)
    before[1:] = chunks[:-1, -CONTEXT_SAMPLES:]
    heard = np.concatenate([before, chunks], axis=1, dtype=np.float32)
    hidden = cell = np.zeros((1, 1, 128), dtype=np.float32)
    out = []
    for first in range(0, len(heard), CHUNKS_AT_ONCE):
        given = {"input": heard[first : first + CHUNKS_AT_ONCE], "h": hidden, "c": cell}
        sure, hidden, cell = session.run(None, given)
        out.append(sure.reshape(-1))
    return np.concatenate(out)


@lru_cache(maxsize=1)
def _silero() -> Any:
    """The network's session, on one thread."""
    import onnxruntime as ort

    require_cut("silero")
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(str(_silero_file()), options, providers=["CPUExecutionProvider"])


def _silero_file() -> Path | None:
    """The network in an installed package, found without importing that package, which may load torch."""
    for package, inside in SILERO_FILES:
        spec = find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            if (path := Path(folder, inside)).is_file():
                return path
    return None


def _regions(speaking: npt.NDArray[np.bool_], frame: int, n_samples: int) -> list[Span]:
    """Runs of frames that hold speech."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], speaking, [False]])))
    return [(int(a) * frame, min(int(b) * frame, n_samples)) for a, b in edges.reshape(-1, 2)]


def padded(speech: Sequence[Span], n_samples: int) -> list[Span]:
    """Speech with PAD_SECONDS on both sides; what then touches is one, what was too short is dropped."""
    pad, least = round(PAD_SECONDS * SAMPLE_RATE), round(LEAST_SPEECH_SECONDS * SAMPLE_RATE)
    out: list[Span] = []
    for first, end in speech:
        first, end = max(0, first - pad), min(n_samples, end + pad)
        if out and first <= out[-1][1]:
            out[-1] = (out[-1][0], end)
        else:
            out.append((first, end))
    return [(a, b) for a, b in out if b - a >= least + 2 * pad or (a, b) == (0, n_samples)]


def filled(samples: Audio, speech: Sequence[Span], size: int) -> list[Span]:
    """Windows of at most `size` samples: as many stretches of speech as fit; a longer one is cut at a pause."""
    out: list[Span] = []
    for first, end in speech:
        if out and end - out[-1][0] <= size:
            out[-1] = (out[-1][0], end)
            continue
        while end - first > size:
            middle = first + pause_before(samples[first : first + size])
            out.append((first, middle))
            first = middle
        out.append((first, end))
    return out
