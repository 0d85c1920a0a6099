"""A trial's corpus and its windows: what is trained on, and what is timed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import lru_cache, partial

from planner.errors import InputError
from planner.words.catalogue import Backbone, writes_by_ctc
from planner.words.records import Trial
from runner.data.audio import Audio
from runner.data.clips import BrokenDataError, Clip, Corpus, DataSpec
from runner.data.nested import within_hours
from runner.data.packing import joined_reference, joined_seconds, load_example, pack, windows
from runner.models.characters import Characters, is_of_pieces
from runner.trial.features import Example


@lru_cache(maxsize=4)
def _loaded_corpus(data: DataSpec) -> Corpus:
    from runner.data.corpus import load_corpus

    return load_corpus(data)


def corpus_of(trial: Trial, data: DataSpec) -> Corpus:
    """The trial's corpus, kept between the trials of a process.

    Raises:
        InputError: what the request gives is not what the trial was registered with.
    """
    corpus = _loaded_corpus(data)
    if corpus.copies and corpus.digest != trial.dataset_digest:
        # Trials of before took a recording as often as it was there.
        corpus = _loaded_corpus(dataclasses.replace(data, copies="counted"))
    if corpus.digest != trial.dataset_digest:
        raise InputError(
            f"data {data.name!r} has digest {corpus.digest[:12]}, the trial was registered with "
            f"{trial.dataset_digest[:12]}; the files changed: restore them, or register the sweep anew"
        )
    return corpus


def training_clips(corpus: Corpus, trial: Trial) -> tuple[Clip, ...]:
    """The clips that the trial trains on: the training split, or a nested subset of `train_hours`."""
    return within_hours(corpus.train, trial.train_hours, corpus.digest)


def training_examples(corpus: Corpus, trial: Trial) -> list[Example]:
    """Training windows at the trial's x_T.

    Speech recognition packs consecutive utterances into windows, as a text cannot be cut with its
    audio; where windows have their own length (`bucketed`), each utterance is one. Emotion takes every
    window of an utterance under its label (`truncate`: the first alone).
    """
    clips = training_clips(corpus, trial)
    if trial.task == "asr":
        packed = pack(clips, trial.audio_seconds)
        if trial.padding == "bucketed":
            packed = [(clip,) for example in packed for clip in example]
        return [
            Example(
                name=p[0].utterance_id,
                read=partial(load_example, p),
                seconds=joined_seconds(p),
                reference=joined_reference(p),
            )
            for p in packed
        ]
    return [
        Example(
            name=f"{clip.utterance_id}[{i}]",
            read=partial(_one_window, clip, trial, i),
            seconds=min(trial.audio_seconds, clip.audio_seconds - i * trial.audio_seconds),
        )
        for clip in clips
        if clip.fault is None
        for i in range(_n_windows(clip, trial))
    ]


def head_labels(
    trial: Trial, backbone: Backbone, corpus: Corpus, vocabulary: Sequence[str]
) -> tuple[str, ...]:
    """What a head on the encoder names: the corpus's classes, or the tokens of CTC.

    A checkpoint's own vocabulary must have the characters of the training texts; without one it is made
    from them.

    Raises:
        InputError: the vocabulary lacks some, is not of characters, or the texts have none.
    """
    if not writes_by_ctc(backbone, trial.task):
        return corpus.labels
    texts = [clip.reference for clip in corpus.train]
    if not vocabulary:
        return Characters.of_texts(texts).tokens
    if is_of_pieces(vocabulary):
        return tuple(vocabulary)
    own = Characters(vocabulary)
    if trial.adaptation.kind != "none":
        own.require(texts, backbone.name)
    return own.tokens


def require_some(examples: list[Example], corpus: Corpus) -> list[Example]:
    """The examples, or the reason why there is none although the split has clips, each of them broken.

    Raises:
        BrokenDataError: every training file is broken.
    """
    faults = [clip.fault for clip in corpus.train if clip.fault is not None]
    if not examples and faults and len(faults) == len(corpus.train):
        raise BrokenDataError(
            f"none of {len(faults)} training files can be read; the first: {faults[0]}"
        )
    return examples


def _n_windows(clip: Clip, trial: Trial) -> int:
    """Windows of a clip that hold at least half of x_T; a shorter rest is too little to judge by.

    The half is an assumption; the first window is always taken.
    """
    if trial.reference_policy != "window":
        return 1
    return max(1, round(clip.audio_seconds / trial.audio_seconds))


def _one_window(clip: Clip, trial: Trial, index: int) -> tuple[Audio, str]:
    cut = windows(load_example(clip)[0], trial.audio_seconds)
    return cut[min(index, len(cut) - 1)], clip.reference
