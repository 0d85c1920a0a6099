"""The counts of one utterance by a named scorer, from its texts alone: no audio, no model."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from runner.data.normalise import EMPTY_LEFT_OUT, form
from runner.trial.metrics import Counts, character_counts, word_counts

NEAR_A_CUT = 1
"""Words from a cut within which an error is taken to come from it (assumption: a cut splits one word, and
what is left of it on either side is one more)."""

NOTHING = Counts(n_units=0, n_substitutions=0, n_insertions=0, n_deletions=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What is counted of one utterance.

    Attributes:
        words, characters: errors and units.
        n_errors_at_cuts: word errors within NEAR_A_CUT words of a place where the audio was cut.
        number_format_only: whether it has errors, and none with numbers as single digits.
    """

    words: Counts
    characters: Counts
    n_errors_at_cuts: int
    number_format_only: bool


def counted(scorer: str, parts: Sequence[str], windows: Sequence[str]) -> Counted:
    """Counts of one utterance.

    Args:
        scorer: name of `planner.words.scorers`.
        parts: references of the clips that it was joined of; one for a plain clip.
        windows: what was heard in each window.
    """
    reference, hypothesis = form(scorer, parts), form(scorer, [" ".join(windows)])
    if not reference.split() and scorer in EMPTY_LEFT_OUT:
        return Counted(
            words=NOTHING, characters=NOTHING, n_errors_at_cuts=0, number_format_only=False
        )
    words = word_counts(reference, hypothesis)
    near = errors_at_cuts(reference, [form(scorer, [w]) for w in windows]) if words.n_errors else 0
    return Counted(
        words=words,
        characters=character_counts(reference, hypothesis),
        n_errors_at_cuts=near,
        number_format_only=words.n_errors > 0 and only_numbers_differ(parts, windows),
    )


def only_numbers_differ(parts: Sequence[str], windows: Sequence[str]) -> bool:
    """Whether two texts are alike once numbers are single digits."""
    name = "english-digits"
    return form(name, parts) == form(name, [" ".join(windows)])


def errors_at_cuts(reference: str, windows: Sequence[str]) -> int:
    """Word errors next to a boundary between windows, all texts normalised.

    >>> errors_at_cuts("please hold the line", ["please ho", "the lion"])
    1
    """
    import jiwer

    cuts, n = set(), 0
    for window in windows[:-1]:
        n += len(window.split())
        cuts.add(n)
    hypothesis = " ".join(windows)
    if not cuts or not reference.split() or not hypothesis.split():
        return 0
    near = {place for cut in cuts for place in range(cut - NEAR_A_CUT, cut + NEAR_A_CUT)}
    found = 0
    for chunk in jiwer.process_words(reference, hypothesis).alignments[0]:
        if chunk.type == "equal":
            continue
        if chunk.type == "delete":
            at_cut = any(abs(chunk.hyp_start_idx - cut) <= NEAR_A_CUT for cut in cuts)
            found += (chunk.ref_end_idx - chunk.ref_start_idx) * at_cut
        else:
            found += sum(i in near for i in range(chunk.hyp_start_idx, chunk.hyp_end_idx))
    return found


def part_ends(parts: Sequence[str]) -> str | None:
    """Where the parts of a joined reference end, in characters, as it is stored; None for a plain clip.

    >>> part_ends(["Press one.", "Hold"]), part_ends(["Hold"])
    ('10 15', None)
    """
    if len(parts) < 2:
        return None
    ends, at = [], -1
    for part in parts:
        at += 1 + len(part)
        ends.append(str(at))
    return " ".join(ends)


def parts_of(reference: str, ends: str | None) -> list[str]:
    """The parts of a stored reference.

    >>> parts_of("Press one. Hold", "10 15")
    ['Press one.', 'Hold']
    """
    if not ends:
        return [reference]
    places = [-1, *map(int, ends.split())]
    return [reference[a + 1 : b] for a, b in itertools.pairwise(places)]
