"""How far each run's error may lie from that of its configuration, for what was scored: own and common.

Where the counts of the utterances are stored, one cluster (a speaker; an utterance where fewer than two
speakers are known) at a time is left out of ln(errors / words) of each run: the jackknife's products over
runs are the covariance of their scoring noise. Few clusters make a singular guess of it, so it is taken as
one level that all runs share (its mean off the diagonal) and a part of each run's own that falls with its
errors as its counts' would, phi / errors, drawn towards the run's own figure as clusters grow in number.
What pairs of runs share beyond the level (models of one kind stumble over the same words) is the correlation
of the rest, drawn towards none as far as it may be chance (Schaefer and Strimmer 2005).

Where a run tells its standard error or its words alone, runs of one test set are taken as correlated by
ASSUMED_CORRELATION; where it tells nothing, only the scatter about the law is seen.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planner.laws.observations import Floats, RunNoise
from planner.store.row_types import Run, ScoredCounts

ASSUMED_CORRELATION = 0.5
"""Of the scoring noise of two runs on one test set whose utterances are not known (assumption; measured
.3 to .85 between runs of the quickstart and in public sets)."""
OVERDISPERSION = 4.0
"""Variance of an error rate over that of independent words, as words of an utterance fail together: 2.4 to
5.6 over the twelve runs of the quickstart by their bootstrap over utterances (median 4.4). The counts of
utterances, where stored, take its place."""
ZERO_VARIANCE = 4.934802200544679
"""Variance of ln of a rate whose count is 0: trigamma(1/2), under Jeffreys's prior of a Poisson rate."""
ZERO_COUNT = 0.14037485
"""exp(digamma(1/2)): the count that stands for 0, its rate's mean in logarithms under the same prior."""
LEAST_COMMON = 0.1
"""Share of the scoring variance that is common at least: few utterances can show none by chance."""
OWN_CLUSTERS = 40
"""Clusters at which a run's own figure and the smooth one weigh alike (assumption)."""
SURE_SPEAKERS = 20
"""Below so many speakers, leaving out speakers understates the spread (assumption), so the larger of that
and of utterances counts; as the runner's bootstrap does."""
LEAST_DOF = 5.0
"""Degrees of freedom of the level's variance at least, for clusters of which one or two carry it (assumption)."""
SURE_OWN = 20
"""Degrees of freedom, (speakers - 1)(runs - 1), from which speakers tell the runs' own noise (assumption)."""
MOST_COMMON = 0.995
"""Share of the scoring variance that is common at most: no two runs make the very same errors."""
MOST_PAIRED = 60
"""Runs up to which pairs are told apart: their matrix is stored with the law."""
WORTH_PAIRING = 0.8
"""Share by which pairs are drawn towards none from which they are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scored:
    """Counts of the runs of one test set: errors (n, U), words (U,), speakers (U,) or -1."""

    errors: Floats
    words: Floats
    speaker: NDArray[np.int64]


def zero_as_rate(n_units: int) -> float:
    """The error rate that stands for no error in so many units."""
    return ZERO_COUNT * OVERDISPERSION / n_units


def relative_variance(row: Run, overdispersion: float = OVERDISPERSION) -> float:
    """Variance of ln error of one run: its bootstrap's, else that of its counts, else NaN."""
    if row.error == 0:
        return ZERO_VARIANCE if row.n_units else math.nan
    if not row.error:
        return math.nan
    if row.std_error is not None and row.std_error > 0:
        return (row.std_error / row.error) ** 2
    if row.n_units:
        return overdispersion * (1 - min(row.error, 0.99)) / (row.error * row.n_units)
    return math.nan


def noise_of(rows: Sequence[Run], counts: ScoredCounts | None = None) -> RunNoise:
    """The scoring noise of runs of one study, by the counts of their utterances where they are given."""
    found = None if counts is None else _by_counts(rows, counts)
    zero = np.array([r.error == 0 and bool(r.n_units) for r in rows])
    return with_zeros(found or _by_rates(rows), zero)


def _by_rates(rows: Sequence[Run]) -> RunNoise:
    each = _relative_variances(rows)
    known = np.isfinite(each)
    if not known.any():
        return RunNoise(own=np.zeros(len(rows)))
    plain = known & (each < ZERO_VARIANCE)
    typical = float(np.median(each[plain])) if plain.any() else 0.0
    filled = np.where(known, each, typical)
    common = ASSUMED_CORRELATION * typical
    own = np.maximum(filled - common, (1 - ASSUMED_CORRELATION) * filled)
    counted = all(r.std_error is None for r in rows)
    return RunNoise(own=own, common=common, source="counts" if counted else "stated")


