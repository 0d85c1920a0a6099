"""Error counts: words and characters by alignment, classes by recall, and their standard errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from planner.errors import InputError
from runner.data.normalise import normaliser as normaliser
from runner.trial.two_way import KIND, rate_influence, recall_influence, two_way_variance

BOOTSTRAP_DRAWS = 2000
"""Resamples behind a standard error (a relative Monte Carlo error of 1.6 % on it)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Units of a reference (words or characters) and the errors of a hypothesis against it."""

    n_units: int
    n_substitutions: int
    n_insertions: int
    n_deletions: int

    @property
    def n_errors(self) -> int:
        """Substitutions, insertions and deletions."""
        return self.n_substitutions + self.n_insertions + self.n_deletions


def word_counts(reference: str, hypothesis: str) -> Counts:
    """Word errors of one utterance, both texts normalised; an empty reference has insertions only.

    >>> word_counts("press one now", "press won").n_errors
    2
    """
    import jiwer

    if not reference.split():
        return Counts(
            n_units=0, n_substitutions=0, n_insertions=len(hypothesis.split()), n_deletions=0
        )
    alignment = jiwer.process_words(reference, hypothesis)
    return _counts(alignment, len(reference.split()))


def character_counts(reference: str, hypothesis: str) -> Counts:
    """Character errors of one utterance, both texts normalised, spaces counted."""
    import jiwer

    if not reference:
        return Counts(n_units=0, n_substitutions=0, n_insertions=len(hypothesis), n_deletions=0)
    return _counts(jiwer.process_characters(reference, hypothesis), len(reference))


def _counts(alignment: object, n_units: int) -> Counts:
    return Counts(
        n_units=n_units,
        n_substitutions=int(alignment.substitutions),  # type: ignore[attr-defined]
        n_insertions=int(alignment.insertions),  # type: ignore[attr-defined]
        n_deletions=int(alignment.deletions),  # type: ignore[attr-defined]
    )


FEW_SPEAKERS = 10
"""Below so many speakers, drawing speakers understates the spread (assumption), so the larger of that
and of drawing utterances is taken."""


def _clusterings(speakers: Sequence[str | None]) -> list[tuple[npt.NDArray[np.int64], str]]:
    """Which utterances are drawn together: those of one speaker where several are known."""
    alone = (np.arange(len(speakers)), "utterance")
    named = {s for s in speakers if s is not None}
    if len(named) < 2 or None in speakers:
        return [alone]
    index = {s: i for i, s in enumerate(sorted(named))}
    together = (np.array([index[s] for s in speakers if s is not None]), "speaker")
    return [together, alone] if len(named) < FEW_SPEAKERS else [together]


def _largest(
    spread: Callable[[npt.NDArray[np.int64], int], float], speakers: Sequence[str | None]
) -> tuple[float | None, str]:
    """The largest standard error over the clusterings; None where fewer than two clusters exist."""
    samples = [
        (spread(cluster, int(cluster.max()) + 1), kind)
        for cluster, kind in _clusterings(speakers)
        if len(cluster) and cluster.max() > 0
    ]
    return max(samples) if samples else (None, "utterance")


def _draws(n_clusters: int, seed: int) -> npt.NDArray[np.int64]:
    """How often each cluster is drawn, shape (BOOTSTRAP_DRAWS, n_clusters)."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(n_clusters, np.full(n_clusters, 1 / n_clusters), size=BOOTSTRAP_DRAWS)


def jeffreys_variance(n_hit: float, n: float) -> float:
    """Variance of a share of which n_hit of n were hits, under Jeffreys's prior Beta(1/2, 1/2).

    A share of 0 or 1 has no spread of its own, and is not known without error for that.

    >>> round(jeffreys_variance(0, 10) ** 0.5, 3)
    0.06
    """
    a, b = min(n_hit, n) + 0.5, max(n - n_hit, 0.0) + 0.5
    return a * b / ((a + b) ** 2 * (a + b + 1.0))


def _or_two_way(
    one_way: tuple[float | None, str],
    influence: npt.NDArray[np.float64],
    speakers: Sequence[str | None],
    sentences: Sequence[str | None] | None,
    added: float = 0.0,
) -> tuple[float | None, str]:
    """The standard error by speaker and sentence where they cross and it is the larger one."""
    found = None if sentences is None else two_way_variance(influence, speakers, sentences)
    if found is None or math.sqrt(found + added) <= (one_way[0] or 0.0):
        return one_way
    return math.sqrt(found + added), KIND


