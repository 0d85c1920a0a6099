"""Stored texts by another scorer: the error, its standard error and its counts, without audio or model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from planner.errors import InputError
from planner.words.records import Utterance
from runner.trial.metrics import rate_std_error
from runner.trial.scoring import counted, parts_of


def rescored(utterances: Sequence[Utterance], scorer: str) -> dict[str, Any]:
    """Counts and rates of a run's utterances; broken ones are left out, as they were.

    Cuts between windows are not stored: what is heard is taken as one text.

    Raises:
        InputError: no text is stored, or the scorer leaves no reference word.
    """
    sound = [u for u in utterances if u.failure_text is None]
    if not sound:
        raise InputError("no scored text is stored")
    found = [counted(scorer, parts_of(u.reference, u.part_ends), [u.hypothesis]) for u in sound]
    words = [one.words for one in found]
    n_units = sum(w.n_units for w in words)
    if n_units == 0:
        raise InputError(f"{scorer} leaves no reference word")
    std_error, _ = rate_std_error(
        [w.n_errors for w in words],
        [w.n_units for w in words],
        [u.speaker for u in sound],
        sentences=[u.reference for u in sound],
    )
    characters = sum(one.characters.n_units for one in found)
    n_errors = sum(w.n_errors for w in words)
    return {
        "error": n_errors / n_units,
        "std_error": std_error,
        "n_units": n_units,
        "n_errors": n_errors,
        "n_substitutions": sum(w.n_substitutions for w in words),
        "n_insertions": sum(w.n_insertions for w in words),
        "n_deletions": sum(w.n_deletions for w in words),
        "n_utterances": sum(w.n_units > 0 or w.n_insertions > 0 for w in words),
        "cer": sum(one.characters.n_errors for one in found) / characters if characters else None,
    }
