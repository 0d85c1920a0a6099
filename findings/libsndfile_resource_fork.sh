#!/usr/bin/env bash
# libsndfile 1.2.2 (soundfile 0.14.0): a good MP3 that begins with a frame, without an ID3 tag, cannot be opened
# where a file `._NAME` lies beside it, the companion that macOS leaves on volumes without extended attributes,
# in archives and on shares. The same MP3 held in memory cannot be opened where the working directory has a file
# called `._`. With an ID3 tag, and as WAV, FLAC or Ogg, companions do nothing.
#
# Expected: a companion is no part of the MP3, so that it opens as without; bytes in memory have no companion.
# Seen: 'bad resource fork' for the file, 'bad data offset' or 'bad resource fork' for the bytes. Formats are told by
# their first bytes; for those that are not, the companion is tried as Sound Designer II's resource fork before
# MPEG frames are looked for. And whoever writes SD2 into memory leaves such a `._` in the working directory.
# Exits non-zero if that changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check soundfile==0.14.0 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
import io
import struct
from pathlib import Path

import numpy as np
import soundfile

assert soundfile.__libsndfile_version__ == "1.2.2", soundfile.__libsndfile_version__
tone = (0.3 * np.sin(np.arange(32_000) * 0.1)).astype(np.float32)
TAG = b"ID3\x04\0\0\0\0\0\x0a" + bytes(10)


def companion(path):
    """AppleDouble: 32 bytes of Finder information and an empty resource fork, as copying by macOS makes it."""
    blank = b"This resource fork intentionally left blank   "
    bounds = struct.pack(">IIII", 256, 256, 0, 30)
    fork = bounds + blank.ljust(240, b"\0") + bounds + bytes(8) + struct.pack(">HHh", 28, 30, -1)
    head = struct.pack(">II16sH", 0x00051607, 0x00020000, b"Mac OS X        ", 2)
    entries = struct.pack(">III", 9, 50, 32) + struct.pack(">III", 2, 82, len(fork))
    path.write_bytes(head + entries + bytes(32) + fork)


def opened(what):
    try:
        return f"{soundfile.info(what).frames} samples"
    except soundfile.LibsndfileError as error:
        return error.error_string


seen = {}
for kind in ("mp3", "wav", "flac", "ogg"):
    path = Path(f"a.{kind}")
    soundfile.write(path, tone, 16_000, format=kind)
    alone = opened(str(path))
    companion(path.with_name(f"._a.{kind}"))
    seen[kind] = (alone, opened(str(path)))
plain = Path("a.mp3").read_bytes()
Path("a.mp3").write_bytes(TAG + plain)
seen["mp3 with a tag"] = ("32000 samples", opened("a.mp3"))
alone = opened(io.BytesIO(plain))
companion(Path("._"))
seen["mp3 in memory"] = (alone, opened(io.BytesIO(plain)))
Path("._").unlink()
soundfile.write(io.BytesIO(), tone, 16_000, format="SD2", subtype="PCM_16")
seen["sd2 in memory leaves ._"] = (False, Path("._").is_file())
for what, (before, after) in seen.items():
    print(f"{what:24s} alone: {before!s:16s} with a companion: {after}")
assert seen["mp3"][0] == "32000 samples" and "resource fork" in seen["mp3"][1]
assert all(seen[kind][0] == seen[kind][1] for kind in ("wav", "flac", "ogg", "mp3 with a tag"))
assert seen["mp3 in memory"][0] == "32000 samples" != seen["mp3 in memory"][1]
assert seen["sd2 in memory leaves ._"][1]
print("as written: an MP3 without a tag is lost to its companion")
PY
