"""Audio as the models take it: mono, 16 kHz, float32; every fault of a file has a name."""

from __future__ import annotations

import struct
import tempfile
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from planner.errors import InputError, SoundscaleError
from runner.data.mp3 import count_frames, with_length

Audio = npt.NDArray[np.float32]

SAMPLE_RATE = 16_000
"""Samples per second that Whisper and wav2vec2 were trained on (Hz)."""

FULL_SCALE = 0.999
"""Level from which a sample counts as clipped (of 1.0; assumption: one 16-bit step is 3e-5)."""

SLACK_SECONDS = 0.05
"""How far a manifest's part may end beyond its file (s): durations are often rounded."""

_RIFF_UNKNOWN = {0, 0x80000000, 0x7FFFFFFF, 0x7FFFF000, 0xFFFFFFFF, 0xFFFFF000}
"""Sizes that streaming writers leave in a WAV header for `unknown`."""


_BROKEN = (RuntimeError, ValueError, OSError, MemoryError)
"""What soundfile raises on a file: its own errors are RuntimeErrors, streamed FLACs give ValueError."""


class AudioError(SoundscaleError):
    """One file's audio cannot be used: a failure of that utterance, never of the sweep.

    `fault` is one of `missing`, `empty`, `truncated`, `not finite`, `unreadable`.
    """

    def __init__(self, path: Path, fault: str, detail: str = "") -> None:
        self.path = path
        self.fault = fault
        self.detail = detail
        because = f" ({detail})" if detail else ""
        super().__init__(f"audio {path} is {fault}{because}; replace the file or drop its row")

    def __reduce__(self) -> tuple[type[AudioError], tuple[Path, str, str]]:
        # Exceptions are pickled by their message alone, which is not what __init__ takes.
        return AudioError, (self.path, self.fault, self.detail)


def header_seconds(path: Path) -> float:
    """Duration of a file by its header alone (s).

    Raises:
        AudioError: the header cannot be read, or promises no samples.
    """
    import soundfile

    if not path.is_file():
        raise AudioError(path, "missing")
    if path.stat().st_size == 0:
        raise AudioError(path, "empty", "0 bytes")
    _not_a_pointer(path)
    try:
        header = soundfile.info(_source(path))
    except _BROKEN as error:
        raise AudioError(path, "unreadable", _short(error)) from error
    if header.frames <= 0:
        raise AudioError(path, "empty", "no samples")
    return float(header.frames) / float(header.samplerate)


def _source(path: Path) -> str | BytesIO:
    """What the decoder is given: the path, or an MP3's bytes behind a header that says their length.

    Raises:
        AudioError: an MP3 holds more frames than its own header says.
    """
    if path.suffix.lower() != ".mp3":
        return str(path)
    raw = path.read_bytes()
    found = count_frames(raw)
    if found is not None and found.n_promised is not None and found.n_frames > found.n_promised + 2:
        raise AudioError(
            path, "unreadable",
            f"its header says {found.n_promised} frames and {found.n_frames} are there, as in joined files",
        )  # fmt: skip
    made = with_length(raw)
    return str(path) if made is None else BytesIO(made)


def _not_a_pointer(path: Path) -> None:
    """Refuse a file that Git LFS left in place of the audio."""
    with path.open("rb") as stream:
        if stream.read(42).startswith(b"version https://git-lfs.github.com/spec/"):
            raise AudioError(path, "unreadable", "a Git LFS pointer, not audio; run: git lfs pull")


def segment_seconds(path: Path, start: float, length: float | None) -> float:
    """Duration of a part of a file by its header (s); of the whole file where the length is None.

    Raises:
        AudioError: as `header_seconds`, or the part does not lie in the file.
    """
    seconds = header_seconds(path)
    if length is None:
        return seconds
    if start + length > seconds + SLACK_SECONDS:
        raise AudioError(
            path,
            "truncated",
            f"a part of it ends at {start + length:g} s, the file at {seconds:.6g} s",
        )
    return min(length, seconds - start)


