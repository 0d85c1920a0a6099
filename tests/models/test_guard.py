"""Limits, loops and what is decoded again."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.words.records import GUARDED, Decoding
from runner.models.guard import at_limit, compression_ratio, is_suspicious, loops, token_limit

SECOND = 16_000


@given(st.floats(0.1, 30), st.floats(0.5, 25))
def test_a_limit_leaves_room_for_every_token_of_the_rate_in_the_window(seconds, rate):
    decoding = dataclasses.replace(GUARDED, max_tokens_per_second=rate)
    limit = token_limit(decoding, round(seconds * SECOND), room=444)
    assert limit == 444 or limit >= rate * seconds


def test_half_a_minute_of_quick_speech_is_not_cut_by_default():
    # 136 tokens are what quick speech (4.7 words a second) takes; records of before stopped at 128.
    assert token_limit(GUARDED, 30 * SECOND) > 136 > token_limit(Decoding(), 30 * SECOND)


def test_a_text_is_cut_only_where_it_has_no_end():
    assert at_limit([1] * 9, 9)
    assert not at_limit([1] * 8, 9)


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=10),
    st.integers(3, 8),
    st.lists(st.integers(10, 20)),
)
def test_a_piece_that_is_said_again_and_again_is_a_loop(piece, times, before):
    said = len(piece) * times
    assert loops(before + piece * times) or said < 8


@given(st.permutations(range(40)))
def test_a_text_without_repeats_is_no_loop(ids):
    assert not loops(ids)


def test_what_is_said_three_times_shortly_is_no_loop():
    assert not loops([7, 8, 7, 8, 7, 8, 1, 2])


@pytest.mark.parametrize(
    ("text", "ids", "log_probability", "wanted"),
    [
        ("please hold the line", [1, 2, 3, 4], -0.4, False),
        ("please hold the line", [1, 2, 3, 4], -9.0, True),
        ("hold " * 30, list(range(30)), -0.4, True),
        ("please", [5, 6] * 6, -0.4, True),
        ("please", list(range(99)), -0.4, True),
    ],
)
def test_a_text_is_suspicious_by_doubt_ratio_loop_or_limit(text, ids, log_probability, wanted):
    args = (text, ids, 99, log_probability, 5)
    assert is_suspicious(*args, GUARDED) is wanted
    assert not is_suspicious(*args, Decoding())


def test_the_ratio_is_openai_decoders():
    import zlib

    text = "thank you " * 20
    assert compression_ratio(text) == len(text.encode()) / len(zlib.compress(text.encode())) > 2.4
