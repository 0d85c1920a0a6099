"""What window borders cost the recommended configuration: measured on exports of its runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from planner.words.engine_records import BorderLoss
from planner.words.student import t_quantile


def borders_json(
    measured: Sequence[BorderLoss], run_ids: Sequence[int], audio_seconds: float, level: float
) -> dict[str, Any] | None:
    """The newest measurement among the runs, in numbers and in words; None where there is none.

    Args:
        measured: on exports of the study's runs.
        run_ids: of the recommended configuration.
        audio_seconds: its window.
        level: of the interval, by Student's distribution over clips.
    """
    of = [b for b in measured if b.run_id in run_ids]
    if not of:
        return None
    newest = max(of, key=lambda b: b.engine_evaluation_id)
    found = newest.found
    share, std_error = found["error_share"], found["std_error"]
    low = high = None
    if std_error is not None:
        half = t_quantile(0.5 + 0.5 * level, max(1, found["n_clips"] - 1)) * std_error
        low, high = share - half, share + half
    beside = {
        "run_id": newest.run_id, "engine": newest.engine, "precision": newest.precision,
        "engine_evaluation_id": newest.engine_evaluation_id, "low": low, "high": high,
    }  # fmt: skip
    return found | beside | {"verdict": _verdict(found, newest, audio_seconds, low, high)}


def _verdict(
    found: dict[str, Any],
    of: BorderLoss,
    audio_seconds: float,
    low: float | None,
    high: float | None,
) -> str:
    within = "" if low is None or high is None else f" [{100 * low:+.2f}, {100 * high:+.2f}]"
    points = f"{100 * found['error_share']:+.2f}{within} points of error"
    where = (
        f"at {found['n_borders']} borders of windows of {audio_seconds:g} s, against cutting at silence "
        f"({found['n_words']} words, run {of.run_id} in {of.engine} {of.precision})"
    )
    if low is not None and low > 0:
        return f"words are lost {where}: {points}; use soundscale transcribe --cut {found['cut']}"
    if high is not None and high < 0:
        return f"no word is lost {where}: {points}"
    return f"no loss of words is shown {where}: {points}"
