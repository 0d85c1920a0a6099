"""Worlds at the level of utterances, for utterance_worlds.py: what is true, and the counts of its runs.

Every utterance has a difficulty that all runs share, every speaker a level of their own, and a run meets
each utterance with a luck of its own; errors are counts of words. They need no part of the product, so that
two builds of it can be asked about the same ones.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Floats = NDArray[np.float64]

BACKBONES = ("whisper-tiny", "whisper-base", "whisper-small")
SECONDS = (4.0, 8.0, 12.0, 20.0)
REDUCTIONS = ("none", "stem:2", "stem:4")
N_RUNS = 12
OWN_LUCK = 0.3
"""Standard deviation of the log of what one run meets in one utterance, besides the words' chance."""
SPEAKER_SHARE = 0.2
"""Share of the utterances' log variance that is their speaker's, where there are several."""
CONCENTRATION = 20.0
"""Of the beta distribution of an utterance's error probability, where words are beta-binomial."""

MOST_WRONG = 0.9
"""Share of an utterance's words that is wrong at most, where words are beta-binomial."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One kind of world.

    Attributes:
        correlation: between the sampling errors of two runs on the same utterances.
        tau: standard deviation of a configuration's ln error about the law.
        words: `poisson` or `beta` (beta-binomial).
        seed_sd: of ln error between training seeds; n_seeds: runs of each configuration.
        level: the error at the centre.
        counts_only: no utterances are told, as in an imported table; one voice then, as nothing could tell
            how voices differ.
        trap: what is done to the rows: `mistyped`, `winner`, `copies`, `zeros`, `above-one`, or empty.
    """

    group: str
    name: str
    n_utterances: int = 100
    n_speakers: int = 5
    correlation: float = 0.6
    tau: float = 0.1
    words: str = "poisson"
    seed_sd: float = 0.0
    n_seeds: int = 1
    level: float = 0.06
    counts_only: bool = False
    trap: str = ""


