"""Sound files of every format that libsndfile writes, and what accidents make of their headers.

python tests/data/mutated_audio.py SEED N: reads N of them and prints, as JSON, how they ended and the memory taken.
"""

from __future__ import annotations

import io
import json
import random
import resource
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import soundfile

from runner.data.audio import AudioError, read_audio

EDGES = (0, 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
"""Numbers that headers hold when something went wrong."""


def whole_files() -> dict[tuple[str, str], bytes]:
    """A second of noise in each format and subtype."""
    noise = (np.random.default_rng(0).standard_normal(8_000) * 0.1).astype(np.float32)
    found = {}
    # Sound Designer II keeps half of a file in another one beside it.
    for kind in sorted(set(soundfile.available_formats()) - {"SD2"}):
        for subtype in soundfile.available_subtypes(kind):
            out = io.BytesIO()
            try:
                soundfile.write(out, noise, 8_000, format=kind, subtype=subtype)
            except (RuntimeError, ValueError, TypeError):
                continue
            if out.getvalue():
                found[kind, subtype] = out.getvalue()
    return found


def mutated(raw: bytes, rng: random.Random) -> bytes:
    """The file with some bytes of its first 64 to 512 changed, left out or put in, or cut."""
    out = bytearray(raw)
    for _ in range(rng.choice((1, 1, 2, 4, 8))):
        at = rng.randrange(max(1, min(len(out), rng.choice((64, 128, 512)))))
        how = rng.random()
        if how < 0.4:
            out[at : at + 1] = bytes([rng.randrange(256)])
        elif how < 0.7:
            width = rng.choice((2, 4, 8))
            value = rng.choice((*EDGES, rng.randrange(2**32))) & (2 ** (8 * width) - 1)
            out[at : at + width] = value.to_bytes(width, rng.choice(("little", "big")))
        elif how < 0.8:
            del out[at : at + rng.randrange(1, 9)]
        elif how < 0.9:
            out[at:at] = rng.randbytes(rng.randrange(1, 9))
        else:
            del out[rng.randrange(max(1, len(out))) :]
    return bytes(out)


def outcomes(seed: int, n: int) -> Counter[str]:
    """How reading n mutated files ended: `read`, or the fault that was named."""
    rng, files = random.Random(seed), whole_files()
    names = sorted(files)
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(n):
            kind = rng.choice(names)
            suffix = kind[0].lower() if rng.random() < 0.8 else rng.choice(("wav", "mp3", "raw"))
            path = Path(folder) / f"a.{suffix}"
            path.write_bytes(mutated(files[kind], rng))
            try:
                read_audio(path)
                found["read"] += 1
            except AudioError as error:
                found[error.fault] += 1
            path.unlink()
    return found


def main() -> None:
    """See the module."""
    # What libraries load with the first file of each format is the base.
    for kind, raw in whole_files().items():
        with tempfile.NamedTemporaryFile(suffix=f".{kind[0].lower()}") as file:
            Path(file.name).write_bytes(raw)
            try:
                read_audio(file.name)
            except AudioError:
                continue
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = outcomes(int(sys.argv[1]), int(sys.argv[2]))
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base
    print(json.dumps({"outcomes": dict(found), "megabytes_above_base": more / 1024}))


if __name__ == "__main__":
    main()