def _relative_variances(rows: Sequence[Run]) -> Floats:
    """`relative_variance` of each run, shape (n,); of ten thousand runs without a call for each."""
    error = np.array([r.error for r in rows], dtype=np.float64)
    std_error = np.array([r.std_error for r in rows], dtype=np.float64)
    units = np.array([r.n_units for r in rows], dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        stated = np.where(std_error > 0, (std_error / error) ** 2, np.nan)
        counted = OVERDISPERSION * (1 - np.minimum(error, 0.99)) / (error * units)
        counted = np.where((units > 0) & (error > 0), counted, np.nan)
    found = np.where(np.isfinite(stated), stated, counted)
    return np.where((error == 0) & (units > 0), ZERO_VARIANCE, found)


def _by_counts(rows: Sequence[Run], counts: ScoredCounts) -> RunNoise | None:
    """By the largest test set; a run on another one keeps its whole variance to itself."""
    places, scored = _largest_set(rows, counts)
    if scored is None or len(scored.words) < 2:
        return None
    own, common, dof, source, paired = _shares(scored)
    filled = np.array([relative_variance(r) for r in rows])
    filled = np.where(np.isfinite(filled), filled, float(np.median(own)) + common)
    filled[places] = own
    pairs = None
    if paired is not None and len(rows) <= MOST_PAIRED:
        pairs = np.eye(len(rows))
        pairs[np.ix_(places, places)] = paired
    return RunNoise(own=filled, common=common, common_dof=dof, source=source, pairs=pairs)


def _largest_set(
    rows: Sequence[Run], counts: ScoredCounts
) -> tuple[NDArray[np.int64], _Scored | None]:
    """Rows that were scored on the commonest set of utterances, and their counts side by side."""
    place = {r.run_id: i for i, r in enumerate(rows)}
    order = np.lexsort((counts.utterance, counts.run_id))
    run, utterance = counts.run_id[order], counts.utterance[order]
    starts = np.flatnonzero(np.diff(run, prepend=run[:1] - 1))
    sets: dict[bytes, list[tuple[int, int]]] = {}
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(run)], strict=True):
        row = place.get(int(run[start]))
        if row is not None:
            sets.setdefault(utterance[start:end].tobytes(), []).append((row, start))
    if not sets:
        return np.empty(0, dtype=np.int64), None
    chosen = max(sets.values(), key=len)
    size = len(max(sets, key=lambda k: len(sets[k]))) // utterance.itemsize
    at = order[np.array([start for _, start in chosen])[:, None] + np.arange(size)]
    scored = _Scored(
        errors=counts.errors[at].astype(np.float64),
        words=counts.words[at[0]].astype(np.float64),
        speaker=counts.speaker[at[0]],
    )
    return np.array([row for row, _ in chosen], dtype=np.int64), scored


def _shares(scored: _Scored) -> tuple[Floats, float, float, str, Floats | None]:
    """Own variance of each run, the common one, its degrees of freedom, what was left out at a time, pairs."""
    n, n_utterances = scored.errors.shape
    moved = _jackknife(scored, np.arange(n_utterances))
    own, common = _split(moved, scored)
    told, source = moved, "utterances"
    voices = np.unique(scored.speaker)
    if len(voices) > 1 and voices[0] >= 0:
        by_voice = _jackknife(scored, np.searchsorted(voices, scored.speaker))
        own_s, common_s = _split(by_voice, scored)
        # The larger of two guesses is too large on average: it is taken where voices tell too little.
        if (len(voices) - 1) * (n - 1) >= SURE_OWN or own_s.sum() > own.sum():
            own = own_s
        if len(voices) >= SURE_SPEAKERS or common_s > common:
            common, told, source = common_s, by_voice, "speakers"
    return own, common, _dof(told.mean(0)), source, _paired(moved)


