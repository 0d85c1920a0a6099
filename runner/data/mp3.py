"""Frames of an MP3, counted: where no header says how many there are, libsndfile only guesses.

libsndfile 1.2.2 takes the length of a stream without a Xing or Info frame from its size and first bit rate. With a
varying bit rate it promises too much or, without a word, reads too little. A Xing frame with the counted
frames in front of the same bytes makes it read all of them (ISO 11172-3 and 13818-3, layer III).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_KBITS = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Bit rates of layer III by index; MPEG 1, and MPEG 2 and 2.5 (kbit/s)."""
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_XING_BYTES = 16
"""Name, flags, number of frames and number of bytes."""


@dataclass(frozen=True, slots=True)
class Mp3Frames:
    """What a stream consists of: `first` is the offset of its first frame, `samples` one channel's.

    `n_promised` is the number of frames that its Xing or Info frame says; None without one.
    """

    first: int
    n_frames: int
    samples: int
    rate: int
    has_header: bool
    n_promised: int | None = None

    @property
    def seconds(self) -> float:
        """Duration (s)."""
        return self.samples / self.rate


@dataclass(frozen=True, slots=True)
class _Frame:
    length: int
    samples: int
    rate: int
    side: int


def _frame(raw: bytes, at: int) -> _Frame | None:
    """The layer III frame whose header starts there; None where none does."""
    if at + 4 > len(raw) or raw[at] != 0xFF or raw[at + 1] & 0xE0 != 0xE0:
        return None
    version, layer = raw[at + 1] >> 3 & 3, raw[at + 1] >> 1 & 3
    bits, rate_index, padding = (
        raw[at + 2] >> 4,
        raw[at + 2] >> 2 & 3,
        raw[at + 2] >> 1 & 1,
    )
    if version == 1 or layer != 1 or bits in (0, 15) or rate_index == 3:
        return None
    first = version == 3
    rate = _RATES[version][rate_index]
    samples = 1152 if first else 576
    length = samples // 8 * _KBITS[first][bits] * 1000 // rate + padding
    mono = raw[at + 3] >> 6 == 3
    side = (17 if mono else 32) if first else (9 if mono else 17)
    return _Frame(length, samples, rate, side)


def count_frames(raw: bytes) -> Mp3Frames | None:
    """Count the frames of an MP3; None where the bytes are no such stream.

    Garbage between frames is passed over, a cut last frame is not counted, and a Xing, Info or VBRI frame is no audio.
    """
    at = first = _start(raw)
    n, samples, rate, has_header = 0, 0, 0, False
    promised: int | None = None
    while at < len(raw):
        frame = _frame(raw, at)
        follows = frame is not None and (
            at + frame.length >= len(raw) - 128 or _frame(raw, at + frame.length) is not None
        )
        if frame is None or (not follows and n == 0) or (rate and frame.rate != rate):
            at = raw.find(b"\xff", at + 1)
            if at < 0 or (n == 0 and at - first > 65536):
                break
            continue
        if at + frame.length > len(raw):
            break
        name = raw[at + 4 + frame.side : at + 8 + frame.side]
        if (
            n == 0
            and not has_header
            and (name in (b"Xing", b"Info") or raw[at + 36 : at + 40] == b"VBRI")
        ):
            has_header, first = True, at
            promised = _promised(raw, at + 4 + frame.side)
        else:
            first = at if n == 0 and not has_header else first
            n, samples, rate = n + 1, samples + frame.samples, frame.rate
        at += frame.length
    return Mp3Frames(first, n, samples, rate, has_header, promised) if n else None


def _promised(raw: bytes, at: int) -> int | None:
    """The frames that a Xing or Info frame says; None where it does not."""
    if raw[at : at + 4] not in (b"Xing", b"Info") or at + 12 > len(raw) or not raw[at + 7] & 1:
        return None
    return int.from_bytes(raw[at + 8 : at + 12], "big")


def _start(raw: bytes) -> int:
    """Offset behind ID3v2 tags."""
    at = 0
    while raw[at : at + 3] == b"ID3" and at + 10 <= len(raw):
        a, b, c, d = raw[at + 6 : at + 10]
        at += 10 + (a << 21 | b << 14 | c << 7 | d) + (10 if raw[at + 5] & 0x10 else 0)
    return at


def with_length(raw: bytes) -> bytes | None:
    """The stream with a Xing frame in front that says its length; None where it has one or is no MP3."""
    found = count_frames(raw)
    if found is None or found.has_header:
        return None
    head = bytearray(raw[found.first : found.first + 4])
    head[1] |= 1  # no checksum, whose two bytes would move what follows
    for bits in range(1, 15):
        head[2] = bits << 4 | head[2] & 0x0C
        frame = _frame(bytes(head), 0)
        if frame is not None and frame.length >= 4 + frame.side + _XING_BYTES:
            said = struct.pack(">4sIII", b"Xing", 3, found.n_frames, len(raw) - found.first)
            made = bytes(head) + bytes(frame.side) + said
            return made + bytes(frame.length - len(made)) + raw[found.first :]
    return None
