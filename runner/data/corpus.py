"""From a request to a corpus: resolve the source, split, draw, measure, join.

Sources are tried in the order local folder (`path`), cache, hub, registry package pinned by hash;
`Corpus.source` says which was used.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from planner.errors import InputError, UnknownNameError
from runner.data import cremad, emodb, hub_sets, kaldi, librispeech, manifest, prompts, ravdess
from runner.data.audio import AudioError, read_audio, segment_seconds
from runner.data.check import check
from runner.data.clips import TEST, TRAIN, Clip, Corpus, DataSpec, Listing
from runner.data.copies import once_each
from runner.data.languages import of_language
from runner.data.packing import join, load_clip, load_example, pack, scored, windows
from runner.data.splits import drawn, with_splits
from runner.weights.packages import Say, to_stderr

FOLDERS: dict[str, Callable[[DataSpec], Listing]] = {
    "librispeech": librispeech.listing,
    "kaldi": kaldi.listing,
    "cremad": cremad.listing,
    "ravdess": ravdess.listing,
    "emodb": emodb.listing,
    "manifest": manifest.listing,
}
"""Sources that are read from a local path."""


def load_corpus(
    spec: DataSpec, *, cache: Path | None = None, offline: bool = False, say: Say = to_stderr
) -> Corpus:
    """The corpus that a request describes.

    Args:
        spec: the request.
        cache: cache folder; None: `$SOUNDSCALE_CACHE` or `~/.cache/soundscale`.
        offline: download nothing.
        say: where progress goes.

    Raises:
        UnknownNameError: no source has the name.
        MissingResourceError: the data cannot be had; the message says what was tried.
        InputError: a row of it is wrong, or it cannot be split or drawn as asked.
    """
    listing = of_language(list_clips(spec, cache=cache, offline=offline, say=say), spec)
    if listing.task == "emotion" and spec.join_seconds is not None:
        raise InputError(
            f"join_seconds was asked of {listing.name}, but joined clips have no single emotion; leave it out"
        )
    clips, policy = with_splits(in_bounds(listing, spec), spec)
    # The built-in prompts are what their hash says, and digests of before stay.
    is_counted = spec.copies == "counted" or spec.name in prompts.NAMES
    clips, copies = (clips, ()) if is_counted else once_each(clips)
    chosen = _chosen(clips, spec)
    return Corpus(
        name=listing.name, task=listing.task, clips=chosen, split_policy=policy,
        licence=listing.licence, source=listing.source, labels=listing.labels, copies=copies,
    )  # fmt: skip


def list_clips(
    spec: DataSpec, *, cache: Path | None = None, offline: bool = False, say: Say = to_stderr
) -> Listing:
    """All clips of a source, before splitting.

    Raises:
        UnknownNameError, MissingResourceError, InputError: as `load_corpus`.
    """
    if spec.name in prompts.NAMES:
        return prompts.listing(spec, cache=cache, offline=offline, say=say)
    if spec.name in FOLDERS:
        return FOLDERS[spec.name](spec)
    if "/" in spec.name:
        return hub_sets.listing(spec, cache=cache, offline=offline, say=say)
    raise UnknownNameError(
        "data source",
        spec.name,
        (*prompts.NAMES, *FOLDERS),
        remedy="own speech goes in as a manifest, a hub data set by its id OWNER/NAME",
    )


def measured(clip: Clip) -> Clip:
    """The clip with its duration, or with the fault for which its header cannot be read."""
    try:
        seconds = segment_seconds(clip.path, clip.start_seconds, clip.length_seconds)
        return dataclasses.replace(clip, audio_seconds=seconds, fault=None)
    except AudioError as error:
        return dataclasses.replace(clip, audio_seconds=0.0, fault=error.fault)


def in_bounds(listing: Listing, spec: DataSpec) -> Listing:
    """The listing with durations and without clips outside the bounds; broken clips stay."""
    high = spec.max_seconds if spec.max_seconds is not None else float("inf")
    gap = "" if spec.join_gap == "silence" else spec.join_gap
    clips = (dataclasses.replace(measured(c), gap=gap) for c in listing.clips)
    kept = tuple(c for c in clips if c.fault or spec.min_seconds <= c.audio_seconds <= high)
    if not kept:
        raise InputError(
            f"no clip of {listing.name} lasts {spec.min_seconds:g} to {high:g} s; widen min_seconds and max_seconds"
        )
    return dataclasses.replace(listing, clips=kept)


def _chosen(clips: tuple[Clip, ...], spec: DataSpec) -> tuple[Clip, ...]:
    """Drawn and joined clips: train, then the rest in the source's order."""
    train = tuple(c for c in clips if c.split == TRAIN)
    test = tuple(c for c in clips if c.split == TEST)
    rest = tuple(c for c in clips if c.split not in (TRAIN, TEST))
    if not train:
        raise InputError(f"data {spec.name} has no training clips; give some rows the split train")
    if not test:
        raise InputError(f"data {spec.name} has no test clips; give some rows the split test")
    if spec.join_seconds is not None:
        test, rest = join(test, spec.join_seconds), join(rest, spec.join_seconds)
    train = drawn(train, spec.n_train, spec.seed, "n_train")
    return (*train, *rest, *drawn(test, spec.n_test, spec.seed, "n_test"))


__all__ = [
    "AudioError",
    "Clip",
    "Corpus",
    "DataSpec",
    "check",
    "list_clips",
    "load_clip",
    "load_corpus",
    "load_example",
    "pack",
    "read_audio",
    "scored",
    "windows",
]
