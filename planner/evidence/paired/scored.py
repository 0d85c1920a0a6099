"""From stored runs to pairs: the same utterances, scored alike, or a refusal that says what differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from planner.errors import InputError
from planner.evidence.paired.difference import Pair
from planner.evidence.paired.segments import (
    EVEN,
    SCLITE,
    align,
    plain_words,
    segments,
    slots_of,
)
from planner.store.row_types import RunRow
from planner.words.normalisers import Normalise, normaliser
from planner.words.records import TASKS, Evaluation, Utterance


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredRun:
    """A run on one split: its evaluation, and its utterances in the order of their names."""

    row: RunRow
    evaluation: Evaluation
    utterances: tuple[Utterance, ...]

    @property
    def normaliser(self) -> str | None:
        """What texts were normalised by; None for classes."""
        if self.row.trial.task != "asr":
            return None
        found = (self.evaluation.details or {}).get("normaliser")
        return str(found or self.row.trial.normaliser)


@dataclass(frozen=True, slots=True, kw_only=True)
class SameSet:
    """Runs on one scored set; utterances that some run could not read are left out of all of them."""

    runs: tuple[ScoredRun, ...]
    n_broken: int

    @property
    def utterances(self) -> tuple[Utterance, ...]:
        """Those of the first run."""
        return self.runs[0].utterances

    @property
    def labels(self) -> tuple[str, ...]:
        """Classes, in order; empty for recognised text."""
        if self.runs[0].row.trial.task == "asr":
            return ()
        return tuple(sorted({u.reference for u in self.utterances}))


def scored_run(
    row: RunRow, evaluations: Sequence[Evaluation], utterances: Sequence[Utterance], split: str
) -> ScoredRun:
    """A run's score on a split, with its utterances.

    Raises:
        InputError: the run did not finish, was not scored on the split, or kept no utterances.
    """
    if row.status != "finished":
        raise InputError(
            f"run {row.run_id} is {row.status}; only finished runs can be compared: "
            "soundscale runs list --status finished"
        )
    metric = TASKS[row.trial.task]
    found = [e for e in evaluations if e.split == split and e.metric == metric]
    if not found:
        have = sorted({e.split for e in evaluations if e.metric == metric})
        raise InputError(
            f"run {row.run_id} was not scored on {split} by {metric}; "
            f"splits that it has: {', '.join(have) or 'none'}"
        )
    if not utterances:
        raise InputError(
            f"run {row.run_id} ({row.provenance}) has an error rate and no utterances, so nothing can "
            "be paired; compare runs that were scored here"
        )
    return ScoredRun(row=row, evaluation=found[0], utterances=tuple(utterances))


def same_set(runs: Sequence[ScoredRun]) -> SameSet:
    """The runs on one set of utterances.

    Raises:
        InputError: they differ in task, normaliser, scored utterances or references; or there are not
            two different ones.
    """
    if len(runs) < 2 or len({r.row.run_id for r in runs}) < len(runs):
        raise InputError("compare needs two or more different runs; see: soundscale runs list")
    for other in runs[1:]:
        difference = _difference(runs[0], other)
        if difference:
            raise InputError(
                f"runs {runs[0].row.run_id} and {other.row.run_id} cannot be compared: {difference}"
            )
    broken = {u.utterance_id for r in runs for u in r.utterances if u.failure_text is not None}
    kept = [
        ScoredRun(
            row=r.row,
            evaluation=r.evaluation,
            utterances=tuple(u for u in r.utterances if u.utterance_id not in broken),
        )
        for r in runs
    ]
    if not kept[0].utterances:
        raise InputError("no utterance could be read in every run, so nothing can be paired")
    return SameSet(runs=tuple(kept), n_broken=len(broken))


def _difference(one: ScoredRun, other: ScoredRun) -> str | None:
    """What stands in the way of pairing, in words."""
    for what, a, b in (
        ("task", one.row.trial.task, other.row.trial.task),
        ("normaliser", one.normaliser, other.normaliser),
    ):
        if a != b:
            return f"{what} {a}, and {b}; score them alike"
    mine = {u.utterance_id: u for u in one.utterances}
    theirs = {u.utterance_id: u for u in other.utterances}
    if mine.keys() != theirs.keys():
        shared = len(mine.keys() & theirs.keys())
        return (
            f"{len(mine)} and {len(theirs)} scored utterances ({one.row.trial.dataset}, "
            f"{other.row.trial.dataset}), {shared} of them shared; score both on one set"
        )
    for name, said in mine.items():
        heard = theirs[name]
        read = said.failure_text is None and heard.failure_text is None
        if read and _said(said) != _said(heard):
            return f"utterance {name} has two references; score both against one"
    return None


def _said(utterance: Utterance) -> tuple[str, int]:
    return utterance.reference, utterance.n_units


def pair_of(found: SameSet, first: int, second: int) -> Pair:
    """The counts of two of the runs, by their places."""
    labels = {label: i for i, label in enumerate(found.labels)}
    one, other = found.runs[first].utterances, found.runs[second].utterances
    # A word error rate may have utterances without words: their insertions count.
    return Pair(
        first=np.array([u.n_errors for u in one], np.int64),
        second=np.array([u.n_errors for u in other], np.int64),
        n_units=np.array([u.n_units for u in one], np.int64),
        stratum=np.array([labels.get(u.reference, 0) for u in one], np.int64),
        speakers=tuple(u.speaker for u in one),
    )


def slots(utterance: Utterance, normalise: Normalise | None = None) -> list[int] | None:
    """Errors by place in the reference; None where aligning the texts does not give the stored counts.

    Alignments are not stored. Without an error none is needed; else the texts are aligned as the run's own
    normaliser leaves them, where an installed runner gives it, or by words without case and punctuation.
    By sclite's costs, or by those of an error rate where these alone give the stored number of errors.
    """
    if utterance.n_errors == 0:
        return [0] * (2 * utterance.n_units + 1)
    ways = (
        [plain_words] if normalise is None else [lambda text: normalise(text).split(), plain_words]
    )
    for words in ways:
        reference, hypothesis = words(utterance.reference), words(utterance.hypothesis)
        if len(reference) != utterance.n_units:
            continue
        for costs in (SCLITE, EVEN):
            found = slots_of(align(reference, hypothesis, costs))
            if sum(found) == utterance.n_errors:
                return found
    return None


def segments_of(found: SameSet, first: int, second: int) -> tuple[list[tuple[int, int]], int]:
    """Segments of MAPSSWE over all utterances, and how many utterances could be cut into them.

    An utterance without an alignment that fits its counts is one segment.
    """
    out: list[tuple[int, int]] = []
    n_cut = 0
    one, other = found.runs[first].utterances, found.runs[second].utterances
    normalise = normaliser(found.runs[first].normaliser)
    for a, b in zip(one, other, strict=True):
        mine, theirs = slots(a, normalise), slots(b, normalise)
        if mine is None or theirs is None:
            out += [(a.n_errors, b.n_errors)] if a.n_errors or b.n_errors else []
        else:
            out += segments(mine, theirs)
            n_cut += 1
    return out, n_cut
