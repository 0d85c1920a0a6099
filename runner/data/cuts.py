"""lhotse's cuts as rows of a manifest: one supervised part of one recording each."""

from __future__ import annotations

import math
from typing import Any

from planner.errors import InputError
from runner.data.audio import SLACK_SECONDS


def is_cut(value: dict[str, Any], where: str) -> bool:
    """Whether a JSON object is one of lhotse's cuts.

    Raises:
        InputError: it is a mixed cut, which is made when it is read.
    """
    if value.get("type") in ("MixedCut", "PaddingCut"):
        raise InputError(
            f"{where}: a {value['type']} of lhotse is made when it is read; save it (save_audios)"
        )
    return isinstance(value.get("recording"), dict) and "supervisions" in value


def flat_cut(cut: dict[str, Any], where: str) -> dict[str, Any]:
    """The row that a cut means: audio file, its part in seconds, text and speaker.

    Raises:
        InputError: it has several supervisions or none, several sources, a command in place of a file, or a
            channel other than the first.
    """
    supervisions, sources = cut["supervisions"], cut["recording"].get("sources")
    for holder, word in ((cut, "cut"), (cut["recording"], "recording")):
        if holder.get("transforms") or holder.get("tracks"):
            raise InputError(
                f"{where}: the {word} is transformed or mixed when it is read; save it to a file (save_audio)"
            )
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
    _check_within(start, within, duration, cut.get("duration"), where)
    row = {
        "path": sources[0].get("source"), "text": said.get("text"), "speaker": said.get("speaker"),
        "language": said.get("language"),
        "offset": start + within, "duration": duration, "id": cut.get("id"),
    }  # fmt: skip
    custom = said.get("custom")
    extra = custom if isinstance(custom, dict) else {}
    return row | {k: v for k, v in extra.items() if k in ("split", "emotion")}


def _check_within(start: float, within: float, duration: float, whole: Any, where: str) -> None:
    """Refuse a supervision that is not inside of its cut: its text is not all heard there."""
    end = _seconds(whole, where)
    if start < 0 or within < -SLACK_SECONDS or start + within < 0:
        raise InputError(
            f"{where}: the supervision begins {-within:g} s before its cut; trim cuts to their supervisions"
        )
    if within + duration > end + SLACK_SECONDS:
        raise InputError(
            f"{where}: the supervision ends {within + duration - end:g} s after its cut; trim cuts to "
            "their supervisions"
        )


def _seconds(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(f"{where}: start or duration of the cut is not a number of seconds")
    if not math.isfinite(value) or abs(value) > 1e9:
        raise InputError(f"{where}: start or duration of the cut is {value!r}; give it in seconds")
    return float(value)