def _dof(moved: Floats) -> float:
    """Degrees of freedom of the variance of a mean's jackknife (G,): few where few clusters carry it.

    2 over the relative variance of a variance, sum m^4 / (sum m^2)^2 - 1 / G (Satterthwaite), at most G - 1
    and, as that guess is itself rough, not below LEAST_DOF where there are so many clusters.
    """
    n = len(moved)
    square = float((moved**2).sum())
    if square <= 0.0:
        return float(n - 1)
    excess = float((moved**4).sum()) / square**2 - 1.0 / n
    return float(np.clip(2.0 / max(excess, 1e-12), min(LEAST_DOF, n - 1), n - 1))


def _paired(moved: Floats) -> Floats | None:
    """Correlation of what runs have beyond their common level, by utterances (n, G); None if it is chance.

    What is left of independent noise once its mean over n runs is taken off correlates by -1 / (n - 1),
    which is added back. The share by which it is drawn towards none is the sum of the estimated variances
    of the correlations over the sum of their squares.
    """
    n, n_clusters = moved.shape
    rest = moved - moved.mean(0)
    length = np.sqrt((rest**2).sum(1))
    if n < 4 or n_clusters < 4 or not (length > 0).all():
        return None
    unit = rest / length[:, None]
    found = ((n - 1) * (unit @ unit.T) + 1.0) / n
    off = ~np.eye(n, dtype=bool)
    # Variance of a sum of G products about its mean, for each pair.
    square = (unit**2) @ (unit**2).T
    doubt = n_clusters / (n_clusters - 1) * (square - (unit @ unit.T) ** 2 / n_clusters)
    share = float((doubt[off] * ((n - 1) / n) ** 2).sum() / max((found[off] ** 2).sum(), 1e-300))
    if share >= WORTH_PAIRING:
        return None
    return np.asarray((1.0 - share) * found + share * np.eye(n))


def _jackknife(scored: _Scored, label: NDArray[np.int64]) -> Floats:
    """What leaving out each cluster moves ln error of each run by, scaled: (n, G); products covary."""
    n_clusters = int(label.max()) + 1
    member = np.zeros((len(label), n_clusters))
    member[np.arange(len(label)), label] = 1.0
    total, words = scored.errors.sum(1, keepdims=True), scored.words.sum()
    # Half an error more keeps the logarithm of a run that a cluster alone made err.
    rest = np.log((total - scored.errors @ member + 0.5) / (words - scored.words @ member))
    moved = rest - rest.mean(1, keepdims=True)
    return np.asarray(moved * math.sqrt((n_clusters - 1) / n_clusters))


def _split(moved: Floats, scored: _Scored) -> tuple[Floats, float]:
    """Own variances (n,) and the common one of a jackknife (n, G)."""
    covariance = moved @ moved.T
    total = np.diag(covariance)
    n, n_clusters = moved.shape
    between = (covariance.sum() - total.sum()) / max(n * (n - 1), 1)
    if n == 1:
        between = ASSUMED_CORRELATION * float(total[0])
    common = float(np.clip(between, LEAST_COMMON * total.mean(), MOST_COMMON * total.mean()))
    # What is left of each run beside the runs' mean: never negative, whatever the level weighs.
    alone = ((moved - moved.mean(0)) ** 2).sum(1) * n / max(n - 1, 1)
    if n == 1:
        alone = total - common
    alone = np.maximum(alone, (1.0 - MOST_COMMON) * total)
    inverse = 1.0 / (scored.errors.sum(1) + 0.5)
    sure = n_clusters / (n_clusters + OWN_CLUSTERS)
    smooth = float(alone.sum() / inverse.sum()) * inverse
    return np.asarray((1 - sure) * smooth + sure * alone), common


SOURCES = {
    "speakers": "scoring noise by speakers left out one at a time",
    "utterances": "scoring noise by utterances left out one at a time: other voices may differ by more",
    "counts": f"scoring noise by the words told, runs taken to correlate by {ASSUMED_CORRELATION:g} (assumption)",
    "stated": f"scoring noise as stated, runs taken to correlate by {ASSUMED_CORRELATION:g} (assumption)",
    "none": "scoring noise is not told: only the scatter about the law is seen",
}
"""What the scoring noise rests on, by the source that a `RunNoise` names."""


def with_zeros(noise: RunNoise, zero: NDArray[np.bool_]) -> RunNoise:
    """The noise where some runs made no error at all: as unsure as a count of 0 leaves a rate."""
    return dataclasses.replace(noise, own=np.where(zero, ZERO_VARIANCE, noise.own))
