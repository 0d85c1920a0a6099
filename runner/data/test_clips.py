"""The clips of a further test set, less those that the models were trained on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from planner.errors import InputError
from runner.data.clips import TEST, Clip, Corpus, DataSpec
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


def load_test_set(
    one: TestSet, task: str, trained: Sequence[Clip] = (), *, say: Say = to_stderr
) -> Corpus:
    """The set as a corpus whose clips are all to be scored.

    Args:
        one: the set.
        task: `asr` or `emotion`.
        trained: clips that models were trained on; the same part of the same file is left out and told.
        say: where progress goes.

    Raises:
        UnknownNameError, MissingResourceError: the source cannot be had, as `load_corpus`.
        InputError: a row of it is wrong, or nothing is left to score.
    """
    spec = request_of(one, task)
    listing = in_bounds(of_language(list_clips(spec, say=say), spec), spec)
    clips = listing.clips
    if listing.official:
        clips = tuple(c for c in clips if c.split == TEST)
        if not clips:
            raise InputError(
                f"test set {one.name}: {listing.name} has splits and no test rows; name its split with test_split"
            )
    clips = tuple(dataclasses.replace(c, split=TEST) for c in clips)
    clips, copies = once_each(clips)
    heard = {_place(part) for c in trained for part in (c.parts or (c,))}
    new = tuple(c for c in clips if _place(c) not in heard)
    if len(new) < len(clips):
        say(f"test set {one.name}: left out {len(clips) - len(new)} clips that are trained on")
    if not new:
        raise InputError(f"test set {one.name}: every clip of it is trained on; name other speech")
    if one.join_seconds is not None:
        if task == "emotion":
            raise InputError(
                f"test set {one.name}: joined clips have no single emotion; leave join_seconds out"
            )
        new = join(new, one.join_seconds)
    return Corpus(
        name=listing.name, task=task, clips=drawn(new, one.n_test, one.seed, "n_test"),
        split_policy="official" if listing.official else "whole", licence=listing.licence,
        source=listing.source, labels=listing.labels, copies=copies,
    )  # fmt: skip


def _place(clip: Clip) -> tuple[str, float, float | None]:
    return str(clip.path.resolve()), clip.start_seconds, clip.length_seconds
