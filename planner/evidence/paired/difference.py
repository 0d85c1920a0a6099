"""The difference of two runs' error rates on the same utterances, with its interval and p.

Both runs heard the same speech, so what is hard in it is hard for both: the spread of the
difference comes from the differences utterance by utterance and not from each run's own error.

A rate is a mean over strata of sums, (1/K) sum_c sum_i e_i / sum_i n_i: one stratum and words for a
word error rate, one a class and n_i = 1 for 1 - mean recall. With d_i the second run's errors less
the first's, D_c the difference in stratum c and N_c its units, utterance i carries

    u_i = (d_i - D_c n_i) / (K N_c),     se^2 = G / (G - 1) * sum_g (sum of u_i in cluster g)^2

(linearised ratio: Cochran, Sampling Techniques, 3rd ed., 6.4), and D / se is read from Student's t
with G - 1 degrees of freedom. Clusters are speakers where five or more were scored, else utterances. Several
classes drawn by utterance have a variance each, n_c / (n_c - 1) times their squares, and Welch and Satterthwaite's
degrees of freedom: with one for all, a rare class made 8 % false alarms of 5 (notebooks/LOG.md).

Student's t takes a spread of zero for certainty. m utterances that differ, each in its own sign,
cannot give less than 2^(1-m) (the exact test that swaps the two runs utterance by utterance), so the
standard error is never taken smaller than what makes p that.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from planner.words.student import t_cdf, t_quantile

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LEAST_SPEAKERS = 5
"""Fewer speakers say too little of how speakers differ (assumption: at 4 degrees of freedom a t is 2.8
where a normal is 2); then utterances are drawn, and the answer says that it is of these speakers."""

POWER = 0.8
"""Probability with which a difference should be seen (the usual choice)."""
SIGNIFICANCE = 0.05
"""At which two-sided p it counts as seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Error counts of two runs on the same utterances, shape (n,) each.

    Attributes:
        first: errors of the run that is compared against.
        second: errors of the other one; differences are second - first.
        n_units: words of each reference; 1 where an utterance is right or wrong as a whole.
        stratum: class of each utterance, 0 … K - 1; all 0 for a word error rate.
        speakers: who spoke; None where that is not known.
    """

    first: Ints
    second: Ints
    n_units: Ints
    stratum: Ints
    speakers: tuple[str | None, ...]

    def __post_init__(self) -> None:
        lengths = {len(self.first), len(self.second), len(self.n_units), len(self.stratum)}
        if lengths != {len(self.speakers)} or not self.speakers:
            raise ValueError(f"counts of a pair must have one length above 0, got {lengths}")
        if np.bincount(self.stratum, weights=self.n_units).min() <= 0:
            raise ValueError("every stratum of a pair must have units, got one without")

    @property
    def n_strata(self) -> int:
        """K."""
        return int(self.stratum.max()) + 1

    @property
    def n_differing(self) -> int:
        """Utterances in which the two runs' errors differ in number."""
        return int(np.count_nonzero(self.second != self.first))

    @property
    def points(self) -> Floats:
        """What each utterance adds to the difference; the sum is the difference."""
        units = np.bincount(self.stratum, weights=self.n_units)
        return np.asarray((self.second - self.first) / (self.n_strata * units[self.stratum]))

    @property
    def influence(self) -> Floats:
        """u_i of the module's formula; they sum to 0."""
        differences = (self.second - self.first).astype(np.float64)
        units = np.bincount(self.stratum, weights=self.n_units)
        of_stratum = np.bincount(self.stratum, weights=differences) / units
        rest = differences - of_stratum[self.stratum] * self.n_units
        return np.asarray(rest / (self.n_strata * units[self.stratum]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Second run's rate less the first's, as fractions: negative where the second errs less.

    `p` is two-sided; `std_error` is None where no two utterances exist (the interval then is endless);
    `clustered_by` is `speaker` or `utterance`.
    """

    difference: float
    std_error: float | None
    low: float
    high: float
    level: float
    p: float
    clustered_by: str
    n_clusters: int
    dof: float

    @property
    def p_improvement(self) -> float:
        """Probability that the second run errs less on speech like this; 0.5 where they tie.

        Student's t about the difference. Five drawn speakers make a bootstrap's false alarms 17 %
        where 5 % are stated (notebooks/LOG.md), so its share of draws stands beside and does not lead.
        """
        return 1.0 - self.p / 2 if self.difference < 0 else self.p / 2 if self.difference else 0.5


def clusters(speakers: Sequence[str | None]) -> tuple[Ints, str]:
    """Which utterances are drawn together: each speaker's, or each alone, and that word.

    >>> clusters(["ann", "bob", "ann"])[1]
    'utterance'
    """
    known = sorted({s for s in speakers if s is not None})
    if None in speakers or len(known) < LEAST_SPEAKERS:
        return np.arange(len(speakers), dtype=np.int64), "utterance"
    index = {s: i for i, s in enumerate(known)}
    return np.array([index[s] for s in speakers if s is not None], dtype=np.int64), "speaker"


def difference(pair: Pair, level: float = 0.9) -> Difference:
    """The difference with its interval and p (see the module).

    Raises:
        ValueError: `level` does not lie between 0 and 1.
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie between 0 and 1, got {level!r}")
    cluster, name = clusters(pair.speakers)
    n = int(cluster.max()) + 1
    value = float(pair.points.sum())
    m, dof = pair.n_differing, n - 1.0
    if m == 0:
        half, error, p = _unseen(pair, level), 0.0 if n > 1 else None, 1.0
    elif n == 1:
        half, error, p = math.inf, None, 1.0
    else:
        error, dof = _std_error(pair, cluster)
        error = _floored(error, value, m, dof)
        half = t_quantile(0.5 + level / 2, dof) * error
        if m == 1:
            # One utterance alone is a tie of signs, whatever its size.
            half, p = max(half, abs(value)), 1.0
        else:
            p = min(2 * t_cdf(-abs(value) / error, dof), 1.0) if value else 1.0
    return Difference(
        difference=value, std_error=error, low=value - half, high=value + half,
        level=level, p=p, clustered_by=name, n_clusters=n,
        dof=max(dof, 1.0),
    )  # fmt: skip


def _std_error(pair: Pair, cluster: Ints) -> tuple[float, float]:
    """Standard error and degrees of freedom; classes have their own spread where utterances are drawn."""
    influence, n = pair.influence, int(cluster.max()) + 1
    if n < len(influence) or pair.n_strata == 1:
        sums = np.bincount(cluster, weights=influence)
        return math.sqrt(n / (n - 1) * float(sums @ sums)), n - 1
    sizes = np.bincount(pair.stratum)
    squares = np.bincount(pair.stratum, weights=influence**2)
    free = np.maximum(sizes - 1, 1)
    # A class of one has no spread of its own: that of the others, a single degree of freedom.
    pooled = float((squares * sizes**2)[sizes > 1].sum() / max(int((sizes - 1).sum()), 1))
    variances = np.where(sizes > 1, sizes / free * squares, pooled)
    total = float(variances.sum())
    dof = total**2 / float((variances**2 / free).sum()) if total else float(n - len(sizes))
    return math.sqrt(total), max(dof, 1.0)


def _floored(error: float, value: float, n_differing: int, dof: float) -> float:
    """The standard error, not below what makes p = 2^(1-m)."""
    if n_differing < 2 or value == 0.0:
        return error
    least_p = 2.0 ** (1 - min(n_differing, 200))
    return max(error, abs(value) / -t_quantile_of_tail(least_p / 2, dof))


def t_quantile_of_tail(tail: float, dof: float) -> float:
    """The negative value below which T lies with a small probability, to its own digits.

    Asked for by 1 - tail, a tail below 1e-16 would be lost.
    """
    low, high = -1.0, 0.0
    while t_cdf(low, dof) > tail:
        low, high = 2 * low, low
    for _ in range(200):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        low, high = (low, middle) if t_cdf(middle, dof) > tail else (middle, high)
    return 0.5 * (low + high)


def _unseen(pair: Pair, level: float) -> float:
    """Half-width where no utterance differs: as many as may yet do, by one error in one direction.

    n utterances without one leave shares up to 1 - (1 - level)^(1/n) of utterances that would differ.
    """
    n = len(pair.speakers)
    fewest = float(np.bincount(pair.stratum, weights=pair.n_units).min())
    share: float = 1.0 - (1.0 - level) ** (1.0 / n)
    return share * n / (pair.n_strata * fewest)


BLOCK = 2_000_000
"""Draws times clusters at once (16 MB)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrapped:
    """Resampled clusters: share of draws in which the second run errs less, ties split; p; interval."""

    p_improvement: float
    p: float
    low: float
    high: float
    n_draws: int


def bootstrap(
    pair: Pair, rng: np.random.Generator, level: float = 0.9, n_draws: int = 10_000
) -> Bootstrapped:
    """Probability of improvement (Bisani & Ney, ICASSP 2004) and percentile interval.

    Draws clusters with replacement, both runs' errors together. A draw without difference counts half
    for either side, so that two equal runs give 0.5.
    """
    drawn = np.concatenate(list(_drawn(pair, rng, n_draws)))
    # Sums of fractions over strata miss 0 by rounding.
    drawn[np.abs(drawn) < 1e-12] = 0.0
    less, more = float(np.mean(drawn < 0)), float(np.mean(drawn > 0))
    low, high = np.quantile(drawn, [0.5 - level / 2, 0.5 + level / 2])
    return Bootstrapped(
        p_improvement=less + 0.5 * (1.0 - less - more),
        p=min(2 * min(1.0 - less, 1.0 - more), 1.0),
        low=float(low), high=float(high), n_draws=n_draws,
    )  # fmt: skip


def _drawn(pair: Pair, rng: np.random.Generator, n_draws: int) -> Iterator[Floats]:
    """Differences of resampled clusters, block by block; strata that a draw lacks are left out."""
    cluster, _ = clusters(pair.speakers)
    n = int(cluster.max()) + 1
    sums = np.zeros((2, n, pair.n_strata))
    np.add.at(sums[0], (cluster, pair.stratum), pair.second - pair.first)
    np.add.at(sums[1], (cluster, pair.stratum), pair.n_units)
    at_once = max(BLOCK // n, 1)
    for start in range(0, n_draws, at_once):
        times = rng.multinomial(n, np.full(n, 1 / n), size=min(at_once, n_draws - start))
        differences, units = times @ sums[0], times @ sums[1]
        there = units > 0
        of_stratum = np.where(there, differences / np.where(there, units, 1.0), 0.0)
        yield of_stratum.sum(axis=1) / np.maximum(there.sum(axis=1), 1)


def utterances_needed(pair: Pair, found: Difference, points: float) -> int | None:
    """Utterances like these that would tell runs apart that differ by `points` (a fraction).

    N >= (t(1 - alpha/2) + t(power))^2 s^2 / points^2 with s^2 = n se^2, Student's t at N - 1 degrees of
    freedom (NIST/SEMATECH e-Handbook of Statistical Methods, 7.2.2.2), at alpha = 0.05 and power 0.8.
    None where the runs differ in no utterance, or the spread is not known.
    """
    if not found.std_error:
        return None
    spread = len(pair.speakers) * (found.std_error / points) ** 2
    wanted = max(int(_both_quantiles(math.inf) ** 2 * spread), 2)
    while wanted < _both_quantiles(wanted - 1) ** 2 * spread:
        wanted += 1
    return wanted


def _both_quantiles(dof: float) -> float:
    return float(t_quantile(1 - SIGNIFICANCE / 2, dof) + t_quantile(POWER, dof))


def detectable(found: Difference) -> float | None:
    """The difference that these utterances tell apart with probability 0.8 (same formula, other way)."""
    if not found.std_error:
        return None
    return found.std_error * _both_quantiles(found.dof)
