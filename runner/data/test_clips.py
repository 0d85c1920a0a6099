"""The clips of a further test set, less those that the models were trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from planner.errors import InputError, MissingResourceError, UnknownNameError
from runner.data.clips import TEST, TRAIN, Clip, Corpus, DataSpec
from runner.data.copies import once_each
from runner.data.corpus import in_bounds, list_clips
from runner.data.languages import of_language
from runner.data.packing import join
from runner.data.splits import drawn
from runner.data.test_set import TestSet
from runner.weights.packages import Say, to_stderr


def request_of(one: TestSet, task: str) -> DataSpec:
    """The request for the set's source."""
    shared = (
        "path", "test_split", "config", "text_column", "label_column", "language", "join_gap",
        "min_seconds", "max_seconds", "seed",
    )  # fmt: skip
    given = {name: getattr(one, name) for name in shared}
    return DataSpec(name=one.dataset or "manifest", task=task, **given)


@contextmanager
def naming(one: TestSet) -> Iterator[None]:
    """Say of an error inside which set it comes from: a sweep has several."""
    try:
        yield
    except (InputError, UnknownNameError, MissingResourceError) as problem:
        problem.args = (f"test set {one.name}: {problem}", *problem.args[1:])
        raise


def load_test_set(
    one: TestSet, task: str, trained: Sequence[Clip] = (), *, say: Say = to_stderr
) -> Corpus:
    """The set as a corpus whose clips are all to be scored.

    Args:
        one: the set.
        task: `asr` or `emotion`.
        trained: clips that models were trained on; what has their recording and text is left out and told.
        say: where progress goes.

    Raises:
        UnknownNameError, MissingResourceError: the source cannot be had, as `load_corpus`.
        InputError: a row of it is wrong, or nothing is left to score.
    """
    if one.test_split is not None and one.dataset in (None, "manifest"):
        raise InputError(
            f"test set {one.name}: test_split names a part of a corpus; of a table the rows of split test are "
            "taken, or all of one without splits: leave it out, or give a table of the rows"
        )
    with naming(one):
        return _loaded(one, task, trained, say)


def _loaded(one: TestSet, task: str, trained: Sequence[Clip], say: Say) -> Corpus:
    spec = request_of(one, task)
    listing = in_bounds(of_language(list_clips(spec, say=say), spec), spec)
    clips = listing.clips
    if listing.official:
        clips = tuple(c for c in clips if c.split == TEST)
        if not clips:
            raise InputError(
                f"{listing.name} has splits and no test rows; name its split with test_split"
            )
    clips = tuple(dataclasses.replace(c, split=TEST) for c in clips)
    clips, copies = once_each(clips)
    heard = _trained_on(clips, trained)
    new = tuple(c for c in clips if c.utterance_id not in heard)
    if len(new) < len(clips):
        say(f"test set {one.name}: left out {len(clips) - len(new)} clips that are trained on")
    if not new:
        raise InputError("every clip of it is trained on; name other speech")
    if one.join_seconds is not None:
        if task == "emotion":
            raise InputError("joined clips have no single emotion; leave join_seconds out")
        new = join(new, one.join_seconds)
    return Corpus(
        name=listing.name, task=task, clips=drawn(new, one.n_test, one.seed, "n_test"),
        split_policy="official" if listing.official else "whole", licence=listing.licence,
        source=listing.source, labels=listing.labels, copies=copies,
    )  # fmt: skip


def _trained_on(clips: Sequence[Clip], trained: Sequence[Clip]) -> set[str]:
    """Ids of those whose recording and text a clip to train on has, wherever its file lies."""
    parts = [part for clip in trained for part in (clip.parts or (clip,))]
    # Ids of both may be the same; a mark tells them apart.
    marked = [
        dataclasses.replace(part, split=TEST, utterance_id=f"{TRAIN}\0{part.utterance_id}")
        for part in parts
    ]
    _, copies = once_each((*marked, *clips))
    ids = {c.utterance_id for c in clips}
    return {i for c in copies for i in (c.utterance_id, c.same_as)} & ids
