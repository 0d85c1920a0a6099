"""Numbers as single digits: what is heard alike counts alike, however it is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.data.normalise import form, normaliser
from runner.data.spoken_numbers import digits_apart, in_words, spelled_out
from runner.trial.scoring import counted, only_numbers_differ

NUMBERS = st.one_of(st.integers(0, 120), st.integers(0, 10**12))
DIGITS = normaliser("english-digits")


@given(NUMBERS)
def test_a_number_in_words_and_in_digits_is_the_same_digits(value):
    assert digits_apart(in_words(value)) == " ".join(str(value)) == digits_apart(str(value))


@given(st.lists(NUMBERS, min_size=1, max_size=6))
def test_a_list_of_numbers_keeps_its_digits_with_commas_and_without_them_in_digits(values):
    wanted = " ".join(" ".join(str(v)) for v in values)
    assert DIGITS(", ".join(in_words(v) for v in values)) == wanted
    assert DIGITS(" ".join(map(str, values))) == wanted
    assert DIGITS(", ".join(map(str, values))) == wanted


@given(st.lists(st.sampled_from(["hold", "the", "line", "and", "oh", "point", "per"]), max_size=8))
def test_words_that_are_no_numbers_stay(words):
    assert digits_apart(" ".join(words)) == " ".join(words)


@given(st.lists(NUMBERS, min_size=1, max_size=4))
def test_normalising_twice_changes_nothing(values):
    once = DIGITS(" then ".join(in_words(v) for v in values))
    assert DIGITS(once) == once


@pytest.mark.parametrize(
    ("written", "heard"),
    [
        ("dial 5 55 0 1 2", "dial five fifty five oh one two"),
        ("room 1 12", "room one twelve"),
        ("in 1984", "in nineteen eighty four"),
        ("$20 million", "twenty million dollars"),
        ("12.5 %", "twelve point five percent"),
        ("the 21st floor", "the twenty-first floor"),
        ("2,500 people", "twenty five hundred people"),
        ("at 5:30", "at five thirty"),
        ("agent 007", "agent double zero seven"),
        ("the 1970s", "the nineteen seventies"),
        ("102", "one hundred and two"),
    ],
)
def test_two_ways_of_writing_one_utterance_have_no_errors(written, heard):
    assert DIGITS(written) == DIGITS(heard)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "n_errors"),
    [
        ("I paid one dollar", "I paid one", 1),
        ("a loss of one percent", "a loss of one", 1),
        ("two hundred", "two thousand", 1),
        ("press 4", "press 5", 1),
        ("minus one degree", "one degree", 1),
    ],
)
def test_numbers_that_differ_still_differ(reference, hypothesis, n_errors):
    found = counted("english-digits", [reference], [hypothesis])
    assert found.words.n_errors == n_errors
    assert not found.number_format_only


def test_parts_are_normalised_before_they_are_joined():
    assert form("english-digits", ["twenty", "one"]) == "2 0 1"
    assert DIGITS("twenty one") == "2 1"


def test_a_perfect_transcript_of_spoken_numbers_is_named_as_an_error_of_format_alone():
    parts, windows = ["ten eleven", "seventeen", "nineteen one forty"], ["10 11 17", "19 1 40"]
    by_whisper = counted("whisper-english", parts, windows)
    assert by_whisper.words.n_errors > by_whisper.words.n_units
    assert by_whisper.number_format_only
    assert only_numbers_differ(parts, windows)
    assert counted("english-digits", parts, windows).words.n_errors == 0


@given(st.lists(NUMBERS, min_size=1, max_size=4))
def test_what_another_listener_may_write_is_only_of_another_format(values):
    text = "Press " + ", ".join(map(str, values)) + " now."
    assert DIGITS(spelled_out(text)) == DIGITS(text)
    assert not any(c.isdigit() for c in spelled_out(text))
