import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import InputError
from runner.data.audio import SAMPLE_RATE
from runner.data.clips import Clip
from runner.data.packing import (
    GAP_SECONDS,
    coverage,
    join,
    joined_seconds,
    load_clip,
    load_example,
    pack,
    scored,
    windows,
)

seconds = st.floats(0.05, 40.0)


def clip(i, length, speaker="a", fault=None):
    return Clip(
        utterance_id=f"u{i:03d}", path=Path(f"u{i:03d}.wav"), reference=f"word{i}", speaker=speaker,
        split="test", audio_seconds=length, fault=fault,
    )  # fmt: skip


clips = st.lists(
    st.tuples(seconds, st.sampled_from("ab"), st.sampled_from([None, None, None, "truncated"])),
    max_size=40,
).map(lambda rows: [clip(i, 0.0 if f else s, who, f) for i, (s, who, f) in enumerate(rows)])


@given(n=st.integers(1, 90_000), length=st.floats(0.01, 8.0))
def test_windows_cover_each_sample_once_in_order(n, length):
    audio = np.arange(n, dtype=np.float32)
    cut = windows(audio, length)
    assert np.array_equal(np.concatenate(cut), audio)
    assert {len(w) for w in cut[:-1]} <= {round(length * SAMPLE_RATE)}
    assert 0 < len(cut[-1]) <= round(length * SAMPLE_RATE)


@given(clips, seconds)
def test_joining_loses_no_clip_and_keeps_the_order_of_words(parts, limit):
    out = join(parts, limit)
    plain = [p for c in out for p in (c.parts or (c,))]
    assert plain == parts
    assert " ".join(c.reference for c in out) == " ".join(c.reference for c in parts)


@given(clips, seconds)
def test_a_joined_clip_fits_holds_one_speaker_and_nothing_broken(parts, limit):
    for one in join(parts, limit):
        if one.parts:
            assert one.audio_seconds == pytest.approx(joined_seconds(one.parts))
            assert one.audio_seconds <= limit
            assert {p.speaker for p in one.parts} == {one.speaker}
            assert not any(p.fault for p in one.parts)


@given(clips, seconds)
def test_packing_uses_each_fitting_clip_once_and_fits_the_window(parts, window):
    examples = pack(parts, window)
    used = [c for e in examples for c in e]
    assert used == [c for c in parts if c.fault is None and c.audio_seconds <= window]
    assert all(joined_seconds(e) <= window for e in examples)
    assert all(len({c.speaker for c in e}) == 1 for e in examples)


@given(clips, seconds)
def test_neighbours_are_packed_together_whenever_they_fit(parts, window):
    examples = pack(parts, window)
    for left, right in itertools.pairwise(examples):
        same = left[-1].speaker == right[0].speaker
        assert not same or joined_seconds([*left, right[0]]) > window


def test_an_example_is_heard_with_silence_between_its_clips(write_tone):
    a, b = write_tone("a.wav", 1.0), write_tone("b.wav", 0.5, rate=8_000)
    parts = [
        Clip(utterance_id=p.stem, path=p, reference=p.stem, audio_seconds=s)
        for p, s in ((a, 1.0), (b, 0.5))
    ]
    audio, reference = load_example(parts)
    gap = round(GAP_SECONDS * SAMPLE_RATE)
    assert reference == "a b"
    assert len(audio) == 16_000 + gap + 8_000
    assert not audio[16_000 : 16_000 + gap].any()
    (joined,) = join(parts, 2.0)
    assert np.array_equal(load_clip(joined), audio)
    assert len(audio) / SAMPLE_RATE == pytest.approx(joined.audio_seconds)


def test_policies_hear_what_they_say():
    audio = np.arange(10 * SAMPLE_RATE, dtype=np.float32)
    assert [len(windows(audio, 4.0, p)) for p in ("window", "filter", "truncate")] == [3, 3, 1]
    assert [coverage(10.0, 4.0, p) for p in ("window", "filter", "truncate")] == [1.0, 0.0, 0.4]
    assert [coverage(3.0, 4.0, p) for p in ("window", "filter", "truncate")] == [1.0, 1.0, 1.0]


def test_filter_scores_the_clips_that_fit_and_keeps_broken_ones_to_be_recorded():
    some = [clip(0, 3.0), clip(1, 9.0), clip(2, 0.0, fault="empty")]
    assert [c.utterance_id for c in scored(some, 4.0, "filter")] == ["u000", "u002"]
    assert list(scored(some, 4.0, "window")) == some


@pytest.mark.parametrize(
    "ask",
    [
        lambda: windows(np.zeros(0, dtype=np.float32), 1.0),
        lambda: windows(np.zeros(5, dtype=np.float32), 0.0),
        lambda: windows(np.zeros(5, dtype=np.float32), 1.0, "trunc"),
        lambda: coverage(0.0, 1.0, "window"),
        lambda: load_example([]),
    ],
)
def test_what_cannot_be_cut_is_refused(ask):
    with pytest.raises(InputError):
        ask()
