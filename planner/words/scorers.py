"""The named, versioned ways of making two texts comparable before their errors are counted.

A name without a slash is version 1: it is what databases of before hold. Another rule gets another version, and
so another name, as numbers of two rules are not comparable.
"""

from __future__ import annotations

from planner.errors import UnknownNameError

SCORERS = {
    "whisper-english": "Whisper's English normaliser, by which the field compares",
    "whisper-basic": "Whisper's basic normaliser: lower case, no symbols; it drops vowel signs of many scripts",
    "english-digits": "Whisper's English, but numbers as single digits, so that 10 11 is ten eleven and not 1011",
    "leaderboard": "the Open ASR Leaderboard's: Whisper's English with American spellings; empty references left out",
    "unicode": "any language: lower case, no punctuation or symbols, all letters, marks and accents kept",
    "raw": "the words as they are written, in composed characters; case and punctuation count",
    "none": "the words as they are written, byte for byte",
}
"""Name, and what it does."""

WITHOUT_SPACES = frozenset({"zh", "yue", "ja", "th", "lo", "my", "km", "bo"})
"""Languages that are written without spaces between words, where characters are what can be counted
(the list of OpenAI's `get_writer`/`decode` in whisper/tokenizer.py, `split_to_word_tokens`, and Khmer and Tibetan)."""


def versioned(name: str) -> str:
    """The name with its version, as a number's label says it.

    >>> versioned("whisper-english"), versioned("")
    ('whisper-english/1', '')
    """
    return f"{name}/1" if name in SCORERS and name != "none" else name


def plain(name: str) -> str:
    """The stored name of a scorer that may be written with its version.

    >>> plain("english-digits/1")
    'english-digits'

    Raises:
        UnknownNameError: there is no such scorer, or not of that version.
    """
    short = name.removesuffix("/1")
    if short not in SCORERS:
        raise UnknownNameError("scorer", name, [versioned(n) for n in SCORERS])
    return short


def default_scorer(language: str | None) -> str:
    """The scorer of a language's transcripts where none is named; None: English.

    >>> default_scorer(None), default_scorer("de")
    ('whisper-english', 'unicode')
    """
    return "whisper-english" if language in (None, "en") else "unicode"
