"""Audio as the models take it: mono, 16 kHz, float32; every fault of a file has a name."""

from __future__ import annotations

import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from planner.errors import InputError, SoundscaleError
from runner.data.containers import missing_bytes
from runner.data.mp3 import count_frames, with_length

Audio = npt.NDArray[np.float32]

SAMPLE_RATE = 16_000
"""Samples per second that Whisper and wav2vec2 were trained on (Hz)."""

FULL_SCALE = 0.999
"""Level from which a sample counts as clipped (of 1.0; assumption: one 16-bit step is 3e-5)."""

SLACK_SECONDS = 0.05
"""How far a manifest's part may end beyond its file (s): durations are often rounded."""

LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000
"""Sampling rates that a recording of speech can have (Hz; assumption): a header of 1 Hz would be resampled to
16,000 times its size."""

SAMPLES_PER_BYTE = 5_500
"""Most samples of one channel that a byte of a file can stand for: a constant FLAC frame has 65,535 in 12 bytes."""

LONGEST_SECONDS = 12 * 3600
"""Longest recording that is read (s; assumption): what is longer is cut before, or is a wrong header."""

_BLOCK = 1 << 18
"""Samples of all channels that are decoded at once: what is kept grows with what is there, not with a header."""

_EMPTY_TAG = b"ID3\x04\0\0\0\0\0\x0a" + bytes(10)
"""An ID3v2 tag of ten bytes of padding."""

_BROKEN = (RuntimeError, ValueError, TypeError, OSError, MemoryError)
"""What soundfile raises on a file: its own errors are RuntimeErrors, streamed FLACs give ValueError, headerless
files TypeError."""


