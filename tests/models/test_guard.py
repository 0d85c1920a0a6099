"""Limits, loops and what is decoded again."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.words.records import GUARDED, Decoding
from runner.models.guard import (
    Row,
    at_limit,
    before_repeats,
    compression_ratio,
    guarded,
    is_suspicious,
    loops,
    token_limit,
)

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


SPOKEN = "press one two three to hear your messages again . , at the tone Please say sorry that number is not valid"
WORDS = SPOKEN.split()


def text_of(ids):
    """Ids below 100 are words, the same 100 further on in capitals."""
    return " ".join(WORDS[i] if i < 100 else WORDS[i - 100].upper() for i in ids)


def ids_of(text):
    return [WORDS.index(word) for word in text.split()]


def wide(ids):
    """A text whose words are their ids' own, for texts of any words."""
    return " ".join(f"w{i}" for i in ids)


@given(
    st.lists(st.integers(0, 9), max_size=8, unique=True),
    st.lists(st.integers(10, 30), min_size=4, max_size=16, unique=True),
    st.integers(2, 5),
    st.integers(0, 16),
)
def test_a_text_that_repeats_a_piece_to_its_end_keeps_one_copy(before, piece, times, cut_at):
    ids = before + piece * times + piece[:cut_at]
    assert before_repeats(ids, wide) == len(before) + len(piece)


@given(st.permutations(range(60)))
def test_a_text_whose_end_is_new_is_not_cut(ids):
    assert before_repeats(ids, wide) is None
    assert before_repeats([*ids, *ids[:9], 99], wide) is None


@given(st.lists(st.integers(0, 6), max_size=60))
def test_what_is_cut_was_all_said_in_what_is_kept_and_cutting_again_changes_nothing_said(ids):
    kept = before_repeats(ids, wide)
    if kept is not None:
        assert 0 < kept <= len(ids) - 2
        assert set(ids[kept:]) <= set(ids[:kept])


def test_repeats_in_other_capitals_and_with_other_points_are_repeats():
    said = ids_of("Please say one . again , at the tone")
    again = [i + 100 for i in ids_of("Please say one , again at the")]
    assert before_repeats([*said, *again], text_of) == len(said)


def test_several_sentences_in_any_order_are_repeats():
    one, other = ids_of("press one to hear your messages ."), ids_of("at the tone say sorry ,")
    assert before_repeats([*one, *other, *one, *other, *other, *one[:3]], text_of) == 13


def test_parts_of_a_character_are_told_apart_by_their_ids():
    parts = list(range(8))
    assert before_repeats(parts + parts, lambda ids: "\ufffd") == 8
    assert before_repeats(parts, lambda ids: "\ufffd") is None


LOOPING = ids_of("sorry that number is not valid .")


def decode_again(rows):
    def again(places):
        return [rows[i] for i in places]

    return again


def test_a_window_that_runs_on_keeps_one_copy_and_is_not_decoded_again():
    row = Row(LOOPING * 3, n_tokens=21, log_probability=-1.0)
    (kept,) = guarded([row], [21], GUARDED, text_of, decode_again([]))
    assert (kept.ids, kept.n_tokens, kept.repeats_cut, kept.fell_back) == (LOOPING, 21, True, False)


def test_a_window_that_runs_on_without_repeats_is_decoded_again_and_then_cut():
    first = Row(list(range(20)), n_tokens=20, log_probability=-1.0)
    second = Row(LOOPING * 2, n_tokens=14)
    (kept,) = guarded([first], [14], GUARDED, wide, decode_again([second]))
    assert (kept.ids, kept.n_tokens) == (LOOPING, 34)
    assert kept.fell_back
    assert kept.repeats_cut


def test_a_text_that_ends_by_itself_keeps_what_it_says_twice():
    row = Row(LOOPING * 2, n_tokens=15, log_probability=-1.0)
    assert guarded([row], [40], GUARDED, text_of, decode_again([])) == [row]


def test_a_rule_of_before_decodes_every_suspicious_window_again():
    before = dataclasses.replace(GUARDED, cut_repeats=None)
    rows = [Row(LOOPING * 3, n_tokens=21), Row([1, 2], n_tokens=3)]
    other = Row([5, 6, 7], n_tokens=4)
    kept = guarded(rows, [21, 21], before, text_of, decode_again([other, other]))
    assert (kept[0].ids, kept[0].n_tokens, kept[0].fell_back) == ([5, 6, 7], 25, True)
    assert kept[1] == rows[1]
