"""How much an engine and a precision change the error, from exports paired with their own runs.

Both heard the same utterances, so d = ln(error of the export) - ln(error of the run) has the small spread s of
the paired difference. Over the configurations c that were exported,

    d_c = delta + eta_c + e_c,   delta ~ N(0, PRIOR^2),   eta_c ~ N(0, (PRIOR / 2)^2),   e_c ~ N(0, s_c^2),

so that the offset delta of a precision is shrunk to 0, and a configuration that was exported itself also has
its own measurement. The same utterances make the e_c of several configurations alike, which is left out: they
are taken as independent (assumption).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from planner.evidence.paired.difference import Pair, difference
from planner.words.engine_records import EngineScore

PRIORS = {"float32": 0.02}
"""Spread of ln error that an engine gives in the precision that was trained, before any export of it is
scored: other kernels round differently, and one text in a hundred may differ (assumption)."""
PRIOR = 0.10
"""The same of a lower precision: int8 Whisper is reported within a tenth of its error (assumption)."""
ONE_SD = 0.682689492137086
"""Probability within one standard deviation of a normal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offset:
    """The offset of one engine and precision in ln error.

    Attributes:
        mean, sd: of delta.
        between: spread of a configuration's own deviation eta from it.
        own: of configurations that were exported: d_c and s_c.
    """

    mean: float
    sd: float
    between: float
    own: Mapping[Hashable, tuple[float, float]] = field(default_factory=dict)

    def share(self, of: Hashable) -> float:
        """Weight of a configuration's own measurement against the offset; 0 where there is none."""
        if of not in self.own:
            return 0.0
        return self.between**2 / (self.between**2 + self.own[of][1] ** 2)

    def believed(self, of: Hashable) -> tuple[float, float]:
        """Expected ln ratio of a configuration's error to that of its own run, and its deviation."""
        weight = self.share(of)
        measured = self.own[of][0] if weight else 0.0
        left = math.sqrt(((1 - weight) * self.sd) ** 2 + self.between**2 * (1 - weight))
        return self.mean + weight * (measured - self.mean), left


def log_difference(score: EngineScore, task: str) -> tuple[float, float] | None:
    """ln(export's error / run's) on the utterances of both, and its standard error; None without any pair.

    A rate of 0 counts as half an error. The spread is never less than what utterances without a difference
    leave open.
    """
    if len(score.pairs) < 2:
        return None
    first, second, units, references, speakers = zip(*score.pairs, strict=True)
    labels = {name: i for i, name in enumerate(sorted(set(references)))} if task != "asr" else {}
    pair = Pair(
        first=np.array(first, np.int64),
        second=np.array(second, np.int64),
        n_units=np.array(units, np.int64),
        stratum=np.array([labels.get(name, 0) for name in references], np.int64),
        speakers=speakers,
    )
    found = difference(pair, ONE_SD)
    least = 0.5 / max(sum(units), 1)
    before = max(_rate(pair), least)
    after = max(before + found.difference, least)
    spread = max(found.std_error or 0.0, found.high - found.difference)
    return math.log(after / before), spread / math.sqrt(before * after)


def _rate(pair: Pair) -> float:
    """The first run's rate: a mean over strata."""
    errors = np.bincount(pair.stratum, weights=pair.first)
    return float(np.mean(errors / np.bincount(pair.stratum, weights=pair.n_units)))


def offset(
    scores: Sequence[EngineScore], of: Mapping[int, Hashable], task: str, precision: str
) -> Offset:
    """The offset of one engine and precision.

    Args:
        scores: of exports in that engine and precision.
        of: for each run, which configuration it was of.
        task: `asr` or `emotion`.
        precision: of the weights.
    """
    prior = PRIORS.get(precision, PRIOR)
    between = prior / 2
    own = _by_configuration(scores, of, task)
    precisions = [1.0 / (s**2 + between**2) for _, s in own.values()]
    total = 1.0 / prior**2 + sum(precisions)
    mean = sum(p * d for p, (d, _) in zip(precisions, own.values(), strict=True)) / total
    return Offset(mean=mean, sd=math.sqrt(1.0 / total), between=between, own=own)


def _by_configuration(
    scores: Sequence[EngineScore], of: Mapping[int, Hashable], task: str
) -> dict[Hashable, tuple[float, float]]:
    """Mean ln difference of each configuration over its seeds, and its standard error."""
    found: dict[Hashable, list[tuple[float, float]]] = {}
    for score in scores:
        one = log_difference(score, task)
        if one is not None and score.run_id in of:
            found.setdefault(of[score.run_id], []).append(one)
    return {
        config: (
            sum(d for d, _ in each) / len(each),
            math.sqrt(sum(s**2 for _, s in each)) / len(each),
        )
        for config, each in found.items()
    }
