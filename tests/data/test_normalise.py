"""Named scorers: what each one keeps, and the scripts that the English one cannot tell apart."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import UnknownNameError
from planner.words.scorers import SCORERS, default_scorer, plain, versioned
from runner.data.normalise import normaliser
from runner.trial.scoring import counted, errors_at_cuts, part_ends, parts_of

UNICODE = normaliser("unicode")


@pytest.mark.parametrize(
    ("reference", "hypothesis", "n_errors", "n_units"),
    [
        ("ठीक है मैं आऊँगा", "ठिक हे में आउंगा", 4, 4),
        ("நான் வீட்டுக்கு போகிறேன்", "நான விடடுககு பொகிறேன", 3, 3),
        ("она ещё живёт", "она еще живет", 2, 3),
        ("le maïs est mûr", "le mais est mur", 2, 4),
        ("ไม่เป็นไร", "ไมเปนไร", 1, 1),
    ],
)
def test_vowel_signs_and_accents_tell_words_apart(reference, hypothesis, n_errors, n_units):
    found = counted("unicode", [reference], [hypothesis])
    assert (found.words.n_errors, found.words.n_units) == (n_errors, n_units)


def test_the_composition_and_case_of_letters_and_their_punctuation_are_no_errors():
    for text in ("Grüße, Ümit!", "¿Qué tal?", "क्या हाल है?"):
        other = unicodedata.normalize("NFD", text).upper()
        assert UNICODE(text).casefold() == UNICODE(other).casefold()
    assert UNICODE("«Привет», — сказал он.") == "привет сказал он"


@given(st.text(max_size=30))
def test_any_text_normalises_once_and_for_all(text):
    once = UNICODE(text)
    assert UNICODE(once) == once
    assert not any(unicodedata.category(c)[0] in "PS" for c in once)


@given(st.text(alphabet=st.characters(categories=["L", "Mn", "Mc", "Nd"]), max_size=20))
def test_no_letter_and_no_mark_is_lost(text):
    wanted = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", text).lower())
    kept = [c for c in wanted if unicodedata.category(c)[0] in "LMN"]
    assert [c for c in UNICODE(text) if unicodedata.category(c)[0] in "LMN"] == kept


def test_the_leaderboard_writes_american_and_leaves_out_what_says_nothing():
    norm = normaliser("leaderboard")
    assert norm("The colour of the harbour.") == norm("the color of the harbor")
    silent = counted("leaderboard", ["[noise]"], ["thank you"])
    assert (silent.words.n_units, silent.words.n_errors) == (0, 0)
    assert counted("whisper-english", ["[noise]"], ["thank you"]).words.n_errors == 2


def test_the_raw_scorer_counts_case_and_punctuation():
    assert counted("raw", ["Hold the line."], ["hold the line"]).words.n_errors == 2


@pytest.mark.parametrize("name", SCORERS)
def test_every_named_scorer_is_there_under_its_version_too(name):
    assert normaliser(plain(versioned(name)))("Hold the line").lower() == "hold the line"


def test_a_version_that_is_not_known_is_refused():
    with pytest.raises(UnknownNameError, match="english-digits/7"):
        plain("english-digits/7")


def test_the_default_follows_the_language():
    assert [default_scorer(code) for code in (None, "en", "hi")] == [
        "whisper-english", "whisper-english", "unicode",
    ]  # fmt: skip


@given(st.lists(st.text(alphabet="ab. ", max_size=6), min_size=1, max_size=5))
def test_stored_ends_give_the_parts_back(parts):
    assert parts_of(" ".join(parts), part_ends(parts)) == parts


def test_errors_are_counted_at_cuts_and_nowhere_else():
    reference = "please hold the line for the next agent"
    assert errors_at_cuts(reference, ["please hold the", "wine for the next agent"]) == 1
    assert errors_at_cuts(reference, ["lease hold the", "line for the next asian"]) == 0
    assert errors_at_cuts(reference, ["please hold the line", "the next agent"]) == 1
    assert errors_at_cuts(reference, [reference]) == 0
