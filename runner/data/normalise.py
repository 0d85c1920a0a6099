"""Text normalisers by name (`planner.words.scorers`): what is done to two texts before they are compared."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.resources import files

from planner.errors import UnknownNameError
from planner.words.scorers import SCORERS
from runner.data.spoken_numbers import digits_apart, phrases_marked

Normaliser = Callable[[str], str]

_DOTS = re.compile(r"\.(\s*\.)+|…")

APART = frozenset({"english-digits", "unicode", "leaderboard", "raw"})
"""Scorers that normalise the parts of a joined utterance before they are joined. Those of before normalise
the whole, and go on doing so: a number would else change that is stored."""

EMPTY_LEFT_OUT = frozenset({"leaderboard"})
"""Scorers that leave an utterance out whose normalised reference is empty (the leaderboard's
`is_target_text_in_range`); elsewhere its insertions count."""


@lru_cache(maxsize=len(SCORERS))
def normaliser(name: str) -> Normaliser:
    """Text normaliser by name.

    Whisper's English one comes without the list of British spellings, which lies beside a tokenizer and
    not in transformers, and takes an ellipsis for one full stop: left as it is, a lone dot would stay
    behind and count as a word. References and hypotheses are treated alike.

    Raises:
        UnknownNameError: there is no such normaliser.
    """
    if name in ("none", "raw"):
        return _as_written if name == "none" else _composed
    if name == "unicode":
        return _any_language
    if name not in SCORERS:
        raise UnknownNameError("normaliser", name, list(SCORERS))
    from transformers.models.whisper.english_normalizer import (
        BasicTextNormalizer,
        EnglishTextNormalizer,
    )

    if name == "whisper-basic":
        basic: Normaliser = BasicTextNormalizer()
        return basic
    english = EnglishTextNormalizer(_spellings() if name == "leaderboard" else {})
    if name == "english-digits":
        english.standardize_numbers = digits_apart
        return lambda text: _stripped(english(phrases_marked(_DOTS.sub(".", text))))
    if name == "leaderboard":
        return lambda text: _stripped(english(_DOTS.sub(".", text)))
    return lambda text: english(_DOTS.sub(".", text))


def form(name: str, parts: Sequence[str]) -> str:
    """An utterance's normalised text; of a joined one, part by part where the scorer does so."""
    norm = normaliser(name)
    if name in APART:
        return " ".join(filter(None, (norm(part) for part in parts)))
    return norm(" ".join(parts))


def _as_written(text: str) -> str:
    return " ".join(text.split())


def _composed(text: str) -> str:
    return _as_written(unicodedata.normalize("NFC", text))


def _stripped(text: str) -> str:
    return text.strip()


def _any_language(text: str) -> str:
    """Lower case without punctuation, symbols and invisible characters; letters keep all their marks.

    >>> _any_language("Das war schön – und «würde» gut!")
    'das war schön und würde gut'
    """
    kept = []
    for char in unicodedata.normalize("NFKC", text).lower():
        category = unicodedata.category(char)
        if category != "Cf":
            kept.append(" " if category[0] in "PSZC" else char)
    # Lower-casing can leave a decomposed letter behind (the Turkish dotted I).
    return _composed("".join(kept))


@lru_cache(maxsize=1)
def _spellings() -> dict[str, str]:
    """British spellings and their American ones: whisper/normalizers/english.json (OpenAI, MIT)."""
    found: dict[str, str] = json.loads(
        (files("runner.data") / "english_spellings.json").read_text(encoding="utf-8")
    )
    return found
