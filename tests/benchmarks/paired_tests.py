"""False alarms and coverage of the tests behind `soundscale compare`: python tests/benchmarks/paired_tests.py [WORLDS].

Two systems of equal quality are scored on the same utterances: how hard an utterance is is shared
(its log rate), the rest is each system's own, and so is how it does on each speaker. Printed: share of
worlds in which a test says p < 0.05 (nominal 0.05), and share of 90 % intervals that hold the truth
where the second system makes 30 % more errors.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import numpy as np

from planner.evidence.paired.difference import Pair, bootstrap, clusters, difference
from planner.evidence.paired.segments import mapsswe
from planner.evidence.paired.signs import sign_test, wilcoxon
from planner.words.student import t_cdf


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What utterances are like.

    `shared` and `own` are standard deviations of an utterance's log rate, common to both systems and of
    one alone; `by_speaker` that of a system's log rate on a speaker.
    """

    n_utterances: int
    n_speakers: int = 1
    rate: float = 0.05
    shared: float = 0.8
    own: float = 0.5
    by_speaker: float = 0.0
    mean_words: float = 25.0

    @property
    def label(self) -> str:
        return (
            f"{self.n_utterances} utterances, {self.n_speakers} speakers, rate {100 * self.rate:g} %, "
            f"{self.mean_words:g} words, speaker spread {self.by_speaker:g}"
        )


def drawn(world: World, rng: np.random.Generator, ratio: float = 1.0) -> Pair:
    """One world: errors of two systems, the second with `ratio` times the first's expected errors."""
    n = world.n_utterances
    words = np.maximum(rng.poisson(world.mean_words * rng.gamma(4.0, 0.25, n)), 1)
    speaker = rng.integers(0, world.n_speakers, n)
    common = world.shared * rng.standard_normal(n)
    counts = []
    for factor in (1.0, ratio):
        mine = world.own * rng.standard_normal(n)
        mine += world.by_speaker * rng.standard_normal(world.n_speakers)[speaker]
        middle = 0.5 * (world.shared**2 + world.own**2 + world.by_speaker**2)
        counts.append(rng.poisson(world.rate * factor * words * np.exp(common + mine - middle)))
    return Pair(
        first=counts[0], second=counts[1], n_units=words, stratum=np.zeros(n, np.int64),
        speakers=tuple(f"s{s}" for s in speaker),
    )  # fmt: skip


def drawn_classes(n_each: int, rng: np.random.Generator) -> Pair:
    """Two equal classifiers of four classes, the last one rare and hard; no speakers."""
    sizes = (n_each, n_each, n_each, max(n_each // 3, 2))
    stratum = np.repeat(np.arange(4), sizes)
    # Correct in both, or not, beyond chance: a shared threshold on an utterance's difficulty.
    middle = np.array([1.2, 0.8, 0.4, -0.3])[stratum]
    common = 0.8 * rng.standard_normal(len(stratum))
    wrong = [(middle + common + rng.standard_normal(len(stratum)) < 0).astype(int) for _ in "ab"]
    return Pair(
        first=wrong[0], second=wrong[1], n_units=np.ones(len(stratum), np.int64), stratum=stratum,
        speakers=(None,) * len(stratum),
    )  # fmt: skip


def false_alarms_of_classes(n_each: int, n: int, seed: int) -> float:
    """Share of worlds in which equal classifiers have p < 0.05 by mean recall."""
    rng = np.random.default_rng(seed)
    return float(np.mean([difference(drawn_classes(n_each, rng)).p < 0.05 for _ in range(n)]))


def p_values(pair: Pair, rng: np.random.Generator, n_draws: int) -> dict[str, float]:
    """p of each test; sums within the clusters of the product for those that know no speakers' words."""
    d = (pair.second - pair.first).astype(float)
    cluster, _ = clusters(pair.speakers)
    sums = np.bincount(cluster, weights=d)
    sd = float(sums.std(ddof=1))
    t = float(sums.mean()) / (sd / math.sqrt(len(sums))) if sd else 0.0
    each = list(zip(pair.first.tolist(), pair.second.tolist(), strict=True))
    return {
        "compare": difference(pair).p,
        "t of counts": 2 * t_cdf(-abs(t), len(sums) - 1),
        "normal": math.erfc(abs(t) / math.sqrt(2)),
        "bootstrap": bootstrap(pair, rng, n_draws=n_draws).p,
        "MAPSSWE, utterances": mapsswe([s for s in each if any(s)]).p,
        "Wilcoxon": wilcoxon(sums),
        "sign": sign_test(int((sums < 0).sum()), int((sums > 0).sum())),
    }


def false_alarms(world: World, n: int, seed: int, n_draws: int = 1000) -> dict[str, float]:
    """Share of worlds without a difference in which each test gives p < 0.05."""
    rng = np.random.default_rng(seed)
    found = [p_values(drawn(world, rng), rng, n_draws) for _ in range(n)]
    return {name: float(np.mean([f[name] < 0.05 for f in found])) for name in found[0]}


def coverage(world: World, n: int, seed: int, ratio: float = 1.3) -> float:
    """Share of 90 % intervals that hold the true difference."""
    rng = np.random.default_rng(seed)
    truth = (ratio - 1.0) * world.rate
    held = 0
    for _ in range(n):
        found = difference(drawn(world, rng, ratio), 0.9)
        held += found.low <= truth <= found.high
    return held / n


WORLDS = (
    World(n_utterances=28),
    World(n_utterances=28, rate=0.02),
    World(n_utterances=28, mean_words=8),
    World(n_utterances=100),
    World(n_utterances=100, rate=0.01),
    World(n_utterances=100, n_speakers=5, by_speaker=0.2),
    World(n_utterances=500, n_speakers=5, by_speaker=0.2),
    World(n_utterances=500, n_speakers=40, by_speaker=0.2),
)


def main(n: int) -> None:
    names: list[str] = []
    for seed, world in enumerate(WORLDS):
        found = false_alarms(world, n, seed)
        if not names:
            names = list(found)
            print("| world |", " | ".join(names), "| 90 % interval |")
            print("|---" * (len(names) + 2) + "|")
        row = " | ".join(f"{100 * found[name]:.1f}" for name in names)
        print(f"| {world.label} | {row} | {100 * coverage(world, n, 100 + seed):.1f} |", flush=True)
    for n_each in (10, 30, 100):
        alarms = false_alarms_of_classes(n_each, n, n_each)
        print(
            f"mean recall of 4 classes, {n_each} utterances each, a third in the last: {100 * alarms:.1f}"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4000)