def cells() -> tuple[Cell, ...]:
    """All kinds of worlds: a fraction of the full factorial that varies each thing against the others."""
    out = []
    for i, (n, speakers) in enumerate(itertools.product((28, 100, 500), (1, 5, 40))):
        if speakers > n:
            continue
        rho, tau = (0.3, 0.6, 0.85)[i % 3], (0.03, 0.1, 0.2)[(i + i // 3) % 3]
        words = ("poisson", "beta")[i % 2]
        out.append(Cell(group="words", name=f"{n} utt, {speakers} spk, r {rho}, tau {tau}, {words}",
                        n_utterances=n, n_speakers=speakers, correlation=rho, tau=tau, words=words))  # fmt: skip
    for n, rho, tau in ((100, 0.3, 0.2), (100, 0.85, 0.03), (500, 0.85, 0.2), (500, 0.3, 0.03)):
        out.append(Cell(group="words", name=f"{n} utt, 5 spk, r {rho}, tau {tau}, poisson",
                        n_utterances=n, correlation=rho, tau=tau))  # fmt: skip
    for sd, (n_words, seeds) in zip(
        (0.02, 0.05, 0.08, 0.05, 0.08, 0.02),
        ((400, 1), (2000, 2), (10000, 3), (50000, 3), (50000, 1), (50000, 2)), strict=True,
    ):  # fmt: skip
        out.append(Cell(group="seeds", name=f"seeds {sd:.0%}, {n_words} words, {seeds} a configuration",
                        n_utterances=max(n_words // 20, 20), n_speakers=1, correlation=0.5, tau=0.05,
                        seed_sd=sd, n_seeds=seeds, level=0.12, counts_only=True))  # fmt: skip
    for trap in ("mistyped", "winner", "copies", "zeros", "above-one"):
        small = trap == "zeros"
        out.append(Cell(group="traps", name=trap, trap=trap, tau=0.0 if trap == "winner" else 0.05,
                        n_utterances=60 if small else 200, n_speakers=1, level=0.004 if small else 0.12,
                        correlation=0.2 if small else 0.6, counts_only=trap != "winner"))  # fmt: skip
    return tuple(out)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A truth and its runs: error of each of m configurations, which were run, counts (n, U), words (U,)."""

    x: Floats
    error: Floats
    run: NDArray[np.int64]
    seed: NDArray[np.int64]
    words: NDArray[np.int64]
    speaker: NDArray[np.int64]
    errors: NDArray[np.int64]


def world(cell: Cell, index: int) -> World:
    """World `index` of a cell: the same for every build."""
    rng = np.random.default_rng([index, *cell.name.encode()])
    x = np.array(list(itertools.product((39.0, 74.0, 244.0), SECONDS, (50.0, 25.0, 12.5))))
    truth = np.log(_law(rng, x, cell)) + rng.normal(0, cell.tau, len(x))
    if cell.trap == "winner":
        truth = np.full(len(x), math.log(cell.level))
    run = np.repeat(_design(rng), cell.n_seeds)
    mean = truth[run] + rng.normal(0, cell.seed_sd, len(run))
    words = rng.integers(15, 45, cell.n_utterances) if cell.group != "seeds" else None
    words = rng.integers(10, 31, cell.n_utterances) if words is None else words
    speaker = np.sort(rng.integers(0, cell.n_speakers, cell.n_utterances))
    hard, spread = _difficulty(rng, cell, float(words.mean()), speaker)
    luck = rng.normal(-(OWN_LUCK**2) / 2, OWN_LUCK, (len(run), cell.n_utterances))
    errors = _words_wrong(rng, cell, np.exp(mean[:, None] + hard + luck), words)
    # The truth on new speech leaves out what a training seed happened to give.
    return World(x=x, error=_on_new_speech(truth, cell, spread), run=run, seed=np.tile(np.arange(cell.n_seeds), N_RUNS),
                 words=words, speaker=speaker, errors=errors)  # fmt: skip


def _law(rng: np.random.Generator, x: Floats, cell: Cell) -> Floats:
    """An additive or a multiplicative law with a floor, the level at the centre."""
    exponents = rng.uniform([0.2, 0.3, 0.3], [0.6, 1.0, 1.0])
    terms = (x / np.array([90.0, 10.0, 25.0])) ** -exponents
    floor = rng.uniform(0.1, 0.5)
    mixed = terms @ rng.dirichlet([4.0, 4.0, 4.0])
    rest = mixed if rng.random() < 0.5 else (terms**0.5).prod(axis=1)
    return np.asarray(cell.level * (floor + (1 - floor) * rest))


def _design(rng: np.random.Generator) -> NDArray[np.int64]:
    """Configurations that were run: a random sample that covers every level, drawn until it does."""
    while True:
        chosen = rng.choice(36, N_RUNS, replace=False)
        if [len(set(chosen // 12)), len(set(chosen // 3 % 4)), len(set(chosen % 3))] == [3, 4, 3]:
            return np.sort(chosen)


def _difficulty(
    rng: np.random.Generator, cell: Cell, words: float, speaker: NDArray[np.int64]
) -> tuple[Floats, float]:
    """ln difficulty of each utterance, with mean 1, such that runs' sampling errors correlate as asked.

    Beside it the variance of ln rate that an utterance and a run's luck in it make.
    """
    ratio = cell.correlation / (1 - cell.correlation)
    luck = math.expm1(OWN_LUCK**2)
    chance = 1 / (words * cell.level)
    if cell.words == "beta":
        chance *= 1 + (words - 1) / (CONCENTRATION + 1)
    # expm1(v) = ratio (exp(v) luck + chance), solved for the shared variance v.
    variance = math.log((1 + ratio * chance) / (1 - ratio * luck))
    share = SPEAKER_SHARE if cell.n_speakers > 1 else 0.0
    own = rng.normal(0, math.sqrt((1 - share) * variance), len(speaker))
    voice = rng.normal(0, math.sqrt(share * variance), cell.n_speakers)
    return np.asarray(own + voice[speaker] - variance / 2), variance + OWN_LUCK**2


def _on_new_speech(truth: Floats, cell: Cell, variance: float) -> Floats:
    """The expected error rate, which a bound on the rate of an utterance lowers: E min(X, MOST_WRONG).

    For ln X ~ N(truth - V / 2, V) that is e^truth Phi((d - V / 2) / sqrt V) + MOST_WRONG Phi(-(d + V / 2) / sqrt V)
    with d = ln MOST_WRONG - truth.
    """
    if cell.words == "poisson":
        return np.exp(truth)
    d, sd = math.log(MOST_WRONG) - truth, math.sqrt(variance)
    below, above = ndtr((d - variance / 2) / sd), ndtr(-(d + variance / 2) / sd)
    return np.asarray(np.exp(truth) * below + MOST_WRONG * above)


def _words_wrong(
    rng: np.random.Generator, cell: Cell, rate: Floats, words: NDArray[np.int64]
) -> NDArray[np.int64]:
    if cell.words == "poisson":
        return rng.poisson(rate * words).astype(np.int64)
    p = np.clip(rate, 1e-9, MOST_WRONG)
    found = rng.beta(CONCENTRATION * p, CONCENTRATION * (1 - p))
    return rng.binomial(np.broadcast_to(words, p.shape), found).astype(np.int64)