def read_segment(path: Path, start: float, length: float | None) -> Audio:
    """As `read_audio`, of the part from `start` of `length` seconds; of the whole where it is None.

    Raises:
        AudioError: as `read_audio`, or the part holds no sample.
    """
    samples = read_audio(path)
    if length is None:
        return samples
    first = round(start * SAMPLE_RATE)
    part = samples[first : first + round(length * SAMPLE_RATE)]
    if part.size == 0:
        raise AudioError(path, "empty", f"no samples from {start:g} s on")
    return np.ascontiguousarray(part)


def read_audio(path: Path | str) -> Audio:
    """Mono 16 kHz samples of a file, shape (n,), float32.

    Channels are averaged; other rates are resampled by soxr (quality HQ).

    Raises:
        AudioError: the file is missing, empty, truncated, not finite or unreadable.
    """
    samples, rate = _decoded(Path(path))
    mono = samples.mean(axis=1, dtype=np.float32) if samples.shape[1] > 1 else samples[:, 0]
    if rate == SAMPLE_RATE:
        return np.ascontiguousarray(mono, dtype=np.float32)
    import soxr

    resampled = soxr.resample(mono, rate, SAMPLE_RATE, quality="HQ")
    return np.ascontiguousarray(resampled, dtype=np.float32)


def audio_of_bytes(raw: bytes, name: str) -> Audio:
    """As `read_audio`, of a file's content; `name` stands for it in errors.

    Raises:
        AudioError: as `read_audio`.
    """
    # An MP3 is told by its name, and what comes through a pipe or an upload may have none.
    mp3 = raw[:3] == b"ID3" or (
        len(raw) > 1 and raw[0] == 255 and raw[1] & 0xE0 == 0xE0 and raw[1] & 6 > 0
    )
    with tempfile.TemporaryDirectory(prefix="soundscale-audio-") as scratch:
        path = Path(scratch) / ("audio.mp3" if mp3 else "audio")
        path.write_bytes(raw)
        try:
            return read_audio(path)
        except AudioError as problem:
            raise AudioError(Path(name), problem.fault, problem.detail) from None


def _decoded(path: Path) -> tuple[Audio, int]:
    """All samples of a file, shape (n, channels), and its rate in Hz."""
    import soundfile

    header_seconds(path)
    with path.open("rb") as stream:
        missing = missing_wav_bytes(stream)
    if missing:
        raise AudioError(path, "truncated", f"{missing} bytes fewer than its header says")
    try:
        with soundfile.SoundFile(_source(path)) as file:
            promised, rate = file.frames, int(file.samplerate)
            samples = file.read(dtype="float32", always_2d=True)
    except _BROKEN as error:
        # The header was read a moment ago, so what fails here is the stream behind it.
        raise AudioError(path, "truncated", _short(error)) from error
    if len(samples) < promised:
        raise AudioError(path, "truncated", f"{len(samples)} of {promised} samples")
    if not np.isfinite(samples).all():
        n_bad = int((~np.isfinite(samples)).sum())
        raise AudioError(path, "not finite", f"{n_bad} samples are NaN or infinite")
    return samples, rate


def missing_wav_bytes(stream: BinaryIO) -> int:
    """Bytes that a RIFF WAV's data chunk promises beyond the end of the file; 0 for other formats.

    libsndfile reads what is there and says nothing, so the chunk sizes are compared here.
    """
    head = stream.read(12)
    if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
        return 0
    end = stream.seek(0, 2)
    stream.seek(12)
    while len(chunk := stream.read(8)) == 8:
        name, size = struct.unpack("<4sI", chunk)
        if name == b"data":
            return 0 if size in _RIFF_UNKNOWN else max(0, stream.tell() + size - end)
        stream.seek(size + size % 2, 1)
    return 0


def clipped_fraction(audio: Audio) -> float:
    """Fraction of samples at full scale; speech that was recorded well has none.

    Raises:
        InputError: there are no samples.
    """
    if audio.size == 0:
        raise InputError("clipped fraction needs at least one sample, got none")
    return float((np.abs(audio) >= FULL_SCALE).mean())


def _short(error: Exception) -> str:
    """First line of a library's message, without the path it repeats."""
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0].split(": ", 1)[-1].rstrip(".")
