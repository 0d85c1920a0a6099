"""Levels of training audio: nested, fair to speakers, and the same each time."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import InputError
from runner.data.clips import Clip
from runner.data.nested import hours_of, within_hours

DIGEST = "58b0e4a0dc15bb0d58b473e280e1f2a3"


def clips(seconds, n_speakers=3):
    return [
        Clip(
            utterance_id=f"u{i:03d}", path=Path(f"{i}.wav"), reference="a", split="train",
            speaker=f"s{i % n_speakers}", audio_seconds=s,
        )
        for i, s in enumerate(seconds)
    ]  # fmt: skip


@given(
    seconds=st.lists(st.floats(0.5, 30.0), min_size=1, max_size=60),
    shares=st.lists(st.floats(0.01, 1.0), min_size=2, max_size=2),
)
def test_a_smaller_level_lies_inside_a_larger_one_and_none_is_above_its_hours(seconds, shares):
    every = clips(seconds)
    small, large = (
        within_hours(every, share * hours_of(every), DIGEST) for share in sorted(shares)
    )
    assert {c.utterance_id for c in small} <= {c.utterance_id for c in large}
    for share, level in zip(sorted(shares), (small, large), strict=True):
        assert level == tuple(c for c in every if c in level)
        assert len(level) == 1 or hours_of(level) <= share * hours_of(every) * (1 + 1e-6)
    assert within_hours(every, hours_of(every), DIGEST) == tuple(every)
    assert within_hours(every, None, DIGEST) == tuple(every)


def test_every_speaker_has_an_equal_share_of_a_level():
    every = clips([4.0] * 120, n_speakers=4)
    for level in (12, 40, 60):
        chosen = within_hours(every, level * 4.0 / 3600, DIGEST)
        counts = [sum(c.speaker == f"s{s}" for c in chosen) for s in range(4)]
        assert sum(counts) == level
        assert max(counts) - min(counts) <= 1


def test_a_level_is_of_the_corpus_and_another_corpus_draws_others():
    every = clips([3.0] * 40)
    one = within_hours(every, 30 / 3600, DIGEST)
    assert one == within_hours(every, 30 / 3600, DIGEST)
    assert one != within_hours(every, 30 / 3600, "0" + DIGEST[1:])


def test_clips_that_cannot_be_read_are_of_no_level():
    every = clips([3.0] * 10)
    every[4] = Clip(utterance_id="x", path=Path("x.wav"), reference="a", fault="no audio")
    assert all(c.fault is None for c in within_hours(every, 27 / 3600, DIGEST))


def test_more_audio_than_there_is_is_refused_with_what_there_is():
    with pytest.raises(InputError, match=r"2 h was asked, and there are 0.03333 h"):
        within_hours(clips([4.0] * 30), 2.0, DIGEST)


def test_a_trial_trains_on_the_clips_of_its_level_alone():
    import dataclasses

    from runner.data.clips import Corpus
    from runner.trial.examples import training_clips, training_examples
    from tests.store.samples import trial

    corpus = Corpus(
        name="c", task="asr", clips=tuple(clips([3.0] * 40)), split_policy="official", licence=None,
        source="test",
    )  # fmt: skip
    every = trial(audio_seconds=3.0, padding="bucketed")
    some = dataclasses.replace(every, train_hours=30 / 3600)
    assert training_clips(corpus, every) == corpus.train
    assert len(training_clips(corpus, some)) == 10
    assert len(training_examples(corpus, every)) == 40
    names = {example.name for example in training_examples(corpus, some)}
    assert names == {c.utterance_id for c in within_hours(corpus.train, 30 / 3600, corpus.digest)}
