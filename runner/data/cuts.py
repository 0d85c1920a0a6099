"""lhotse's cuts as rows of a manifest: one supervised part of one recording each."""

from __future__ import annotations

from typing import Any

from planner.errors import InputError


def is_cut(value: dict[str, Any]) -> bool:
    """Whether a JSON object is one of lhotse's cuts."""
    return isinstance(value.get("recording"), dict) and "supervisions" in value


def flat_cut(cut: dict[str, Any], where: str) -> dict[str, Any]:
    """The row that a cut means: audio file, its part in seconds, text and speaker.

    Raises:
        InputError: it has several supervisions or none, several sources, a command in place of a file, or a
            channel other than the first.
    """
    supervisions, sources = cut["supervisions"], cut["recording"].get("sources")
    if not isinstance(supervisions, list) or len(supervisions) != 1:
        n = len(supervisions) if isinstance(supervisions, list) else 0
        raise InputError(
            f"{where}: the cut has {n} supervisions; trim cuts to one each (trim_to_supervisions)"
        )
    if not isinstance(sources, list) or len(sources) != 1 or not isinstance(sources[0], dict):
        raise InputError(f"{where}: the recording of a cut needs one source; give one file")
    if sources[0].get("type") != "file":
        raise InputError(
            f"{where}: a source of type {sources[0].get('type')!r} is not read; write the audio to a file"
        )
    if cut.get("channel", 0) not in (0, [0]):
        raise InputError(
            f"{where}: channel {cut['channel']!r} is not read; write it to a file of its own"
        )
    said = supervisions[0] if isinstance(supervisions[0], dict) else {}
    start, within, duration = (
        _seconds(value, where)
        for value in (cut.get("start"), said.get("start"), said.get("duration"))
    )
    row = {
        "path": sources[0].get("source"), "text": said.get("text"), "speaker": said.get("speaker"),
        "offset": max(0.0, start + within), "duration": duration, "id": cut.get("id"),
    }  # fmt: skip
    custom = said.get("custom")
    extra = custom if isinstance(custom, dict) else {}
    return row | {k: v for k, v in extra.items() if k in ("split", "emotion")}


def _seconds(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(f"{where}: start or duration of the cut is not a number of seconds")
    return float(value)