class _Bytes(BytesIO):
    """Bytes for libsndfile, which may ask for a place before the first one; an exception there would be printed."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """As of any file; a place that is not there leaves it where it is."""
        try:
            return super().seek(offset, whence)
        except ValueError:
            return self.tell()


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
    _check_claims(path, header.frames, header.channels, header.samplerate)
    return float(header.frames) / float(header.samplerate)


def _check_claims(path: Path, frames: int, channels: int, rate: int) -> None:
    """Refuse what no file of this size can hold, before anything is allocated by it."""
    if frames <= 0:
        raise AudioError(path, "empty", "no samples")
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise AudioError(
            path, "unreadable", f"its header says {rate} Hz, where {LOWEST_RATE} to {HIGHEST_RATE} are read"
        )  # fmt: skip
    size = path.stat().st_size
    if frames > SAMPLES_PER_BYTE * size or frames > LONGEST_SECONDS * rate:
        raise AudioError(
            path, "unreadable", f"its header says {frames / rate:.6g} s at {rate} Hz, and the file has {size} bytes"
        )  # fmt: skip


def _source(path: Path) -> str | BytesIO:
    """What the decoder is given: the path, or an MP3's bytes behind a header that says their length.

    Raises:
        AudioError: an MP3 holds more frames than its own header says.
    """
    with path.open("rb") as stream:
        # By its content: what comes through a pipe or from a careless hand has another name.
        if path.suffix.lower() != ".mp3" and not _begins_as_mp3(stream.read(4)):
            return str(path)
    raw = path.read_bytes()
    found = count_frames(raw)
    if found is not None and found.n_promised is not None and found.n_frames > found.n_promised + 2:
        raise AudioError(
            path, "unreadable",
            f"its header says {found.n_promised} frames and {found.n_frames} are there, as in joined files",
        )  # fmt: skip
    made = with_length(raw) or raw
    # With a tag in front libsndfile knows it by its first bytes. Without, it looks for a companion `._a.mp3`,
    # as macOS leaves them, and fails on it (findings/libsndfile_resource_fork.sh).
    return _Bytes(made if made[:3] == b"ID3" else _EMPTY_TAG + made)


def _begins_as_mp3(head: bytes) -> bool:
    """Whether these are the first bytes of a tag or of a frame of layer III."""
    frame = len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2 and head[1] & 0x18 != 8
    return head[:3] == b"ID3" or frame


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
        raise _beyond(path, start + length, seconds)
    return min(length, seconds - start)


def _beyond(path: Path, end: float, seconds: float) -> AudioError:
    said = f"a part of it ends at {end:g} s, the file at {seconds:.6g} s"
    return AudioError(path, "truncated", said)


def read_segment(path: Path, start: float, length: float | None) -> Audio:
    """As `read_audio`, of the part from `start` of `length` seconds; of the whole where it is None.

    Raises:
        AudioError: as `read_audio`, or the part does not lie in the file.
    """
    samples = read_audio(path)
    if length is None:
        return samples
    seconds = len(samples) / SAMPLE_RATE
    if start + length > seconds + SLACK_SECONDS:
        raise _beyond(path, start + length, seconds)
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
    mono, rate = _decoded(Path(path))
    if rate == SAMPLE_RATE:
        return np.ascontiguousarray(mono, dtype=np.float32)
    import soxr

    try:
        resampled = soxr.resample(mono, rate, SAMPLE_RATE, quality="HQ")
    except _BROKEN as error:
        raise AudioError(Path(path), "unreadable", f"{rate} Hz: {_short(error)}") from error
    return np.ascontiguousarray(resampled, dtype=np.float32)


def audio_of_bytes(raw: bytes, name: str, *, most_seconds: float | None = None) -> Audio:
    """As `read_audio`, of a file's content; `name` stands for it in errors.

    Raises:
        AudioError: as `read_audio`.
        InputError: it is longer than `most_seconds`, or holds as many samples as no recording so long does.
    """
    with tempfile.TemporaryDirectory(prefix="soundscale-audio-") as scratch:
        path = Path(scratch) / "audio"
        path.write_bytes(raw)
        try:
            if most_seconds is not None:
                _require_short(path, name, most_seconds)
            return read_audio(path)
        except AudioError as problem:
            raise AudioError(Path(name), problem.fault, problem.detail) from None


def _require_short(path: Path, name: str, most_seconds: float) -> None:
    """By the header, before anything is decoded: a small file may hold hours.

    Raises:
        InputError: it lasts longer, or has more samples than two channels of so long at 48 kHz.
        AudioError: its header cannot be read.
    """
    import soundfile

    seconds = header_seconds(path)
    header = soundfile.info(_source(path))
    if seconds > most_seconds or header.frames * header.channels > most_seconds * 2 * 48_000:
        raise InputError(
            f"audio {name} lasts {seconds:.0f} s in {header.channels} channels at {header.samplerate} Hz; "
            f"at most {most_seconds:g} s of two at 48000 Hz are taken: send it in parts"
        )


def _decoded(path: Path) -> tuple[Audio, int]:
    """All samples of a file as the mean of its channels, shape (n,), and its rate in Hz."""
    import soundfile

    header_seconds(path)
    with path.open("rb") as stream:
        missing = missing_bytes(stream)
    if missing:
        raise AudioError(path, "truncated", f"{missing} bytes fewer than its header says")
    try:
        with soundfile.SoundFile(_source(path)) as file:
            promised, rate = file.frames, int(file.samplerate)
            samples = _mono(file, promised)
    except _BROKEN as error:
        # The header was read a moment ago, so what fails here is the stream behind it.
        raise AudioError(path, "truncated", _short(error)) from error
    if len(samples) < promised:
        raise AudioError(path, "truncated", f"{len(samples)} of {promised} samples")
    if not np.isfinite(samples).all():
        n_bad = int((~np.isfinite(samples)).sum())
        raise AudioError(path, "not finite", f"{n_bad} samples are NaN or infinite")
    return samples, rate


def _mono(file: Any, promised: int) -> Audio:
    """Up to the promised samples of an open file, channels averaged block by block."""
    n_block = max(1, _BLOCK // file.channels)
    blocks: list[Audio] = []
    left = promised
    while left > 0:
        block = file.read(min(left, n_block), dtype="float32", always_2d=True)
        if len(block) == 0:
            break
        left -= len(block)
        blocks.append(block.mean(axis=1, dtype=np.float32) if file.channels > 1 else block[:, 0])
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


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
