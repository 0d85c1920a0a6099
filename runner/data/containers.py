"""What a container says of its samples, held against the bytes that are there.

libsndfile reads what it finds of a cut WAV, AIFF, AU, CAF or W64 and says nothing; the sizes of their chunks of
samples are therefore read here. Sources: RIFF 1.0 and EBU Tech 3306 (RF64), AIFF-C draft of 1991, Sun's audio
format, Apple's Core Audio Format 1.0, Sony's Wave64.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

UNKNOWN_32 = frozenset({0, 0x80000000, 0x7FFFFFFF, 0x7FFFF000, 0xFFFFFFFF, 0xFFFFF000})
"""Sizes that writers leave for `unknown` until they know it, or when they are interrupted (arecord: 0x80000000)."""
UNKNOWN_64 = frozenset({0, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF})

Chunk = tuple[bytes, int, int]
"""Name, offset of its contents and their size in bytes."""


def missing_bytes(stream: BinaryIO) -> int:
    """Bytes of samples that a container promises beyond the end of the file; 0 for other formats."""
    head = stream.read(40)
    end = stream.seek(0, 2)
    for name, at, size in _chunks(stream, head, end):
        unknown = UNKNOWN_64 if head[:4] in (b"caff", b"riff") else UNKNOWN_32
        if name == b"data":
            if head[:4] in (b"RF64", b"BW64") and size == 0xFFFFFFFF:
                size, unknown = _long_size(stream), UNKNOWN_64
            return 0 if size in unknown else max(0, at + size - end)
    return 0


def _chunks(stream: BinaryIO, head: bytes, end: int) -> Iterator[Chunk]:
    """Chunks up to the samples', which is called `data` whatever the container."""
    kind, form = head[:4], head[8:12]
    if kind in (b"RIFF", b"RF64", b"BW64") and form == b"WAVE":
        yield from _walk(stream, 12, end, "<4sI", b"data")
    elif kind == b"RIFX" and form == b"WAVE":
        yield from _walk(stream, 12, end, ">4sI", b"data")
    elif kind == b"FORM" and form in (b"AIFF", b"AIFC"):
        yield from _walk(stream, 12, end, ">4sI", b"SSND")
    elif kind == b"caff":
        yield from _walk(stream, 8, end, ">4sQ", b"data", padded=False)
    elif kind == b"riff" and head[24:28] == b"wave":
        yield from _walk_wave64(stream, end)
    elif kind == b".snd" and len(head) >= 12:
        at, size = struct.unpack(">II", head[4:12])
        yield b"data", at, size


def _walk(
    stream: BinaryIO, at: int, end: int, form: str, samples: bytes, *, padded: bool = True
) -> Iterator[Chunk]:
    width = struct.calcsize(form)
    stream.seek(at)
    while len(chunk := stream.read(width)) == width:
        name, size = struct.unpack(form, chunk)
        at += width
        if name == samples:
            yield b"data", at, size
            return
        at += size + (size % 2 if padded else 0)
        if at >= end:
            return
        stream.seek(at)


def _walk_wave64(stream: BinaryIO, end: int) -> Iterator[Chunk]:
    """Names of 16 bytes, sizes of 8 that count the name and themselves; chunks begin at multiples of 8."""
    at = 40
    stream.seek(at)
    while len(chunk := stream.read(24)) == 24:
        name, size = struct.unpack("<4s12xQ", chunk)
        if name == b"data":
            yield b"data", at + 24, max(size - 24, 0)
            return
        at += max(size + -size % 8, 24)
        if at >= end:
            return
        stream.seek(at)


def _long_size(stream: BinaryIO) -> int:
    """The size of the samples in an RF64 file's first chunk; 0 where it has none."""
    stream.seek(12)
    chunk = stream.read(24)
    if len(chunk) < 24 or chunk[:4] != b"ds64":
        return 0
    return int(struct.unpack("<Q", chunk[16:24])[0])
