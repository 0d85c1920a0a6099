"""Words that are lost where one window ends and the next begins.

The same clips are heard twice by the same model: in consecutive windows, as they are scored, and cut at the silence
between speech, where no word is split. The share of words that only the first way gets wrong is what borders cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from planner.words.records import Evaluation
from runner.data.clips import Clip
from runner.data.packing import load_clip
from runner.engines.runtime import Model
from runner.trial.metrics import normaliser, rate_std_error, word_counts

CUT = "energy"
"""How the clips are cut at silence: by level, which needs no further package and was no worse than Silero on
recorded prompts (notebooks/LOG.md, 2026-11-30)."""


def border_loss(model: Model, clips: Sequence[Clip], scored: Evaluation) -> dict[str, Any] | None:
    """Errors of consecutive windows less those of windows cut at silence, as a share of words.

    Args:
        model: writes text.
        clips: of the test split.
        scored: their evaluation in consecutive windows by the same model.

    Returns:
        cut; n_borders, between consecutive windows; n_words; error_share and lost_share (deletions alone), each with
        consecutive windows less cut at silence; std_error, of error_share, paired by clip. None where no clip is
        longer than a window.
    """
    norm = normaliser(model.about.normaliser)
    by_name = {one.utterance_id: one for one in scored.utterances if one.failure_text is None}
    more, lost, units, speakers, n_borders = [], 0, [], [], 0
    for clip in clips:
        if clip.utterance_id not in by_name or clip.audio_seconds <= model.about.audio_seconds:
            continue
        samples = load_clip(clip)
        reference = norm(clip.reference)
        ends = word_counts(reference, norm(by_name[clip.utterance_id].hypothesis))
        silent = word_counts(reference, norm(model.transcribe(samples, cut=CUT).text))
        n_borders += len(model.spans(samples, "consecutive")) - 1
        more.append(ends.n_errors - silent.n_errors)
        lost += ends.n_deletions - silent.n_deletions
        units.append(ends.n_units)
        speakers.append(clip.speaker)
    n_words = sum(units)
    if not n_words:
        return None
    std_error, _ = rate_std_error(more, units, speakers)
    return {
        "cut": CUT,
        "n_clips": len(units),
        "n_borders": n_borders,
        "n_words": n_words,
        "error_share": sum(more) / n_words,
        "lost_share": lost / n_words,
        "std_error": std_error,
    }
