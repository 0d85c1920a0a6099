"""Text as the characters that a CTC head names: a checkpoint's own vocabulary, or one made from texts.

CTC writes what is spoken. A character that a vocabulary has in its other case is taken in that case, and
punctuation that it does not have is left out, as scorers do; any other character that it lacks would be a
word that cannot be written, and is refused by name.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import pairwise

from planner.errors import InputError

BLANK, UNKNOWN, DELIMITER = "<pad>", "<unk>", "|"
"""Names of wav2vec2's vocabularies: CTC's blank, a character without a token, and the space between words."""

ENGLISH = (BLANK, "<s>", "</s>", UNKNOWN, DELIMITER, *"ETAONIHSRDLUMWCFGYPBVK'XJQZ")
"""The 32 tokens of facebook/wav2vec2-base-960h, in the order of their ids."""

BLANKS = (BLANK, "[PAD]")
"""Names of the blank in checkpoints."""

MOST_LISTED = 8
"""Characters that a message names."""


class Characters:
    """A vocabulary of single characters and a few special tokens.

    Attributes:
        tokens: all of them, in the order of their ids.
        blank: id of CTC's blank.

    >>> text = Characters(ENGLISH)
    >>> text.encode("I am."), text.decode(text.encode("I am."))
    ([10, 4, 7, 17], 'I AM')
    """

    def __init__(self, tokens: Sequence[str], blank: int | None = None) -> None:
        """Read a vocabulary.

        Raises:
            InputError: a token is of several characters and no special one, or there is no blank.
        """
        self.tokens = tuple(tokens)
        long = [t for t in self.tokens if len(t) > 1 and not _is_special(t)]
        if long:
            raise InputError(
                f"the vocabulary has tokens of several characters, first {long[0]!r}; "
                "give a checkpoint whose CTC vocabulary is of characters"
            )
        named = [i for i, t in enumerate(self.tokens) if t in BLANKS]
        if blank is None and not named:
            raise InputError(
                f"the vocabulary of {len(self.tokens)} tokens has no blank ({' or '.join(BLANKS)})"
            )
        self.blank = named[0] if blank is None else blank

    @classmethod
    def of_texts(cls, texts: Iterable[str]) -> Characters:
        """Every character that is spoken in some texts, in lower case and in order.

        Raises:
            InputError: the texts have no such character.
        """
        found = {c for text in texts for c in text.lower() if not c.isspace() and _is_spoken(c)}
        if not found - {"'"}:
            raise InputError(
                "the training texts have no letter to make a vocabulary from; give transcripts"
            )
        return cls((BLANK, UNKNOWN, DELIMITER, *sorted(found - {DELIMITER})))

    @cached_property
    def _ids(self) -> Mapping[str, int]:
        return {t: i for i, t in enumerate(self.tokens) if not _is_special(t)}

    def _taken(self, character: str) -> str | None:
        """How a character is written here; None where it is not."""
        for form in (character, character.lower(), character.upper()):
            if form in self._ids:
                return form
        return None

    def encode(self, text: str) -> list[int]:
        """Ids of a text, with a delimiter between words where there is one."""
        words = [
            [self._ids[form] for c in word if (form := self._taken(c)) is not None]
            for word in text.split()
        ]
        between = self._ids.get(DELIMITER, self._ids.get(" "))
        ids: list[int] = []
        for word in filter(None, words):
            ids += [] if not ids or between is None else [between]
            ids += word
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids without blanks and special tokens."""
        written = (self.tokens[i] for i in ids if i != self.blank)
        text = "".join(" " if t == DELIMITER else t for t in written if not _is_special(t))
        return " ".join(text.split())

    def lacking(self, texts: Iterable[str]) -> Counter[str]:
        """Spoken characters of texts that cannot be written, with how often they occur.

        >>> Characters(ENGLISH).lacking(["Käse, 3 Äpfel"])
        Counter({'3': 1, 'ä': 1, 'Ä': 1})
        """
        return Counter(
            c
            for text in texts
            for c in text
            if not c.isspace() and _is_spoken(c) and self._taken(c) is None
        )

    def require(self, texts: Iterable[str], name: str) -> None:
        """Refuse texts with characters that cannot be written.

        Raises:
            InputError: there are some; they are listed with their counts.
        """
        lacking = self.lacking(texts)
        if not lacking:
            return
        listed = ", ".join(f"{c!r} {n}" for c, n in lacking.most_common(MOST_LISTED))
        more = f" and {len(lacking) - MOST_LISTED} more" if len(lacking) > MOST_LISTED else ""
        raise InputError(
            f"the vocabulary of {name} lacks {len(lacking)} characters of the training texts: {listed}{more}; "
            "write them out in the transcripts, or take a checkpoint that has them or no vocabulary of its own"
        )


PIECE = "\u2581"
"""What SentencePiece writes before the first piece of a word."""


def is_of_pieces(tokens: Sequence[str]) -> bool:
    """Whether a vocabulary is of pieces of words and not of characters."""
    return any(t.startswith(PIECE) and len(t) > 1 for t in tokens)


class Pieces:
    """A vocabulary of pieces of words, as SentencePiece makes it; a checkpoint's own tokenizer cuts words into them.

    Attributes:
        tokens: all of them, in the order of their ids.
        blank: id of CTC's blank.
    """

    def __init__(
        self, tokens: Sequence[str], blank: int, encode: Callable[[str], list[int]]
    ) -> None:
        """Take a vocabulary and what cuts a text into ids of it."""
        self.tokens, self.blank, self._encode = tuple(tokens), blank, encode

    def encode(self, text: str) -> list[int]:
        """Ids of a text."""
        return self._encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids without blanks and special tokens.

        >>> Pieces(["<unk>", "\u2581he", "llo", "\u2581all", "<pad>"], 4, lambda text: []).decode([1, 2, 4, 3])
        'hello all'
        """
        written = (self.tokens[i] for i in ids if i != self.blank)
        return " ".join(
            "".join(t for t in written if not _is_special(t)).replace(PIECE, " ").split()
        )


def _is_special(token: str) -> bool:
    return len(token) > 2 and token[0] in "<[" and token[-1] in ">]"


def _is_spoken(character: str) -> bool:
    """Letters, digits and their marks; of punctuation the apostrophe, which is a part of words."""
    return character == "'" or unicodedata.category(character)[0] not in "PSC"


def needed_frames(ids: Sequence[int]) -> int:
    """Encoder frames that CTC needs for labels: one each, and a blank between equal neighbours.

    >>> needed_frames([7, 7, 7]), needed_frames([1, 2, 1])
    (5, 3)
    """
    return len(ids) + sum(a == b for a, b in pairwise(ids))


def collapsed(
    ids: Sequence[int], scores: Sequence[float], blank: int
) -> tuple[list[int], list[float]]:
    """CTC's map from frames to labels: runs of one id are one label, blanks are none.

    Returns:
        The labels, and of each the highest log-probability in its run.

    >>> collapsed([0, 5, 5, 0, 5, 7], [-1.0, -2.0, -0.5, -1.0, -3.0, -4.0], 0)
    ([5, 5, 7], [-0.5, -3.0, -4.0])
    """
    kept: list[int] = []
    held: list[float] = []
    before = blank
    for i, score in zip(ids, scores, strict=True):
        if i == before and i != blank:
            held[-1] = max(held[-1], score)
        elif i != blank:
            kept.append(i)
            held.append(score)
        before = i
    return kept, held
