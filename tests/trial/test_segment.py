"""Windows cover the audio, fit the axis, and end where it is quiet."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import UnknownNameError
from runner.trial.segment import segments

RATE = 16_000


def words(pattern, seed=0):
    """Noise for seconds of speech (positive) and near silence for pauses (negative)."""
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [rng.standard_normal(round(abs(s) * RATE)) * (0.1 if s > 0 else 1e-4) for s in pattern]
    ).astype(np.float32)


@given(st.floats(0.01, 9), st.floats(0.2, 4), st.sampled_from(["pause", "fixed"]))
@settings(deadline=None, max_examples=60)
def test_windows_cover_every_sample_once_and_fit_the_axis(seconds, window, cut):
    audio = words([seconds])
    found = segments(audio, window, "window", cut)
    assert np.array_equal(np.concatenate(found), audio)
    assert all(0 < len(w) <= round(window * RATE) for w in found)


def test_a_window_ends_in_a_pause_and_not_inside_a_word():
    audio = words([2.6, -0.3, 2.0, -0.3, 1.5])
    first, second = segments(audio, 4.0, "window", "pause")
    assert 2.6 < len(first) / RATE < 2.9
    assert len(segments(audio, 4.0, "window", "fixed")[0]) == 4 * RATE
    assert len(first) + len(second) == len(audio)


def test_of_two_equal_pauses_the_later_one_is_taken():
    audio = words([2.2, -0.3, 0.9, -0.3, 3.0])
    assert 3.4 < len(segments(audio, 4.0, "window", "pause")[0]) / RATE < 3.7


def test_digital_silence_is_a_pause():
    audio = words([3.0, 1.0, 2.0])
    audio[3 * RATE : 4 * RATE] = 0.0
    assert 3.0 < len(segments(audio, 4.5, "window", "pause")[0]) / RATE <= 4.0


def test_truncation_hears_the_first_window_whatever_the_cut():
    audio = words([2.0, -0.3, 3.0])
    assert [len(w) for w in segments(audio, 4.0, "truncate", "pause")] == [4 * RATE]


def test_an_unknown_cut_names_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean pause"):
        segments(words([1.0]), 1.0, "window", "pauze")
