"""Alignment of words, and the matched-pairs sentence-segment word error test (MAPSSWE).

Segments end where two words in a row are right in both systems with nothing inserted between
(Gillick & Cox, ICASSP 1989; NIST's sc_stats); an end of an utterance ends a segment too. A segment
in which neither errs does not exist. z = mean / (sd / sqrt(n)) of the differences, p by the normal
law. sc_stats prints p = 1.000 where every difference is the same; here that is the least p which
the signs of so many segments can give, 2^(1-n), unless the difference is 0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SCLITE, EVEN = (4, 3), (1, 1)
"""Costs of a substitution, and of an insertion or a deletion: sclite's, and those of an error rate."""
ALIGNER = "sclite's costs (substitution 4, insertion 3, deletion 3)"

Op = tuple[str, str, str]
"""`=` right, `s` substituted, `d` deleted, `i` inserted; the word of the reference, and that heard."""

_NOT_WORDS = re.compile(r"[^\w']+|_")


def plain_words(text: str) -> list[str]:
    """Lower-case words without punctuation.

    >>> plain_words("Call-Forward on, don't answer.")
    ['call', 'forward', 'on', "don't", 'answer']
    """
    return [w for w in (x.strip("'") for x in _NOT_WORDS.split(text.lower())) if w]


def align(
    reference: Sequence[str], hypothesis: Sequence[str], costs: tuple[int, int] = SCLITE
) -> list[Op]:
    """The cheapest way from reference to hypothesis, left to right.

    >>> [kind for kind, _, _ in align("press one now".split(), "press now".split())]
    ['=', 'd', '=']
    """
    start = _same(reference, hypothesis)
    rest = min(len(reference), len(hypothesis)) - start
    end = _same(reference[::-1][:rest], hypothesis[::-1][:rest])
    middle = _aligned(
        reference[start : len(reference) - end], hypothesis[start : len(hypothesis) - end], costs
    )
    head = [("=", w, w) for w in reference[:start]]
    tail = [("=", w, w) for w in reference[len(reference) - end :]]
    return [*head, *middle, *tail]


def _same(one: Sequence[str], other: Sequence[str]) -> int:
    """Words that agree from the start on."""
    n = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        n += 1
    return n


def _aligned(
    reference: Sequence[str], hypothesis: Sequence[str], costs: tuple[int, int]
) -> list[Op]:
    change, gap = costs
    table = [[j * gap for j in range(len(hypothesis) + 1)]]
    for i, word in enumerate(reference, 1):
        above, row = table[-1], [i * gap]
        for j, heard in enumerate(hypothesis, 1):
            across = above[j - 1] + (0 if word == heard else change)
            row.append(min(across, above[j] + gap, row[-1] + gap))
        table.append(row)
    return _traced(table, reference, hypothesis, costs)


def _traced(
    table: list[list[int]],
    reference: Sequence[str],
    hypothesis: Sequence[str],
    costs: tuple[int, int],
) -> list[Op]:
    out: list[Op] = []
    i, j = len(reference), len(hypothesis)
    while i or j:
        here = table[i][j]
        if i and j:
            right = reference[i - 1] == hypothesis[j - 1]
            if here == table[i - 1][j - 1] + (0 if right else costs[0]):
                out.append(("=" if right else "s", reference[i - 1], hypothesis[j - 1]))
                i, j = i - 1, j - 1
                continue
        if j and here == table[i][j - 1] + costs[1]:
            out.append(("i", "", hypothesis[j - 1]))
            j -= 1
        else:
            out.append(("d", reference[i - 1], ""))
            i -= 1
    return out[::-1]


def slots_of(ops: Sequence[Op]) -> list[int]:
    """Errors in 2n + 1 slots: before word 1 (insertions), word 1 (0 or 1), between 1 and 2, and so on."""
    slots = [0]
    for kind, _, _ in ops:
        if kind == "i":
            slots[-1] += 1
        else:
            slots += [int(kind != "="), 0]
    return slots


def segments(first: Sequence[int], second: Sequence[int]) -> list[tuple[int, int]]:
    """Errors of both systems in each segment of one utterance, from their slots.

    >>> segments([0, 1, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 1, 0])
    [(1, 0), (0, 1)]
    """
    found: list[tuple[int, int]] = []
    here = [0, 0]
    for k in range(len(first)):
        between_words = k % 2 == 0 and 0 < k < len(first) - 1
        if between_words and not any(first[k - 1 : k + 2]) and not any(second[k - 1 : k + 2]):
            found.append((here[0], here[1]))
            here = [0, 0]
        here[0] += first[k]
        here[1] += second[k]
    found.append((here[0], here[1]))
    return [s for s in found if any(s)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapsswe:
    """The test's figures; `mean` and `std` (n - 1) are of second - first errors a segment.

    `z` is None where every segment differs alike.
    """

    n_segments: int
    mean: float
    std: float
    z: float | None
    p: float


def mapsswe(found: Sequence[tuple[int, int]]) -> Mapsswe:
    """The test over the segments of all utterances."""
    n = len(found)
    differences = np.array([b - a for a, b in found], dtype=np.float64)
    mean = float(differences.mean()) if n else 0.0
    std = float(differences.std(ddof=1)) if n > 1 else 0.0
    if mean == 0.0:
        return Mapsswe(n_segments=n, mean=0.0, std=std, z=0.0 if std else None, p=1.0)
    if std == 0.0:
        return Mapsswe(n_segments=n, mean=mean, std=0.0, z=None, p=2.0 ** (1 - n))
    z = mean / (std / math.sqrt(n))
    return Mapsswe(n_segments=n, mean=mean, std=std, z=z, p=math.erfc(abs(z) / math.sqrt(2.0)))
