"""A transcript as plain text, SRT, VTT or JSON."""

from __future__ import annotations

import json
from typing import Any

from runner.engines.runtime import Transcript

FORMATS = ("text", "srt", "vtt", "json")


def written(path: str, transcript: Transcript, form: str) -> str:
    """The transcript of a file in a format of FORMATS, with a line's end."""
    if form == "text":
        return transcript.text + "\n"
    if form == "json":
        return json.dumps(as_json(path, transcript), ensure_ascii=False, indent=1) + "\n"
    mark = "," if form == "srt" else "."
    blocks = []
    for number, one in enumerate((w for w in transcript.windows if w.text), 1):
        times = f"{clock(one.start_seconds, mark)} --> {clock(one.end_seconds, mark)}"
        head = f"{number}\n" if form == "srt" else ""
        blocks.append(f"{head}{times}\n{one.text}\n")
    return ("" if form == "srt" else "WEBVTT\n\n") + "\n".join(blocks)


def clock(seconds: float, mark: str) -> str:
    """Hours, minutes, seconds and milliseconds.

    >>> clock(3725.5, ","), clock(0.0004, ".")
    ('01:02:05,500', '00:00:00.000')
    """
    milliseconds = round(1000 * seconds)
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}{mark}{rest % 1000:03d}"


def as_json(path: str, transcript: Transcript) -> dict[str, Any]:
    """The transcript with its windows, as plain JSON values."""
    return {
        "file": path,
        "text": transcript.text,
        "audio_seconds": transcript.audio_seconds,
        "windows": [
            {
                "start_seconds": one.start_seconds,
                "end_seconds": one.end_seconds,
                "text": one.text,
                "confidence": one.confidence,
            }
            for one in transcript.windows
        ],
    }
