"""What candidates err on a further test set, and how surely a rule for it is met.

For a configuration that was run and scored there, beside the untrained checkpoint of its backbone on the same
utterances, the change is the paired difference d with its standard error s (planner.evidence.paired), and

    P(change <= a) = F_t((a - d) / s)        with the pair's degrees of freedom.

For the others it is of the joint draws e_j of the set's own law on new speech, and of the reference's error r
with its standard error, taken as independent of them:

    P(change <= a) = share of draws with e_j - (r + s_r z) <= a.

Independence is conservative: both were scored on one set, whose level cancels in a pair and not here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from planner.evidence.paired.difference import Difference
from planner.plan.cost import Draws, Floats
from planner.words.keep import Rule
from planner.words.student import t_cdf

SEED = 20_261_201
"""Of the reference's draws, so that an answer is the same each time."""

BLOCK = 4096
"""Candidates at once: 33 MB for 1,000 draws."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Untrained:
    """An untrained checkpoint's run on the set: what a change is counted from."""

    run_id: int
    label: str
    error: float
    std_error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """What probabilities are read from: the set's draws, the checkpoints and their noise, and the pairs.

    Attributes:
        draws: of the error on new speech of the set, shape (n, m).
        base, noise: error and standard error of each candidate's untrained checkpoint, shape (m,); NaN without.
        pairs: paired differences against it, by candidate.
    """

    draws: Draws
    base: Floats
    noise: Floats
    pairs: Mapping[int, Difference]

    def changes(self, b: slice) -> Floats:
        """Draws of the change of some candidates, the checkpoint's error drawn too."""
        normal = np.random.default_rng(SEED).standard_normal((len(self.draws), 1))
        own = np.asarray(self.draws[:, b], dtype=np.float64)
        return np.asarray(own - (self.base[b] + self.noise[b] * normal))

    def judged(self, b: slice, rule: Rule) -> Floats:
        """Draws of what a rule bounds: the change, or the error."""
        return self.changes(b) if rule.over_untrained else np.asarray(self.draws[:, b], np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnSet:
    """Candidates on one further test set, shape (m,) each.

    Attributes:
        rule: what is asked there.
        error, low, high: expected error and the interval of its mean.
        change, change_low, change_high: against the untrained checkpoint; NaN where the rule is of errors, or
            where no checkpoint of the backbone was scored.
        probability: of meeting the rule; 0 where it cannot be judged.
        paired: whether the change is a paired difference of runs.
    """

    rule: Rule
    error: Floats
    low: Floats
    high: Floats
    change: Floats
    change_low: Floats
    change_high: Floats
    probability: Floats
    paired: NDArray[np.bool_]
    place: NDArray[np.intp]
    """Of each candidate among those that `spread` is of: several engines run one trained configuration."""
    spread: Spread

    def needed(self, j: int, probability: float) -> float:
        """Least bound that candidate j keeps with that probability; NaN where nothing is known of it."""
        k = int(self.place[j])
        of = self.spread.pairs.get(k) if self.rule.over_untrained else None
        if of is None:
            # The value that at least this share of the draws does not exceed.
            drawn = self.spread.judged(slice(k, k + 1), self.rule)
            return float(np.quantile(drawn, probability, method="inverted_cdf"))
        # A difference of two error rates of at most 1 each: what is below -1 or above 1 is asked by nobody.
        low, high = of.difference - 2.0, of.difference + 2.0
        for _ in range(60):
            middle = 0.5 * (low + high)
            low, high = (
                (low, middle) if probability_within(of, middle) >= probability else (middle, high)
            )
        return high

    def among(self, at: NDArray[np.intp] | NDArray[np.bool_]) -> OnSet:
        """The candidates at those places, or those that are True."""
        arrays = (f.name for f in fields(self) if f.name not in ("rule", "spread"))
        return replace(self, **{name: getattr(self, name)[at] for name in arrays})


def on_set(
    rule: Rule,
    error: Floats,
    low: Floats,
    high: Floats,
    draws: Draws,
    untrained: Sequence[Untrained | None],
    pairs: Mapping[int, Difference],
    level: float,
) -> OnSet:
    """How surely each candidate meets a rule.

    Args:
        rule: of the set.
        error: expected by the set's law, shape (m,).
        low: of the interval of that mean, shape (m,).
        high: of it, shape (m,).
        draws: joint draws of the error on new speech of the set, shape (n, m).
        untrained: the checkpoint of each candidate's backbone; None where none was scored.
        pairs: paired differences against it, by candidate.
        level: of the intervals.
    """
    m = len(error)
    base = np.array([math.nan if u is None else u.error for u in untrained])
    noise = np.array([math.nan if u is None else u.std_error for u in untrained])
    spread = Spread(draws=draws, base=base, noise=noise, pairs=dict(pairs))
    change, ends, probability = error - base, np.empty((2, m)), np.empty(m)
    tails = [(1 - level) / 2, (1 + level) / 2]
    for start in range(0, m, BLOCK):
        b = slice(start, start + BLOCK)
        ends[:, b] = np.quantile(spread.changes(b), tails, axis=0)
        # What is not known is below nothing, and is met with probability 0.
        probability[b] = np.mean(spread.judged(b, rule) <= rule.most, axis=0)
    paired = np.zeros(m, dtype=bool)
    for j, d in pairs.items():
        change[j], ends[:, j], paired[j] = d.difference, (d.low, d.high), True
        if rule.over_untrained:
            probability[j] = probability_within(d, rule.most)
    return OnSet(
        rule=rule, error=error, low=low, high=high, change=change, change_low=ends[0],
        change_high=ends[1], probability=probability, paired=paired, place=np.arange(m), spread=spread,
    )  # fmt: skip


def probability_within(d: Difference, most: float) -> float:
    """Probability that a paired difference is at most `most`; of a pair that never differed, by its interval.

    >>> from planner.evidence.paired.difference import Difference
    >>> d = Difference(difference=0.0, std_error=0.01, low=-0.02, high=0.02, level=0.9, p=1.0,
    ...                clustered_by="utterance", n_clusters=30, dof=29.0)
    >>> round(probability_within(d, 0.0), 3), probability_within(d, 0.05) > 0.99
    (0.5, True)
    """
    half = d.high - d.difference
    if not math.isfinite(half):
        return 0.5 if d.difference <= most else 0.0
    if not d.std_error:
        # Nothing differed: the interval is of what was not seen, and a normal is read from it.
        z = (
            (most - d.difference) / half
            if half > 0
            else math.copysign(math.inf, most - d.difference)
        )
        return 0.5 * (1.0 + math.erf(z * 1.6448536269514722 / math.sqrt(2)))
    return t_cdf((most - d.difference) / d.std_error, d.dof)
