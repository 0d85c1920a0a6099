"""Numbers as single digits, so that how they are written and grouped is no error.

`10 11 17`, `ten eleven seventeen` and `101117` are all `1 0 1 1 1 7`: a listener cannot tell them apart, and
Whisper writes now one and now the other. Words of numbers are read by the grammar of English (`one hundred and
forty` is 140, `nineteen eighty four` 19 84, `one forty` 1 40), never across a mark that ends a phrase.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

MARK = "\ue000"
"""Stands where punctuation ended a phrase; of private use, so that normalisers leave it alone."""

_UNITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_TEENS = [
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
CARDINALS = (
    {word: n for n, word in enumerate([*_UNITS, *_TEENS])}
    | {word: 10 * n for n, word in enumerate(_TENS, 2)}
    | {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
)
_IRREGULAR = {
    "first": ("one", "st"), "second": ("two", "nd"), "third": ("three", "rd"), "fifth": ("five", "th"),
    "eighth": ("eight", "th"), "ninth": ("nine", "th"), "twelfth": ("twelve", "th"),
}  # fmt: skip
ENDINGS = (
    {word + "th": (word, "th") for word in CARDINALS if not word.endswith("y")}
    | {word[:-1] + "ieth": (word, "th") for word in _TENS}
    | {word[:-1] + "ies": (word, "s") for word in _TENS}
    | _IRREGULAR
)
"""Ordinals and decades: the cardinal and what is written after its digits."""
MONEY = {"$": "dollars", "£": "pounds", "€": "euros", "¢": "cents"}
_SINGULAR = {"dollar": "dollars", "pound": "pounds", "euro": "euros", "cent": "cents"}
_TIMES = {"double": 2, "triple": 3}
_NUMERAL = re.compile(r"([$£€¢]?)(\d+(?:\.\d+)*|\.\d+)(st|nd|rd|th|s|am|pm)?([%$£€¢]?)$")


def kind_of(value: int) -> str:
    """Which place a word of a number can take: `unit`, `teen`, `tens`, `hundred` or `multiplier`."""
    if value >= 1000:
        return "multiplier"
    if value == 100:
        return "hundred"
    return "tens" if value >= 20 else "teen" if value >= 10 else "unit"


class _Reader:
    """One pass over words; numbers are held until a word shows that they are complete."""

    def __init__(self, apart: bool = True) -> None:
        self.apart = apart
        self.out: list[str] = []
        self.behind: str | None = None
        self._start()
        self.after_point = False

    def _start(self) -> None:
        self.total, self.part, self.last, self.least = 0, 0, "", 10**15

    def end(self, suffix: str = "") -> None:
        """Write the number that is held, its unit of money after it."""
        if self.last:
            self.digits(str(self.total + self.part), suffix)
        self._start()

    def digits(self, text: str, suffix: str = "") -> None:
        """Write digits, one by one or as they stand; a suffix stays at the last one."""
        places = ["point" if c == "." else c for c in text] if self.apart else [text]
        places[-1] += suffix
        self.out += places
        if self.behind:
            self.out.append(self.behind)
            self.behind = None

    def word(self, word: str) -> None:
        """Write a word that is no number."""
        self.end()
        self.after_point = False
        self.out.append(word)

    def cardinal(self, value: int, suffix: str = "") -> None:
        """Take a word of a number in, or end the one before and begin another."""
        kind = kind_of(value)
        if self.after_point and kind != "multiplier":
            self.digits(str(value), suffix)
            return
        if kind == "multiplier" or kind == "hundred":
            if not self._multiplied(value, kind):
                self.end()
                self.out.append(_WORD_OF[value] + suffix)
                return
        else:
            follows = {"unit": ("tens", "hundred", "multiplier"), "teen": ("hundred", "multiplier")}
            follows["tens"] = follows["teen"]
            if self.last not in follows[kind] or value == 0:
                self.end()
            self.part += value
            self.last = kind
        if suffix:
            self.end(suffix)

    def _multiplied(self, value: int, kind: str) -> bool:
        if self.last in ("", "multiplier") or self.part == 0 or self.after_point:
            return False
        if kind == "hundred":
            if self.part >= 100:
                return False
            self.part *= 100
        else:
            if value >= self.least:
                return False
            self.total, self.part, self.least = self.total + self.part * value, 0, value
        self.last = kind
        return True

    def numeral(self, found: re.Match[str]) -> None:
        """Take digits in as they stand; a multiplier may follow a whole number."""
        before, text, suffix, after = found.groups()
        self.end()
        sign = before or after
        if sign in MONEY:
            self.behind = MONEY[sign]
        whole = "." not in text and not suffix and sign != "%" and not text.startswith("0")
        if whole and int(text) < 1000:
            self.part, self.last = int(text), "digits"
        elif suffix in ("am", "pm"):
            self.digits(text)
            self.out.append(suffix)
        else:
            self.digits(text, suffix or "")
        if sign == "%":
            self.word("percent")


_WORD_OF = {value: word for word, value in CARDINALS.items()}


def digits_apart(text: str) -> str:
    """A normalised text with every number as single digits.

    >>> digits_apart("press ten eleven or 1 40 for one hundred and forty")
    'press 1 0 1 1 or 1 4 0 for 1 4 0'
    """
    return _read(text, _Reader())


def numerals(text: str) -> str:
    """A text with every number in digits, each by itself: what a listener may write who spells nothing out.

    >>> numerals("Ten, eleven or one hundred and forty")
    '10 11 or 140'
    """
    return _read(phrases_marked(text.lower()).replace("-", " "), _Reader(apart=False))


def _read(text: str, reader: _Reader) -> str:
    words = text.split()
    skip = False
    for place, word in enumerate(words):
        if skip:
            skip = False
            continue
        skip = _take(reader, words, place, word)
    reader.end()
    return " ".join(reader.out)


def _take(reader: _Reader, words: Sequence[str], place: int, word: str) -> bool:
    """Read one word; whether the next one is read with it."""
    after = words[place + 1] if place + 1 < len(words) else ""
    if word == MARK:
        reader.end()
        reader.after_point = False
    elif word in CARDINALS:
        reader.cardinal(CARDINALS[word])
    elif word in ENDINGS:
        cardinal, suffix = ENDINGS[word]
        reader.cardinal(CARDINALS[cardinal], suffix)
    elif found := _NUMERAL.match(word):
        reader.numeral(found)
    else:
        return _beside(reader, word, after)
    return False


def _beside(reader: _Reader, word: str, after: str) -> bool:
    """Words that mean something beside a number alone; whether the next word is read too."""
    in_number = bool(reader.last) or bool(reader.out and reader.out[-1][:1].isdigit())
    numeric = after in CARDINALS or after in ENDINGS or bool(_NUMERAL.match(after))
    if word in _TIMES and after in _UNITS:
        reader.end()
        reader.digits(str(CARDINALS[after]) * _TIMES[word])
        return True
    if word == "and" and reader.last in ("hundred", "multiplier") and numeric:
        return False
    if word in ("oh", "o") and in_number and (numeric or after in ("oh", "o")):
        reader.end()
        reader.digits("0")
    elif word == "point" and in_number and numeric:
        reader.word(word)
        reader.after_point = True
    elif word == "%" and in_number:
        reader.word("percent")
    elif word == "per" and after == "cent" and in_number:
        reader.word("percent")
        return True
    else:
        reader.word(_SINGULAR.get(word, word) if in_number else word)
    return False


def phrases_marked(text: str) -> str:
    """A written text with MARK in place of the punctuation that ends a phrase."""
    return re.sub(r"[.,;:!?…]+(?=\s|$)", f" {MARK} ", text)


def in_words(value: int) -> str:
    """A whole number below 10^15 in English words, without `and`.

    >>> in_words(140), in_words(1_000_021)
    ('one hundred forty', 'one million twenty one')
    """
    return " ".join(_spelled(value)) or "zero"


def _spelled(value: int) -> Iterator[str]:
    for name in ("trillion", "billion", "million", "thousand", "hundred"):
        size = CARDINALS[name]
        if value >= size:
            yield from _spelled(value // size)
            yield name
            value %= size
    if value >= 20:
        yield _TENS[value // 10 - 2]
        value %= 10
    if value:
        yield _WORD_OF[value]


_WRITTEN = re.compile(r"(?<![\w.,])\d{1,15}(?![\w]|[.,]\d)")


def spelled_out(text: str) -> str:
    """A text whose whole numbers in digits are in words: what another listener may write of it.

    >>> spelled_out("Press 10, 11 or 140.")
    'Press ten, eleven or one hundred forty.'
    """
    return _WRITTEN.sub(lambda found: in_words(int(found.group())), text)