def rate_std_error(
    n_errors: Sequence[int],
    n_units: Sequence[int],
    speakers: Sequence[str | None],
    seed: int = 0,
    sentences: Sequence[str | None] | None = None,
) -> tuple[float | None, str]:
    """Standard error of sum(errors) / sum(units) by a cluster bootstrap, and the cluster's name.

    Where `sentences` are given and several speakers read the same ones, it is by both (`runner.trial.two_way`).

    None where fewer than two clusters exist: then nothing is known about the spread. Never 0: where no
    cluster differs (no error at all, or every word wrong) it is Jeffreys's of the words.
    """
    least = jeffreys_variance(float(sum(n_errors)), float(sum(n_units))) ** 0.5

    def spread(cluster: npt.NDArray[np.int64], n: int) -> float:
        errors = np.bincount(cluster, weights=np.asarray(n_errors, dtype=float), minlength=n)
        units = np.bincount(cluster, weights=np.asarray(n_units, dtype=float), minlength=n)
        times = _draws(n, seed)
        below = times @ units
        kept = below > 0
        return float(np.std((times @ errors)[kept] / below[kept], ddof=1)) or least

    influence = rate_influence(n_errors, n_units)
    return _or_two_way(_largest(spread, speakers), influence, speakers, sentences)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassScores:
    """Scores of a classifier; recalls are over the classes that occur in the references.

    `unweighted_accuracy` is the mean recall, `weighted_accuracy` the share of correct utterances.
    """

    unweighted_accuracy: float
    weighted_accuracy: float
    macro_f1: float
    confusion: dict[str, dict[str, int]]
    recalls: dict[str, float]


def class_scores(
    references: Sequence[str], hypotheses: Sequence[str], labels: Sequence[str]
) -> ClassScores:
    """Mean recall, accuracy, macro-F1 and confusion counts.

    Macro-F1 averages over the classes that occur among references or hypotheses.

    Raises:
        InputError: nothing was scored.
    """
    if not references:
        raise InputError("no utterance was scored, so there is no recall; check the test split")
    confusion = {r: dict.fromkeys(labels, 0) for r in labels}
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        confusion[reference][hypothesis] += 1
    recalls = {
        label: row[label] / sum(row.values())
        for label, row in confusion.items()
        if sum(row.values())
    }
    f1 = []
    for label in labels:
        n_reference = sum(confusion[label].values())
        n_hypothesis = sum(row[label] for row in confusion.values())
        if n_reference + n_hypothesis:
            f1.append(2 * confusion[label][label] / (n_reference + n_hypothesis))
    n_correct = sum(confusion[label][label] for label in labels)
    return ClassScores(
        unweighted_accuracy=float(np.mean(list(recalls.values()))),
        weighted_accuracy=n_correct / len(references),
        macro_f1=float(np.mean(f1)),
        confusion=confusion,
        recalls=recalls,
    )


def recall_std_error(
    references: Sequence[str],
    hypotheses: Sequence[str],
    labels: Sequence[str],
    speakers: Sequence[str | None],
    seed: int = 0,
    sentences: Sequence[str | None] | None = None,
) -> tuple[float | None, str]:
    """Standard error of the mean recall by a cluster bootstrap; draws without a class average the rest.

    A class of which all were right, or none, has no spread in any draw: its share of the variance is
    Jeffreys's, so that a classifier that gives one answer to everything is not sure of its accuracy.
    """
    right = np.array([h == r for r, h in zip(references, hypotheses, strict=True)], dtype=float)
    of_class = [np.array([r == label for r in references], dtype=float) for label in labels]
    present = [(float(member @ right), float(member.sum())) for member in of_class if member.any()]
    certain = [jeffreys_variance(hit, n) for hit, n in present if hit in (0.0, n)]
    added = sum(certain) / max(len(present), 1) ** 2

    def spread(cluster: npt.NDArray[np.int64], n: int) -> float:
        times = _draws(n, seed)
        recalls = np.full((len(labels), len(times)), np.nan)
        for row, member in zip(recalls, of_class, strict=True):
            support = times @ np.bincount(cluster, weights=member, minlength=n)
            correct = times @ np.bincount(cluster, weights=member * right, minlength=n)
            np.divide(correct, support, out=row, where=support > 0)
        some = ~np.isnan(recalls).all(axis=0)
        return math.sqrt(float(np.var(np.nanmean(recalls[:, some], axis=0), ddof=1)) + added)

    influence = recall_influence(references, right)
    return _or_two_way(_largest(spread, speakers), influence, speakers, sentences, added)


def quantiles(values: Sequence[float]) -> Mapping[str, float]:
    """Mean, p50, p90 and p99 of a sample.

    Raises:
        InputError: the sample is empty.
    """
    if not values:
        raise InputError("quantiles of no values do not exist; score at least one window")
    table = np.asarray(values, dtype=float)
    p50, p90, p99 = (float(q) for q in np.quantile(table, (0.5, 0.9, 0.99)))
    return {"mean": float(table.mean()), "p50": p50, "p90": p90, "p99": p99}
